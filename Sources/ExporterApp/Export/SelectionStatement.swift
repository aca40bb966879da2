// What collectors are told of the packets that are looked at: filter and sampling as they are in force, which may change while a
// run goes on. The control lcore changes it; export lcores look whether there is another number, and only then take a lock.
import FlowCore
import IPFIX
import Synchronization

/// The selection of packets that is in force, as options records.
final class SelectionStatement: Sendable {
  /// Made by the control lcore, so that export lcores only take them.
  private let stated: Mutex<[OptionsRecord]>
  private let changes = Atomic<UInt64>(0)

  /// The kinds of records that `records` has.
  static let kinds: [OptionsKind] = [.systematicSelector, .randomSelector, .flowSelector, .filter]

  /// The selection of the settings.
  init(_ settings: RunConfiguration) { stated = Mutex(Self.records(settings, before: [])) }

  /// States that of other settings; for the control lcore.
  func replace(by settings: RunConfiguration) {
    let records = Self.records(settings, before: self.records)
    stated.withLock { $0 = records }
    changes.wrappingAdd(1, ordering: .releasing)
  }

  /// How often it was replaced.
  var version: UInt64 { changes.load(ordering: .acquiring) }

  /// The options records; packets are sampled among those that pass the filter.
  var records: [OptionsRecord] { stated.withLock { $0 } }

  /// The records for settings. Where there was a filter before, collectors have to hear that there is none.
  private static func records(_ settings: RunConfiguration, before: [OptionsRecord]) -> [OptionsRecord] {
    let hadFilter = before.contains { $0.kind == .filter }
    let expression = settings.filter ?? (hadFilter ? "" : nil)
    return [settings.sampling.selector] + (expression.map { [.filter(2, expression: $0)] } ?? [])
  }
}

extension Sampling {
  /// What collectors are told of it.
  fileprivate var selector: OptionsRecord {
    switch method {
    case .systematic: .selector(1, interval: 1, space: interval - 1)
    case .random: .selector(1, size: 1, population: interval)
    case .flow: .flowSelector(1, probability: 1 / Double(interval))
    }
  }
}
