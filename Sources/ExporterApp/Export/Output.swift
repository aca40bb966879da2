// What all outputs have in common, so that the export lcore can keep a list of them.

/// What one output did and lost; all counts only grow, except that a record which turns out not to have arrived moves from
/// `sentRecords` to `lostRecords`.
struct OutputCounters: BitwiseCopyable, Sendable, Equatable {
  /// Records taken from the flow side.
  var records: UInt64 = 0
  /// Records that reached the file or the network, as far as this side can know.
  var sentRecords: UInt64 = 0
  /// Records lost here: no connection, a slow collector, a write error, too long for any message.
  var lostRecords: UInt64 = 0
  /// IPFIX messages sent; 0 for text.
  var messages: UInt64 = 0
  /// Octets sent.
  var bytes: UInt64 = 0
  /// IPFIX template records written, repetitions included.
  var templates: UInt64 = 0
  /// IPFIX messages longer than the configured length.
  var oversize: UInt64 = 0
  /// Failed system calls, refused datagrams and lost connections.
  var errors: UInt64 = 0
  /// Connections made, or UDP sockets opened.
  var connections: UInt64 = 0
  /// Parser faults of the export lcore; only in the sum of all outputs.
  var parserFaults: UInt64 = 0

  /// Counts `count` records as lost.
  mutating func lose(_ count: Int) { lostRecords &+= UInt64(clamping: count) }

  /// Moves records from sent to lost; never below zero.
  mutating func takeBack(_ count: UInt64) {
    sentRecords = sentRecords &- min(count, sentRecords)
    lostRecords = lostRecords &+ count
  }

  /// The sums of two outputs, field by field.
  static func + (left: OutputCounters, right: OutputCounters) -> OutputCounters {
    OutputCounters(
      records: left.records &+ right.records, sentRecords: left.sentRecords &+ right.sentRecords,
      lostRecords: left.lostRecords &+ right.lostRecords, messages: left.messages &+ right.messages,
      bytes: left.bytes &+ right.bytes, templates: left.templates &+ right.templates,
      oversize: left.oversize &+ right.oversize, errors: left.errors &+ right.errors,
      connections: left.connections &+ right.connections)
  }
}

/// One `--export`: it is given records by the lcore that owns it and is told the time now and then.
protocol Output: AnyObject {
  /// What was done and lost so far.
  var counters: OutputCounters { get }
  /// Set when the output has ended for good; records are counted as lost from then on.
  var failure: ExportError? { get }
  /// One short line about the state of the connection or the file; empty when all is well.
  var status: String { get }
  /// Takes `count` finished records; they are the caller's again when this returns.
  func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int)
  /// Sends what waited for its time, repeats templates, reconnects. Call it every few milliseconds; cheap.
  func tick(now: Moment)
  /// Begins a new file under the same name, where the old one was moved away.
  func reopen()
  /// Sends everything that waits, within the bounds of `Drain`, and closes. Nothing may be appended afterwards.
  func close()
}

/// What happens when a destination cannot keep up.
enum OverloadPolicy: Sendable {
  /// Live capture: what has no room is dropped and counted.
  case drop
  /// Offline: wait, but no longer than so many seconds without any progress.
  case wait(seconds: Double)
}
