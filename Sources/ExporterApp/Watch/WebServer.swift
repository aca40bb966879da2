// Answers to who asks over HTTP. The protocol is libmicrohttpd's; how much of the machine a client can take is decided here.
import CHTTP
import Glibc
import Synchronization

/// What a client asked for.
struct WebRequest: Sendable {
  var path: String
  /// The Accept header; "" for none.
  var accept: String

  /// A request for `target`, a path or, as proxies are asked, a whole address (RFC 9112 section 3.2), either without its query.
  init(target: String, accept: String) {
    self.accept = accept
    let scheme = ["http://", "https://"].first { target.lowercased().hasPrefix($0) }
    guard let scheme else {
      path = target
      return
    }
    let path = target.dropFirst(scheme.count).drop { $0 != "/" }
    self.path = path.isEmpty ? "/" : String(path)
  }
}

/// What a client gets.
struct WebResponse: Sendable {
  var status: UInt32 = 200
  var contentType = "text/plain; charset=utf-8"
  var body: String
}

/// A server with one thread beside the lcores. A client gets one answer for a connection: it has 16 KiB for its request and ten
/// seconds for all of it, or one where there are more than a few: who asks is answered at once, and only others are still there
/// then. Those that find no place wait until some have had their time.
///
/// Safe between threads: libmicrohttpd's daemon may be stopped by any thread, once; what else changes is behind a lock.
final class WebServer: @unchecked Sendable {
  private var daemon: OpaquePointer?
  /// The open connections' sockets, and since when they are open, nanoseconds of the monotonic clock; 0 for those that were cut
  /// off and that the server has still to close.
  private let connections = Mutex<[Int32: UInt64]>([:])
  private let answer: @Sendable (WebRequest) -> WebResponse

  private static let mostConnections: UInt32 = 128
  /// Connections that have time.
  private static let fewConnections = 16
  private static let requestMemory = 16 << 10
  /// Seconds that a connection lasts.
  private static let patience: UInt32 = 10
  /// The same in a crowd.
  private static let haste: UInt32 = 1

  /// Serves on `socket` until `stop`; `answer` is called in the server's thread.
  ///
  /// - Throws: no thread or memory is to be had.
  init(_ socket: consuming ListeningSocket, answer: @escaping @Sendable (WebRequest) -> WebResponse)
    throws(Failure)
  {
    self.answer = answer
    let descriptor = socket.take()
    // Its thread inherits where this one may run.
    ServiceThread.run("metrics", seconds: 10) { [self] in
      // Safe: `stop` ends the server's thread before this object goes.
      let context = Unmanaged.passUnretained(self).toOpaque()
      daemon = martlet_http_start(
        descriptor, Self.mostConnections, Self.requestMemory, Self.patience, Self.handle, Self.note, context)
    }
    guard daemon != nil else {
      close(descriptor)
      throw .general("--metrics: the server did not start: \(errorText(errno))")
    }
  }

  deinit { stop() }

  /// Ends the server and its thread.
  func stop() {
    if let daemon { MHD_stop_daemon(daemon) }
    daemon = nil
  }

  /// Cuts connections off that have had their time, whatever they did with it. To be called once a second.
  func closeOld(now: UInt64) { connections.withLock { Self.closeOld(now: now, &$0) } }

  private static func closeOld(now: UInt64, _ open: inout [Int32: UInt64]) {
    let others = open.filter { $0.value > 0 }
    let seconds = others.count > fewConnections ? haste : patience
    for (descriptor, since) in others where now &- since > UInt64(seconds) &* 1_000_000_000 {
      // The server finds it at its end, and closes it.
      shutdown(descriptor, Int32(SHUT_RDWR))
      open[descriptor] = 0
    }
  }

  /// Notes a connection that was opened, for which another may have to go.
  private func opened(_ descriptor: Int32) {
    let now = Clock.monotonic()
    connections.withLock { open in
      open[descriptor] = now
      Self.closeOld(now: now, &open)
    }
  }

  /// The object behind a context.
  private static func server(_ context: UnsafeMutableRawPointer?) -> WebServer? {
    // Safe: the context that the daemon got above, whose threads end before the object goes.
    context.map { Unmanaged<WebServer>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A connection was opened or is about to be closed.
  private static let note: MHD_NotifyConnectionCallback = { context, connection, _, code in
    guard let server = server(context), let connection else { return }
    let descriptor = martlet_http_descriptor(connection)
    if martlet_http_is_opened(code) != 0 { return server.opened(descriptor) }
    server.connections.withLock { $0[descriptor] = nil }
  }

  /// A request has come.
  private static let handle: MHD_AccessHandlerCallback = { context, connection, path, method, _, _, _, _ in
    guard let server = server(context), let connection, let path, let method else {
      return martlet_http_refuse()
    }
    CrashReport.thread("metrics")
    guard ["GET", "HEAD"].contains(String(cString: method)) else {
      return reply(connection, WebResponse(status: 405, body: "405: only GET and HEAD\n"))
    }
    let accept = martlet_http_header(connection, "Accept").map { String(cString: $0) }
    return reply(
      connection, server.answer(WebRequest(target: String(cString: path), accept: accept ?? "")))
  }

  /// Sends a response, after which the connection ends.
  private static func reply(_ connection: OpaquePointer, _ answer: WebResponse) -> MHD_Result {
    var body = answer.body
    return body.withUTF8 { bytes in
      martlet_http_respond(
        connection, answer.status, answer.contentType, answer.status == 405 ? "GET, HEAD" : nil,
        bytes.baseAddress, bytes.count)
    }
  }
}
