// The counters on standard error in the form that was asked for: by themselves every few seconds, and at the end.
import FlowCore

/// What is said of counters during a run and at its end.
struct StatsReport: Sendable {
  /// The form.
  let format: StatsFormat
  /// Flows that fit the table of a worker.
  let flowsPerWorker: Int

  /// Says how things go, with rates since `previous`.
  func say(_ now: CounterSnapshot, previous: CounterSnapshot, seconds: Double) {
    switch format {
    case .line:
      let capacity = UInt64(clamping: flowsPerWorker) &* UInt64(now.workers.count)
      logger.info("\(RateLine(now, previous: previous, seconds: seconds, capacity: capacity).text)")
    case .full: logger.info("\(CounterReport.line(now, previous: previous, seconds: seconds))")
    case .json: Console.table(CounterJSON.line(now, seconds: seconds))
    }
  }

  /// Says all totals.
  ///
  /// - Parameter summary: what the run did, in a few words; empty for nothing.
  func sayTotals(_ snapshot: CounterSnapshot, summary: String = "") {
    guard format != .json else { return Console.table(CounterJSON.totals(snapshot)) }
    logger.info("totals\(summary.isEmpty ? "" : ": " + summary)")
    Console.table(format == .line ? CounterReport.grouped(snapshot) : CounterReport.totals(snapshot))
  }
}
