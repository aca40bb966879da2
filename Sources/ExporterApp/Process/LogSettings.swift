// What becomes of what the program says while it runs: how much of it, in which form, and where it goes.

/// How urgent a message is, the most urgent first.
enum LogLevel: String, CaseIterable, Sendable {
  /// The program ends, or something is lost for good.
  case error
  /// Something is not as it should be, and the program goes on.
  case warning
  /// What the program does, counters included.
  case info
  /// What only who looks for a mistake wants to know.
  case debug

  /// The severity of RFC 5424 section 6.2.1, which syslog and journald use.
  var severity: Int {
    switch self {
    case .error: 3
    case .warning: 4
    case .info: 6
    case .debug: 7
    }
  }
}

/// The form of a message.
enum LogFormat: String, CaseIterable, Sendable {
  /// Words for people.
  case text
  /// An object with time, level and message.
  case json
}

/// Where messages go.
enum LogDestination: String, CaseIterable, Sendable {
  case stderr
  /// Whoever listens at /dev/log, facility daemon.
  case syslog
  /// systemd's journal, in its own protocol.
  case journald

  /// The socket that takes messages; nil for standard error.
  var socketPath: String? {
    switch self {
    case .stderr: nil
    case .syslog: "/dev/log"
    case .journald: "/run/systemd/journal/socket"
    }
  }
}

/// `--log-level`, `--log-format` and `--log-to`.
struct LogSettings: Sendable {
  /// What is less urgent is left out.
  var level = LogLevel.info
  var format = LogFormat.text
  var destination = LogDestination.stderr
}
