// What all exports have in common, so that the export lcore can keep a list of them.

/// What an export did and lost.
struct ExporterCounters: Sendable, Equatable {
  /// Records taken from the flow side.
  var records: UInt64 = 0
  /// Records that reached the file or the network, as far as this side can know; records that turn out not to have
  /// arrived when a TCP connection breaks move to `lostRecords`.
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
}

/// One `--export`: it is given records by the lcore that owns it and is told the time now and then.
protocol RecordExporter: AnyObject {
  /// What was done and lost so far.
  var counters: ExporterCounters { get }
  /// Set when the export has ended for good; records are counted as lost from then on.
  var failure: ExportError? { get }
  /// One short line about the state of the connection, for statistics; empty when all is well.
  var status: String { get }
  /// Sends what waited for a second, repeats templates, reconnects. Call it about every 100 ms; cheap.
  func tick(now: Moment)
  /// Sends everything that waits and closes. Nothing may be appended afterwards.
  func close()
}

/// What happens when a destination cannot keep up.
enum OverloadPolicy: Sendable {
  /// Live capture: what has no room is dropped and counted.
  case drop
  /// Offline: wait, but no longer than so many seconds without any progress.
  case wait(seconds: Double)
}
