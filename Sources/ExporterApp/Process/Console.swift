// Standard error and the three standard descriptors, which may be closed, full or stopped when the program needs them.
import Glibc
import Synchronization
import Wire

/// Descriptors 0 to 2, which every library takes for granted.
enum StandardDescriptors {
  private static let closed = Atomic<UInt8>(0)

  /// Opens /dev/null in the place of each that is closed, so that no other file gets its number and somebody's lines.
  /// First of all.
  ///
  /// - Throws: no descriptor is to be had.
  static func prepare() throws(Failure) {
    for descriptor in 0...2 as ClosedRange<Int32> where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest free number is this one: those below are open.
      let opened = open("/dev/null", O_RDWR)
      guard opened >= 0 else {
        throw .general(
          "standard descriptor \(descriptor) is closed and /dev/null cannot be opened (\(errorText(errno)))")
      }
      if opened != descriptor {
        dup2(opened, descriptor)
        close(opened)
      }
      closed.bitwiseOr(1 << UInt8(truncatingIfNeeded: descriptor), ordering: .relaxed)
    }
  }

  /// Whether the descriptor was closed when the program started.
  static func wasClosed(_ descriptor: Int32) -> Bool {
    closed.load(ordering: .relaxed) & 1 << UInt8(truncatingIfNeeded: descriptor) != 0
  }
}

/// Where goes what the program says while it runs, by `logger`: to standard error, a line at a time, unless `configure` names
/// another place. Every line of the program's own carries its name. A terminal that was stopped, a pipe that nobody empties and a log that does not keep up
/// hold nobody up: messages are left out then, and their number is said later.
enum Console {
  private struct State: ~Copyable {
    // All of this is zero at first: Swift 6.3's optimiser leaves nothing else in a global Mutex.
    /// What `configure` has been told; nothing before.
    private var configured = LogSettings()
    private var isConfigured = false
    var settings: LogSettings {
      get { isConfigured ? configured : LogSettings() }
      set {
        configured = newValue
        isConfigured = true
      }
    }
    /// The log that takes messages; nil for standard error.
    var log: LogSocket?
    /// Messages that found no room since the last one that did.
    var skipped = 0
    /// A status stands in the terminal's last line.
    var hasStatus = false
  }
  private static let state = Mutex(State())

  /// Octets that a pipe takes at once if it takes any (PIPE_BUF).
  private static let piece = 4096

  /// Says everything from here on as `settings` ask for it.
  ///
  /// - Throws: the log that they name is not there.
  static func configure(_ settings: LogSettings) throws(Failure) {
    var log: LogSocket?
    if let path = settings.destination.socketPath { log = try LogSocket(path: path) }
    state.withLock { state in
      state.settings = settings
      state.log = log.take()
    }
  }

  /// Goes to the begin of a terminal's line and erases it (ECMA-48, CR and EL).
  private static let eraseLine = "\r\u{1B}[K"

  /// Shows a line that the next one overwrites, for terminals only; empty for none.
  static func status(_ text: String) {
    state.withLock { state in
      guard state.skipped == 0, state.hasStatus || !text.isEmpty else { return }
      let line = text.isEmpty ? "" : "martlet: " + ShownText.cleaned(text)
      if put(eraseLine + line, wait: 0) { state.hasStatus = !text.isEmpty }
    }
  }

  /// What is less urgent than this is not said.
  static var level: LogLevel { state.withLock { $0.settings.level } }

  /// A table, line by line.
  static func table(_ text: String) {
    let isPlain = state.withLock { state in state.log == nil && state.settings.format == .text }
    guard isPlain else {
      for line in text.split(separator: "\n") { say(LogMessage(level: .info, text: String(line))) }
      return
    }
    state.withLock { state in
      guard state.settings.level.severity >= LogLevel.info.severity else { return }
      guard state.skipped == 0 else {
        state.skipped &+= 1
        return
      }
      if state.hasStatus { state.hasStatus = !put(eraseLine, wait: 0) }
      if !put(text, wait: 500) { state.skipped &+= 1 }
    }
  }

  /// Says one message in a single write, so that lcores' lines do not mix.
  static func say(_ message: LogMessage) {
    let now = Clock.system()
    state.withLock { state in
      guard message.level.severity <= state.settings.level.severity else { return }
      if state.skipped > 0 {
        let place = state.log == nil ? "standard error" : "the log"
        let missing = LogMessage(
          level: .info, text: "\(state.skipped) lines were left out here: \(place) was stalled")
        guard deliver(missing, &state, now: now, wait: 0) else {
          state.skipped &+= 1
          return
        }
        state.skipped = 0
      }
      // Once it is stalled nobody waits for it any more, until it takes something.
      if !deliver(message, &state, now: now, wait: 100) { state.skipped &+= 1 }
    }
  }

  /// Brings a message where it goes; false where there is no room for it within `wait` milliseconds.
  private static func deliver(_ message: LogMessage, _ state: inout State, now: UInt64, wait: Int32) -> Bool {
    let settings = state.settings
    guard state.log != nil else {
      if state.hasStatus { state.hasStatus = !put(eraseLine, wait: 0) }
      return put(message.line(settings.format, nanoseconds: now), wait: wait)
    }
    return state.log?.send(message.datagram(settings.destination, settings.format, nanoseconds: now)) ?? true
  }

  /// Writes to standard error as long as it takes something within `wait` milliseconds.
  private static func put(_ text: String, wait: Int32) -> Bool {
    // Strings that Swift makes lie in one piece.
    text.utf8.withContiguousStorageIfAvailable { put(Bytes(UnsafeRawBufferPointer($0)), wait: wait) } ?? true
  }

  private static func put(_ bytes: Bytes, wait: Int32) -> Bool {
    var offset = 0
    while offset < bytes.count {
      var waiting = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
      let ready = poll(&waiting, 1, wait)
      if ready < 0, errno == EINTR { continue }
      guard ready > 0, waiting.revents & Int16(POLLOUT) != 0 else { return false }
      let part = bytes.dropFirst(offset).prefix(piece)
      let written = write(STDERR_FILENO, part.base, part.count)
      if written < 0, errno == EINTR || errno == EAGAIN { continue }
      // Who closed it wants no lines.
      guard written > 0 else { return true }
      offset &+= written
    }
    return true
  }

  /// Text as it is on standard output, for help; waits for who reads it.
  ///
  /// - Throws: it cannot be written.
  static func answer(_ text: String) throws(Failure) {
    guard !StandardDescriptors.wasClosed(STDOUT_FILENO) else {
      throw .general("cannot write standard output: it was closed when the program started")
    }
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let written = bytes[offset...].withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if written > 0 {
        offset &+= written
      } else if errno == EPIPE {
        return
      } else if errno != EINTR {
        throw .general("cannot write standard output: \(errorText(errno))")
      }
    }
  }
}
