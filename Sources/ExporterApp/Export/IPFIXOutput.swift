// One IPFIX export: a message stream, a transport, and the rules of when to send.
import FlowCore
import IPFIX

/// Exports records as IPFIX over a transport.
///
/// Used by one thread at a time. Appending does no system call except when a batch of messages is full.
final class IPFIXOutput: Output {
  private let schema: BuiltInSchema
  private let description: ExportDescription?
  private var stream: MessageStream
  private let transport: any MessageTransport
  private var now: Moment
  /// When a message was last finished because of its age.
  private var lastFlush: UInt64
  /// When statistics are due.
  private var nextReport = UInt64.max
  private var losses = ExportDescription.Losses()
  /// The selection of packets that the stream tells of.
  private var selection: UInt64 = 0
  /// How long a message may wait to be filled, in nanoseconds. A worker may find an expired flow two thirds of a
  /// second late, and the record must be with the collector within one.
  private static let longestWait: UInt64 = 200_000_000

  /// An output with its own message stream, which begins with what it says of itself.
  init(
    _ configuration: MessageStream.Configuration, schema: BuiltInSchema, transport: any MessageTransport,
    description: ExportDescription? = nil, now: Moment = .current
  ) {
    self.schema = schema
    self.description = description
    stream = MessageStream(configuration)
    self.transport = transport
    self.now = now
    lastFlush = now.monotonic
    stream.tick(now: now.unixSeconds)
    if let description {
      stream.describe(.receiveQueue)
      stream.describe(.filterExpression)
      for element in schema.pluginElements() { stream.describe(element) }
      for record in description.constants { stream.describe(record) }
    }
    tellSelection()
    report()
    // nfcapd 1.7 takes options records in a message with flows for lost ones.
    stream.flush()
  }

  /// Writes which packets are looked at into the stream, in the place of what it said before.
  private func tellSelection() {
    guard let description else { return }
    // Before the records: where they change meanwhile they are told again.
    selection = description.selection.version
    stream.redescribe(SelectionStatement.kinds, by: description.selection.records)
  }

  /// Writes what was done so far into the stream.
  private func report() {
    guard let description else { return }
    nextReport = now.monotonic &+ description.interval
    description.reportStatistics(counters, &losses, now: now) { stream.report($0) }
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
    if let description, description.selection.version != selection {
      tellSelection()
      stream.flush()
    }
    if now.monotonic >= nextReport { report() }
    if now.monotonic &- lastFlush >= Self.longestWait {
      lastFlush = now.monotonic
      stream.flush()
    }
    deliver()
    losses.note(counters.lostRecords, now: now)
    switch transport.tick(now: now, announcement: { stream.announcement() }) {
    case .none: break
    case .newSession:
      stream.flush()
      deliver()
      stream.reannounce()
      report()
      stream.flush()
    case .repeatTemplates: stream.repeatTemplates()
    case .repeatDescriptions: stream.repeatDescriptions()
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
    if description != nil {
      // The last statistics say what became of everything before them.
      transport.settle { stream.announcement() }
      stream.reportFlowKeys()
      report()
      stream.flush()
      deliver()
    }
    transport.close { stream.announcement() }
  }

  var failure: ExportError? { transport.failure }
  var reachability: Reachability { transport.reachability }
  var status: String { transport.status }

  var counters: OutputCounters {
    let made = stream.counters
    var counters = transport.counters
    counters.records = made.records &+ made.dropped &+ stream.openRecords
    counters.lose(Int(clamping: made.dropped), .tooLong)
    counters.templates = made.templates
    counters.oversize = made.oversize
    counters.shortened = made.shortened
    counters.options = made.options
    return counters
  }
}
