// The last line of an offline run: what was read, how fast, and where the records went.
import FlowCore

/// A run over captures in a few words.
struct OfflineSummary {
  private let snapshot: CounterSnapshot
  private let seconds: Double
  private let exports: [String]

  /// A run that took `seconds`, with its exports as the user wrote them.
  init(_ snapshot: CounterSnapshot, seconds: Double, exports: [String]) {
    self.snapshot = snapshot
    self.seconds = seconds
    self.exports = exports
  }

  /// `1234 packets, 56 flows, 60 records in 0.123 s (1.234 Mpps) to json:flows.json, 7 packets in no flow`.
  var text: String {
    let packets = snapshot.workers.reduce(0) { $0 &+ $1.loop.received }
    let flows = snapshot.workers.reduce(0) { $0 &+ $1.engine.flowsMade }
    let records = snapshot.exporters.reduce(0) { $0 &+ $1.counters.records }
    let rate = seconds > 0 ? Double(packets) / seconds / 1e6 : 0
    return "\(count(packets, "packet")), \(count(flows, "flow")), \(count(records, "record")) in "
      + "\(CounterReport.fixed(seconds, digits: 3)) s (\(CounterReport.fixed(rate, digits: 3)) Mpps)"
      + (exports.isEmpty ? "" : " to \(exports.joined(separator: ", "))")
  }

  private func count(_ number: UInt64, _ name: String) -> String {
    "\(number) \(name)\(number == 1 ? "" : "s")"
  }
}
