// How finished IPFIX messages leave: the seam between packing messages and sockets or files.
import IPFIX
import Wire

/// What is known of the other side.
enum Reachability {
  /// The first attempt is under way.
  case unknown
  case reachable
  case unreachable
}

/// Carries messages to one destination.
protocol MessageTransport: AnyObject {
  /// What was sent and lost so far; of records only `sentRecords` and `lostRecords`, because the stream knows the rest.
  var counters: OutputCounters { get }
  /// Set when it has ended for good.
  var failure: ExportError? { get }
  /// One short line about trouble, else empty.
  var status: String { get }
  /// Whether messages have a chance to arrive.
  var reachability: Reachability { get }
  /// Takes all messages of a batch, sends, queues or counts them as lost. The memory is only valid during the call.
  /// - Parameter announcement: makes messages with all templates handed over so far, this batch's included.
  func send(_ batch: MessageBatch, now: Moment, announcement: () -> SharedBytes)
  /// Goes on with what waits: unsent bytes, reconnection.
  func tick(now: Moment, announcement: () -> SharedBytes) -> TransportEvent
  /// Begins a new file, where there is one.
  func reopen()
  /// Sends what waits, as `close` does, but stays open: then the counters say what became of it.
  func settle(announcement: () -> SharedBytes)
  /// Sends what waits, within the bounds of its overload policy and of `Drain`, and closes.
  func close(announcement: () -> SharedBytes)
}

extension MessageTransport {
  var reachability: Reachability { .reachable }
  func reopen() {}
  func settle(announcement: () -> SharedBytes) {}
}

/// What a transport asks of the message stream.
enum TransportEvent {
  case none
  /// A new transport session: sequence 0, all templates.
  case newSession
  /// The collector was away and may have come back without our templates: send them again.
  case repeatTemplates
  /// Messages with descriptions were dropped in a session that has its templates: send the descriptions again.
  case repeatDescriptions
}

/// A file of messages (RFC 5655). Each new file begins with all templates and descriptions known then; the sequence goes on.
final class FileTransport: MessageTransport {
  private let file: FileWriter
  /// All templates of the batches before, for the file that begins with the next one.
  private var templates = SharedBytes()

  var counters: OutputCounters { file.counters }
  var failure: ExportError? { file.failure }
  var status: String { file.status }

  /// A transport into an opened file.
  init(_ file: FileWriter) { self.file = file }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> SharedBytes) {
    // The batch's own templates come in time within it. A file that begins later needs them, too.
    let before = templates
    if batch.holdsTemplates { templates = announcement() }
    file.push(
      SharedBytes(copying: batch.contents), header: before, headerWithin: templates, records: batch.records,
      units: batch.units)
  }

  func tick(now: Moment, announcement: () -> SharedBytes) -> TransportEvent { .none }

  func reopen() { file.reopen() }

  func settle(announcement: () -> SharedBytes) { file.settle() }

  func close(announcement: () -> SharedBytes) { file.close() }
}
