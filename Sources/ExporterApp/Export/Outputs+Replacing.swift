// Other outputs for a run that goes on: the control lcore opens those that are new and closes those that are no longer wanted;
// the lcore that owns the outputs only takes one list for another, and waits for nobody.
import Synchronization

extension Outputs {
  /// The entries as threads other than their lcore's know them.
  struct Roster: Sendable {
    /// Those that the lcore has, or takes at its next look.
    var current: [Entry]
    /// Those that went, or go at its next look: their counters count on.
    var former: [Entry] = []
    /// Those of them that the lcore let go of, and that nobody closes yet.
    var retired: [Entry] = []

    init(current: [Entry]) { self.current = current }

    /// All that there are and were.
    var all: [Entry] { current + former }
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
    roster.withLock { roster in
      roster.former += roster.current.filter { entry in !entries.contains { $0 === entry } }
      roster.current = entries
    }
    replacements.wrappingAdd(1, ordering: .releasing)
  }

  /// Closes what the lcore let go of, each by a thread of its own, because that waits for a collector or a disk. For the
  /// control lcore, now and then.
  ///
  /// - Returns: whether some are still open.
  @discardableResult
  func closeRetired() -> Bool {
    let retired = roster.withLock { roster in
      let retired = roster.retired
      roster.retired = []
      return retired
    }
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
