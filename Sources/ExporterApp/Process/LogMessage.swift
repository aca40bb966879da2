// One message in each form in which it leaves the program.
import Glibc

/// Something that the program says.
struct LogMessage {
  var level: LogLevel
  var text: String

  /// The line for standard error, with its end: the program's name and the level where that is a warning, or an object.
  func line(_ format: LogFormat, nanoseconds: UInt64) -> String {
    switch format {
    case .text: level == .warning ? "martlet: warning: \(text)\n" : "martlet: \(text)\n"
    case .json: json(nanoseconds: nanoseconds) + "\n"
    }
  }

  /// The datagram for a log's socket.
  ///
  /// - Parameter nanoseconds: since 1970.
  func datagram(_ destination: LogDestination, _ format: LogFormat, nanoseconds: UInt64) -> [UInt8] {
    let words = format == .json ? json(nanoseconds: nanoseconds) : text
    guard destination == .journald else {
      // RFC 3164, as libc's syslog() writes it: facility daemon, local time, no host.
      return Array(
        "<\(3 << 3 | level.severity)>\(Self.localTime(nanoseconds)) martlet[\(getpid())]: \(words)".utf8)
    }
    // https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: a field that may have line ends has its length before it.
    let bytes = Array(words.utf8)
    let length = withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { Array($0) }
    return Array("PRIORITY=\(level.severity)\nSYSLOG_IDENTIFIER=martlet\nMESSAGE\n".utf8) + length + bytes + [
      0x0A
    ]
  }

  /// The message as an object of JSON (RFC 8259) with the time in UTC (RFC 3339).
  private func json(nanoseconds: UInt64) -> String {
    "{\"time\":\"\(Self.utc(nanoseconds))\",\"level\":\"\(level.rawValue)\",\"message\":\"\(Self.escaped(text))\"}"
  }

  /// "2026-11-26T13:00:00.123Z".
  static func utc(_ nanoseconds: UInt64) -> String {
    let milliseconds = nanoseconds / 1_000_000 % 1000
    let fraction = String(String(milliseconds + 1000).dropFirst())
    return Self.time("%Y-%m-%dT%H:%M:%S", nanoseconds, local: false) + ".\(fraction)Z"
  }

  /// "Nov 26 13:00:00".
  private static func localTime(_ nanoseconds: UInt64) -> String {
    time("%b %e %H:%M:%S", nanoseconds, local: true)
  }

  private static func time(_ format: String, _ nanoseconds: UInt64, local: Bool) -> String {
    var seconds = time_t(clamping: nanoseconds / 1_000_000_000)
    var parts = tm()
    if local { localtime_r(&seconds, &parts) } else { gmtime_r(&seconds, &parts) }
    var text = [CChar](repeating: 0, count: 64)
    let count = strftime(&text, text.count, format, &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Text within the quotes of a JSON string.
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": escaped += "\\\""
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\t": escaped += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
