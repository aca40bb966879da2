// What systemd is told of a service of Type=notify: that it is ready, that it ends, and that it is alive. A datagram each, to the
// socket that it names in the environment (sd_notify(3)).
import Glibc

/// Who started the process as a service, if anybody did.
struct ServiceManager: Sendable {
  private let socketName: String?
  /// Nanoseconds from one sign of life to the next, half of what the manager waits for; nil where it waits for none.
  let watchdogInterval: UInt64?

  /// Takes over what the environment says.
  init(
    environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } },
    process: Int32 = getpid()
  ) {
    let name = environment("NOTIFY_SOCKET")
    // A path, or a name in the kernel's own name space behind '@'.
    socketName = name.flatMap { ($0.hasPrefix("/") || $0.hasPrefix("@")) && $0.utf8.count > 1 ? $0 : nil }
    let isMeant = environment("WATCHDOG_PID").map { Int32($0) == process } ?? true
    let microseconds = environment("WATCHDOG_USEC").flatMap { UInt64($0) } ?? 0
    watchdogInterval =
      isMeant && microseconds > 0 ? microseconds.multipliedReportingOverflow(by: 500).partialValue : nil
  }

  /// Packets are being received.
  func ready() { send("READY=1\nSTATUS=receiving packets") }

  /// The run ends.
  func stopping() { send("STOPPING=1\nSTATUS=exporting what is left") }

  /// The process is alive.
  func alive() { send("WATCHDOG=1") }

  /// Sends a datagram; who does not take it is not waited for.
  private func send(_ text: String) {
    guard let socketName else { return }
    let name = socketName.hasPrefix("@") ? "\0" + socketName.dropFirst() : socketName
    let descriptor = UnixSocket.connect(name, as: SOCK_DGRAM)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }
}
