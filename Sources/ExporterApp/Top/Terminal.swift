// The terminal of `martlet top`: a screen of its own that is given back as it was, keys as they are pressed.
import Glibc
import Synchronization

/// Set by SIGINT, SIGTERM and SIGHUP: the screen is given back first.
private let isInterrupted = Atomic<Bool>(false)

/// Standard output and input as a screen with keys.
struct Terminal: ~Copyable {
  private var before = termios()

  /// Takes the screen.
  ///
  /// - Throws: standard input and output are no terminal.
  init() throws(Failure) {
    guard isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &before) == 0 else {
      throw .usage("martlet top draws on a terminal: give --once where there is none")
    }
    var settings = before
    settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { _ in isInterrupted.store(true, ordering: .relaxed) }
    }
    // Another screen, no cursor, no wrapping of lines.
    Self.put("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l")
  }

  deinit {
    Self.put("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l")
    var settings = before
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
  }

  /// Columns and rows now.
  var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return (80, 24)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Shows lines from the top; the first of them in reverse.
  func show(_ lines: [String]) {
    var text = "\u{1B}[H"
    for (index, line) in lines.enumerated() {
      text += index == 0 ? "\u{1B}[7m\(line)\u{1B}[0m\u{1B}[K" : "\r\n\(line)\u{1B}[K"
    }
    Self.put(text + "\u{1B}[J")
  }

  /// Waits for a key or the end of `milliseconds`; also ends when the window's size changes.
  ///
  /// - Returns: false where the user wants to end.
  func wait(milliseconds: Int32) -> Bool {
    var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    let ready = poll(&waiting, 1, milliseconds)
    if isInterrupted.load(ordering: .relaxed) { return false }
    guard ready > 0 else { return true }
    var keys = [UInt8](repeating: 0, count: 64)
    let count = read(STDIN_FILENO, &keys, keys.count)
    // The end of input is nobody who could press q.
    guard count > 0 else { return false }
    return !keys.prefix(count).contains {
      $0 == UInt8(ascii: "q") || $0 == UInt8(ascii: "Q") || $0 == 3 || $0 == 4
    }
  }

  private static func put(_ text: String) {
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let written = bytes[offset...].withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { return }
      offset += written
    }
  }
}
