// Other outputs for a run that goes on: the control lcore opens those that are new and closes those that are no longer wanted;
// the lcore that owns the outputs only takes one list for another, and waits for nobody.
import Synchronization

/// The control lcore's hand on the outputs of an export lcore.
struct OutputChanges {
  let outputs: Outputs

  /// Gives the lcore the outputs of another plan; those that are in both go on. For the control lcore.
  ///
  /// - Throws: an output that cannot be opened: all stays as it was.
  func replace(by plan: OutputPlan) throws(Failure) {
    let present = outputs.roster.withLock(\.current)
    let entries = try Outputs.entries(
      plan, number: outputs.number, keeping: present, outputs.openOutput)
    let replacement = outputs.replacements.load(ordering: .relaxed) &+ 1
    outputs.roster.withLock { $0.replace(by: entries, outputs.mode, replacement: replacement) }
    outputs.replacements.wrappingAdd(1, ordering: .releasing)
  }

  /// Closes what the lcore let go of, each by a thread of its own, because that waits for a collector or a disk. For the
  /// control lcore, now and then.
  ///
  /// - Returns: whether some are still open.
  @discardableResult
  func closeRetired() -> Bool {
    let taken = outputs.replacementsTaken.load(ordering: .acquiring)
    let retired = outputs.roster.withLock { $0.takeRetired(taken) }
    for entry in retired {
      entry.closeApart {
        entry.published.pointee = entry.output.counters
        entry.noteClosed()
      }
    }
    return outputs.roster.withLock { $0.settle() }
  }
}
