// Other outputs for a run that goes on: the control lcore opens those that are new and closes those that are no longer wanted;
// the lcore that owns the outputs only takes one list for another, and waits for nobody.
import Synchronization

extension Outputs {
  /// The entries as threads other than their lcore's know them.
  struct Roster: Sendable {
    /// Those that the lcore has, or takes at its next look.
    private(set) var current: [Entry] = []
    /// The choice among them, where not all get all.
    private(set) var choice = CollectorChoice(names: [])
    /// Those that went, or go at its next look: their counters count on.
    private(set) var former: [Entry] = []
    /// Those of them that nobody closes yet, with the number of the replacement after which the lcore does not know them.
    private var leaving: [(entry: Entry, replacement: UInt64)] = []

    init(_ entries: [Entry], _ mode: ExportMode) { replace(by: entries, mode, replacement: 0) }

    /// All that there are and were.
    var all: [Entry] { current + former }

    /// Puts others in the place of those there are.
    mutating func replace(by entries: [Entry], _ mode: ExportMode, replacement: UInt64) {
      let gone = current.filter { entry in !entries.contains { $0 === entry } }
      former += gone
      leaving += gone.map { ($0, replacement) }
      current = entries
      for entry in entries { entry.nextPlace = nil }
      let collectors = mode == .mirror ? [] : entries.filter(\.url.isCollector)
      for (place, entry) in collectors.enumerated() { entry.nextPlace = place }
      choice = CollectorChoice(names: collectors.map(\.name))
    }

    /// Takes out those that are to be closed, where the lcore has taken so many replacements.
    mutating func takeRetired(_ taken: UInt64) -> [Entry] {
      let retired = leaving.filter { $0.replacement <= taken }.map(\.entry)
      leaving.removeAll { $0.replacement <= taken }
      return retired
    }
  }

  /// How many outputs are being closed, at an address that stays for their threads.
  final class Closings: Sendable {
    let count = Atomic<Int>(0)
  }

  /// Gives the lcore the outputs of another plan; those that are in both go on. For the control lcore.
  ///
  /// - Throws: an output that cannot be opened: all stays as it was.
  func replace(by plan: OutputPlan) throws(Failure) {
    let present = roster.withLock(\.current)
    let entries = try Self.entries(plan, number: number, keeping: present, openOutput)
    let replacement = replacements.load(ordering: .relaxed) &+ 1
    roster.withLock { $0.replace(by: entries, mode, replacement: replacement) }
    replacements.wrappingAdd(1, ordering: .releasing)
  }

  /// Closes what the lcore let go of, each by a thread of its own, because that waits for a collector or a disk. For the
  /// control lcore, now and then.
  ///
  /// - Returns: whether some are still open.
  @discardableResult
  func closeRetired() -> Bool {
    let taken = replacementsTaken.load(ordering: .acquiring)
    let retired = roster.withLock { $0.takeRetired(taken) }
    for entry in retired {
      closings.count.wrappingAdd(1, ordering: .relaxed)
      let close = { @Sendable [closings] in
        CrashReport.thread("closing")
        entry.output.close()
        entry.published.pointee = entry.output.counters
        closings.count.wrappingSubtract(1, ordering: .releasing)
      }
      // Without a thread it is done here: late is better than not at all.
      if DetachedThread.start(close) != 0 { close() }
    }
    return closings.count.load(ordering: .acquiring) > 0
  }
}
