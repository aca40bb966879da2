// One IPFIX export: a message stream, a transport, and the rules of when to send.
import FlowCore
import IPFIX

/// Exports records as IPFIX over a transport.
///
/// Used by one thread at a time. Appending does no system call except when a batch of messages is full.
final class IPFIXOutput: Output {
  private let schema: BuiltInSchema
  private var stream: MessageStream
  private let transport: any MessageTransport
  private var now: Moment
  /// When a message was last finished because of its age.
  private var lastFlush: UInt64
  /// How long a message may wait to be filled, in nanoseconds. A worker may find an expired flow two thirds of a
  /// second late, and the record must be with the collector within one.
  private static let longestWait: UInt64 = 200_000_000

  /// An output with its own message stream.
  init(
    _ configuration: MessageStream.Configuration, schema: BuiltInSchema, transport: any MessageTransport,
    now: Moment = .current
  ) {
    self.schema = schema
    stream = MessageStream(configuration)
    self.transport = transport
    self.now = now
    lastFlush = now.monotonic
    stream.tick(now: now.unixSeconds)
  }

  /// Adds one record; see `MessageStream.append`.
  @inline(__always)
  func append(
    key: UInt64, describe: (inout TemplateBuilder) -> Void, encode: (inout DataRecordWriter) -> Void
  ) {
    stream.append(key: key, describe: describe, encode: encode)
    if stream.isBatchFull { deliver() }
  }

  func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    schema.append(records, count: count, to: &stream)
    if stream.isBatchFull { deliver() }
  }

  @inline(never)
  private func deliver() {
    let batch = stream.batch
    guard !batch.messages.isEmpty else { return }
    transport.send(batch, now: now) { stream.announcement() }
    stream.removeBatch()
  }

  func tick(now: Moment) {
    self.now = now
    stream.tick(now: now.unixSeconds)
    if now.monotonic &- lastFlush >= Self.longestWait {
      lastFlush = now.monotonic
      stream.flush()
    }
    deliver()
    switch transport.tick(now: now, announcement: { stream.announcement() }) {
    case .none: break
    case .newSession:
      stream.flush()
      deliver()
      stream.reannounce()
    case .repeatTemplates: stream.repeatTemplates()
    }
  }

  func reopen() {
    stream.flush()
    deliver()
    transport.reopen()
  }

  func close() {
    stream.flush()
    deliver()
    transport.close { stream.announcement() }
  }

  var failure: ExportError? { transport.failure }
  var reachability: Reachability { transport.reachability }
  var status: String { transport.status }

  var counters: OutputCounters {
    let made = stream.counters
    var counters = transport.counters
    counters.records = made.records &+ made.dropped &+ stream.openRecords
    counters.lostRecords &+= made.dropped
    counters.templates = made.templates
    counters.oversize = made.oversize
    return counters
  }
}
