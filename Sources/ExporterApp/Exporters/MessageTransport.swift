// How finished IPFIX messages leave: the seam between packing messages and sockets or files.
import IPFIX

/// What a transport did and lost.
struct TransportCounters: Sendable, Equatable {
  var messages: UInt64 = 0
  var records: UInt64 = 0
  var bytes: UInt64 = 0
  var lostRecords: UInt64 = 0
  var errors: UInt64 = 0
  var connections: UInt64 = 0
}

/// Carries messages to one destination.
protocol MessageTransport: AnyObject {
  /// What was sent and lost so far.
  var counters: TransportCounters { get }
  /// Set when it has ended for good.
  var failure: ExportError? { get }
  /// One short line about trouble, else empty.
  var status: String { get }
  /// Takes all messages of a batch, sends, queues or counts them as lost. The memory is only valid during the call.
  /// - Parameter announcement: makes messages with all templates handed over so far, this batch's included.
  func send(_ batch: MessageBatch, now: Moment, announcement: () -> [UInt8])
  /// Goes on with what waits: unsent bytes, reconnection.
  func tick(now: Moment, announcement: () -> [UInt8]) -> TransportEvent
  /// Sends what waits, within the bounds of its overload policy, and closes.
  func close(announcement: () -> [UInt8])
}

/// What a transport asks of the message stream.
enum TransportEvent {
  case none
  /// A new transport session: sequence 0, all templates.
  case newSession
  /// The collector was away and may have come back without our templates: send them again.
  case repeatTemplates
}

/// A file of messages (RFC 5655).
final class FileTransport: MessageTransport {
  private(set) var counters = TransportCounters()
  private(set) var failure: ExportError?
  private let output: FileOutput

  var status: String { failure?.description ?? "" }

  /// A transport into an opened file.
  init(_ output: FileOutput) { self.output = output }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> [UInt8]) {
    guard failure == nil else {
      counters.lostRecords += UInt64(batch.records)
      return
    }
    do throws(ExportError) {
      try output.write(batch.bytes)
      counters.messages += UInt64(batch.messages.count)
      counters.records += UInt64(batch.records)
      counters.bytes += UInt64(batch.bytes.count)
    } catch {
      // Part of the batch may be in the file, but its last message is cut: nothing of it is counted as sent.
      fail(error)
      counters.lostRecords += UInt64(batch.records)
    }
  }

  func tick(now: Moment, announcement: () -> [UInt8]) -> TransportEvent { .none }

  func close(announcement: () -> [UInt8]) {
    do throws(ExportError) { try output.close() } catch { fail(error) }
  }

  private func fail(_ error: ExportError) {
    failure = failure ?? error
    counters.errors += 1
  }
}
