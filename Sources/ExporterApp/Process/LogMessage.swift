// One message in each form in which it leaves the program. Export lcores say something, too: nothing here may trap.
import Glibc

/// Something that the program says.
struct LogMessage {
  var level: LogLevel
  var text: String

  /// The line for standard error, with its end: the program's name and the level where that is a warning, or an object.
  func line(_ format: LogFormat, nanoseconds: UInt64) -> String {
    switch format {
    case .text: "martlet: \(level == .warning ? "warning: " : "")\(ShownText.cleaned(text))\n"
    case .json: json(nanoseconds: nanoseconds) + "\n"
    }
  }

  /// The datagram for a log's socket.
  ///
  /// - Parameter nanoseconds: since 1970.
  func datagram(_ destination: LogDestination, _ format: LogFormat, nanoseconds: UInt64) -> String {
    let words = format == .json ? json(nanoseconds: nanoseconds) : ShownText.cleaned(text)
    switch destination {
    case .journald:
      // https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
      return "PRIORITY=\(level.severity)\nSYSLOG_IDENTIFIER=martlet\nMESSAGE=\(words)\n"
    case .syslog, .stderr:
      // RFC 3164, as libc's syslog() writes it: facility daemon, local time, no host.
      return "<\(3 << 3 | level.severity)>\(Self.localTime(nanoseconds)) martlet[\(getpid())]: \(words)"
    }
  }

  /// The message as an object of JSON (RFC 8259) with the time in UTC (RFC 3339).
  private func json(nanoseconds: UInt64) -> String {
    "{\"time\":\"\(Self.utc(nanoseconds))\",\"level\":\"\(level.rawValue)\",\"message\":\(JSONText.quoted(text))}"
  }

  /// "2026-11-26T13:00:00.123Z".
  static func utc(_ nanoseconds: UInt64) -> String {
    let milliseconds = nanoseconds / 1_000_000 % 1000
    let fraction = "\(milliseconds / 100)\(milliseconds / 10 % 10)\(milliseconds % 10)"
    return "\(time("%Y-%m-%dT%H:%M:%S", nanoseconds, local: false)).\(fraction)Z"
  }

  /// "Nov 26 13:00:00".
  private static func localTime(_ nanoseconds: UInt64) -> String {
    time("%b %e %H:%M:%S", nanoseconds, local: true)
  }

  private static func time(_ format: String, _ nanoseconds: UInt64, local: Bool) -> String {
    var seconds = time_t(truncatingIfNeeded: nanoseconds / 1_000_000_000)
    var parts = tm()
    if local { localtime_r(&seconds, &parts) } else { gmtime_r(&seconds, &parts) }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
      guard let base = text.baseAddress, strftime(base, 64, format, &parts) > 0 else { return "" }
      return String(cString: base)
    }
  }
}
