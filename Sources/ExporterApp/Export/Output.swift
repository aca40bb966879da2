// What all outputs have in common, so that the export lcore can keep a list of them.

/// One `--export`: it is given records by the lcore that owns it and is told the time now and then.
protocol Output: AnyObject {
  /// What was done and lost so far.
  var counters: OutputCounters { get }
  /// Set when the output has ended for good; records are counted as lost from then on.
  var failure: ExportError? { get }
  /// One short line about the state of the connection or the file; empty when all is well.
  var status: String { get }
  /// Whether records have a chance to arrive; a file is always there.
  var reachability: Reachability { get }
  /// Takes `count` finished records; they are the caller's again when this returns.
  func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int)
  /// Sends what waited for its time, repeats templates, reconnects. Call it every few milliseconds; cheap.
  func tick(now: Moment)
  /// Begins a new file under the same name, where the old one was moved away.
  func reopen()
  /// Sends everything that waits, within the bounds of `Drain`, and closes. Nothing may be appended afterwards.
  func close()
}

extension Output {
  var reachability: Reachability { .reachable }
}
