// The program's logger, by swift-log: `logger.warning("…")` says something from any file and any lcore but on the packet path,
// and Console brings it where the settings say.
import Logging

/// What the program says of itself, at the levels of `LogLevel`: `error` why it ends or what is lost for good, `warning` what
/// does not stop it, `info` what it does, `debug` what only who looks for a mistake wants to know.
let logger = Logger(label: "martlet") { _ in ConsoleHandler() }

/// Gives swift-log's events to Console, which has the level, the form and the place of all of them.
struct ConsoleHandler: LogHandler {
  var metadata: Logger.Metadata = [:]

  /// `--log-level`, whichever it is now: one setting for all loggers.
  var logLevel: Logger.Level {
    get { Console.level.swiftLog }
    set {}
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { Console.say(message(event)) }

  /// What is said of an event: its words, and the metadata behind them, by name.
  func message(_ event: LogEvent) -> LogMessage {
    let pairs = metadata.merging(event.metadata ?? [:]) { _, new in new }
    let words = pairs.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    return LogMessage(level: LogLevel(event.level), text: "\(event.message)\(words)")
  }
}

extension LogLevel {
  /// The level that is said at `level`, or what comes next to it.
  init(_ level: Logger.Level) {
    self =
      switch level {
      case .critical, .error: .error
      case .warning: .warning
      case .notice, .info: .info
      case .debug, .trace: .debug
      }
  }

  /// The least urgent of swift-log's levels that is said at this one.
  fileprivate var swiftLog: Logger.Level {
    switch self {
    case .error: .error
    case .warning: .warning
    case .info: .info
    case .debug: .trace
    }
  }
}
