// The end of outputs, which waits for collectors and disks: each by itself, so that one that is stuck takes nothing of the others'
// time, and what is to be said of all of them.

extension Outputs.Entry {
  /// Has a thread of its own close the output; `then` is called when that is done. Without a thread both happen here: late is
  /// better than not at all.
  func closeApart(then: @escaping @Sendable () -> Void) {
    let close = { @Sendable in
      self.output.close()
      then()
    }
    let code = DetachedThread.start {
      CrashReport.thread("the end of \(self.name)")
      close()
    }
    if code != 0 { close() }
  }
}

extension Outputs {
  /// Writes everything out and closes, all outputs at the same time, within the bounds of `Drain`. Called once, last.
  func finish() {
    let done = Semaphore()
    var left = max(0, entries.count &- 1)
    for entry in entries.dropFirst() { entry.closeApart { done.signal() } }
    entries.first?.output.close()
    while left > 0 {
      done.wait()
      left &-= 1
    }
    publish(says: false)
  }

  /// What is to be said at the end, asked after `finish`: records that were lost, or a file that could not be closed.
  ///
  /// - Parameters:
  ///   - all: the outputs of all export lcores.
  ///   - before: records that were lost on the way to the outputs.
  static func outcome(of all: [Outputs], before: UInt64) -> Failure? {
    var lost = before
    var reasons = before > 0 ? "\(before) between the lcores" : ""
    var failure: ExportError?
    for account in all.flatMap({ $0.roster.withLock(\.final) }) {
      let count = account.counters.lostRecords
      if count > 0 {
        lost &+= count
        let reason = account.lossReason.isEmpty ? "it did not keep up" : account.lossReason
        reasons += "\(reasons.isEmpty ? "" : ", ")\(count) at \(account.name) (\(reason))"
      }
      failure = failure ?? account.failure
    }
    if lost > 0 { return .lost("\(lost) records were lost on the way out: \(reasons)") }
    return failure.map { .general($0.description) }
  }
}
