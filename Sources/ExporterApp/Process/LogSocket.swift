// The socket of syslog or of systemd's journal: a message is a datagram, and nobody waits for who does not take it.
import Glibc

/// A log that listens at a socket, connected again when it was restarted.
struct LogSocket: ~Copyable {
  private let path: String
  private var descriptor: Int32

  /// Connects to the log at `path`.
  ///
  /// - Throws: the errno, where nobody listens there.
  init(path: String) throws(Failure) {
    self.path = path
    descriptor = UnixSocket.connect(path, as: SOCK_DGRAM)
    guard descriptor >= 0 else {
      throw .general(
        "nobody takes messages at \(path) (\(errorText(errno))): leave --log-to out, or start who does")
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Sends a message; false where it was not taken.
  mutating func send(_ message: String) -> Bool {
    if put(message) { return true }
    // A log that does not keep up is asked again with the next message.
    guard errno != EAGAIN, errno != EWOULDBLOCK else { return false }
    if descriptor >= 0 { close(descriptor) }
    descriptor = UnixSocket.connect(path, as: SOCK_DGRAM)
    return descriptor >= 0 && put(message)
  }

  private func put(_ message: String) -> Bool {
    // Strings that Swift makes lie in one piece.
    message.utf8.withContiguousStorageIfAvailable {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) == $0.count
    } ?? true
  }
}
