// One IPFIX export: a message stream, a transport, and the rules of when to send.
import IPFIX

/// Exports records as IPFIX over a transport.
///
/// Used by one thread at a time. Appending does no system call except when a batch of messages is full.
final class IPFIXExporter: RecordExporter {
  private var stream: MessageStream
  private let transport: any MessageTransport
  private var now: Moment
  /// When a message was last finished because of its age.
  private var lastFlush: UInt64
  /// How long a message may wait to be filled, in nanoseconds. A worker may find an expired flow two thirds of a
  /// second late, and the record must be with the collector within one.
  private static let longestWait: UInt64 = 200_000_000

  /// An exporter with its own message stream.
  init(_ configuration: MessageStream.Configuration, transport: any MessageTransport, now: Moment = .current)
  {
    stream = MessageStream(configuration)
    self.transport = transport
    self.now = now
    lastFlush = now.monotonic
    stream.tick(now: now.unixSeconds)
  }

  /// Adds one record; see `MessageStream.append`.
  @inline(__always)
  func append(
    key: UInt64, describe: (inout TemplateCollector) -> Void, encode: (inout DataRecordWriter) -> Void
  ) {
    stream.append(key: key, describe: describe, encode: encode)
    if stream.isBatchFull { deliver() }
  }

  /// Lends the message stream for a burst of records, which saves a check for each.
  @inline(__always)
  func withStream(_ body: (inout MessageStream) -> Void) {
    body(&stream)
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

  func close() {
    stream.flush()
    deliver()
    transport.close { stream.announcement() }
  }

  var failure: ExportError? { transport.failure }
  var status: String { transport.status }

  var counters: ExporterCounters {
    let made = stream.counters
    let sent = transport.counters
    return ExporterCounters(
      records: made.records + made.dropped + stream.openRecords, sentRecords: sent.records,
      lostRecords: sent.lostRecords + made.dropped, messages: sent.messages, bytes: sent.bytes,
      templates: made.templates, oversize: made.oversize, errors: sent.errors, connections: sent.connections)
  }
}
