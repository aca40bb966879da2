// What a caller can choose, each by a name and a text: the command line's own options as far as they are about flows, read by the
// same code, and a few of the library's.
import Arrow
import Captures
import FlowCore
import Rendering

/// Everything that a run is told.
struct RunOptions: Sendable {
  /// What flows are made of, and when they end.
  var metering = MeteringSettings()
  /// Captures that are read at the same time.
  var threads = 1
  /// Rows of a batch.
  var batchRows = 65536
  /// How addresses are given.
  var addresses = ArrowType.Addresses.text
  /// How columns are named.
  var names = CSVNames.short
  /// The captures are one time line.
  var isJoined = false
  private var presets: [PluginPreset] = []

  /// Reads options.
  ///
  /// - Throws: one that does not exist, or a value that is none (usage).
  init(_ options: [(name: String, value: String)]) throws(Failure) {
    for (name, value) in options {
      guard let read = Self.readers[name] else {
        throw .usage(
          "there is no option '\(name)': give \(Self.readers.keys.sorted().joined(separator: ", "))")
      }
      do { try read(&self, value) } catch { throw .usage("\(name): \(error)") }
    }
    guard !metering.plugins.contains(where: { $0.name == Self.ofTheHost }) else {
      throw .usage(
        "plugins: \(Self.ofTheHost) asks the host that it runs on, which captures say nothing about: leave it out"
      )
    }
    metering.plugins = PluginPreset.expand(presets, metering.plugins).filter { $0.name != Self.ofTheHost }
  }

  /// The plugin whose fields are not from packets.
  static let ofTheHost = "osquery"

  /// What each option does with its value.
  private static let readers: [String: @Sendable (inout RunOptions, String) throws -> Void] = [
    "plugins": { $0.metering.plugins += PluginCatalogue.parse($1) },
    "plugin": { $0.metering.plugins += PluginCatalogue.parse($1) },
    "preset": { $0.presets.append(try choice($1)) },
    "active-timeout": { $0.metering.activeTimeout = try Seconds($1) },
    "inactive-timeout": { $0.metering.inactiveTimeout = try Seconds($1) },
    "flows": { $0.metering.flows = try MeteringSettings.flows($1) },
    "uniflow": { $0.metering.isUniflow = try flag($1) },
    "filter": { $0.metering.filter = $1 },
    "sample": { $0.metering.sampling = try Sampling($1) },
    "tunnels": { $0.metering.tunnels = try TunnelKinds.parse($1) },
    "tunnel-records": { $0.metering.tunnelRecords = try choice($1) },
    "anonymise": { $0.metering.anonymisation = try Anonymisation($1) },
    "threads": { $0.threads = try Bounded.parse($1, in: 1...256) },
    "batch-rows": { $0.batchRows = try Bounded.parse($1, in: 1...(1 << 24)) },
    "addresses": { $0.addresses = try choice($1) },
    "names": { $0.names = try choice($1) },
    "joined": { $0.isJoined = try flag($1) },
  ]

  private static func flag(_ text: String) throws -> Bool {
    switch text {
    case "true": true
    case "false": false
    default: throw InvalidValue("'\(text)' is not true or false")
    }
  }

  private static func choice<Choice: CaseIterable & RawRepresentable>(_ text: String) throws -> Choice
  where Choice.RawValue == String {
    guard let choice = Choice(rawValue: text) else {
      throw InvalidValue(
        "'\(text)' is not one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }
}
