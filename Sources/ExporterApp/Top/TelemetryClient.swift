// Asking a running Martlet over DPDK's telemetry socket: a packet with a command, a packet with the answer.
import Glibc

/// A connection to the telemetry socket of a DPDK program.
struct TelemetryClient: ~Copyable {
  private let descriptor: Int32
  /// Where the socket is.
  let path: String

  /// The longest answer that DPDK gives.
  private static let longestAnswer = 16 << 10
  /// Milliseconds that an answer may take.
  private static let patience: Int32 = 5000

  /// Connects to the socket at `path`.
  ///
  /// - Throws: nobody listens there, or may not be asked.
  init(path: String) throws(Failure) {
    self.path = path
    descriptor = UnixSocket.connect(path, as: SOCK_SEQPACKET)
    guard descriptor >= 0 else {
      let number = errno
      throw .general(
        "\(path): \(errorText(number)): "
          + (number == EACCES || number == EPERM
            ? "become root, or the user that martlet runs as" : "no martlet runs there any more"))
    }
    // It says what it is first.
    _ = try answer()
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The answer to a command.
  ///
  /// - Throws: none comes, or the program is no Martlet.
  func ask(_ command: String) throws(Failure) -> JSONValue {
    let bytes = Array(command.utf8)
    let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    guard sent == bytes.count else { throw ended }
    let answer = try answer()
    let name = String(command.prefix { $0 != "," })
    guard let value = answer[name], value != .other else {
      throw .general("\(path): the program there has no answer to \(name): it is no martlet, or it ends")
    }
    return value
  }

  private func answer() throws(Failure) -> JSONValue {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      let ready = poll(&waiting, 1, Self.patience)
      if ready > 0 { break }
      // A terminal that changes its size.
      if ready < 0, errno == EINTR { continue }
      throw .general("\(path): no answer in \(Self.patience / 1000) s")
    }
    var bytes = [UInt8](repeating: 0, count: Self.longestAnswer)
    let count = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { throw ended }
    return try JSONValue(Array(bytes.prefix(count)))
  }

  private var ended: Failure { .general("\(path): martlet has ended") }
}
