// How far a long run over captures is, on a terminal: a line that is overwritten, and gone at the end.
import Glibc

/// The progress of reading, where somebody looks on.
struct ReadingProgress {
  /// Whether there is anybody to show it to: standard error is a terminal, and no records are shown on one.
  private let isShown: Bool
  /// Bytes of all captures that are files; nil where one is not, whose length nobody knows.
  private let total: UInt64?
  /// Bytes of the captures before this one, and of this one where it is a pipe.
  private var before: UInt64 = 0
  /// The file that is read, and its length.
  private var name = ""
  private var length: UInt64 = 0
  private let start = Clock.monotonic()
  private var nextLook: UInt64
  private var bursts = 0

  /// Nanoseconds before the first line and from one to the next.
  private static let interval: UInt64 = 500_000_000
  /// Bursts from one look at the clock to the next.
  private static let stride = 64

  init(_ configuration: RunConfiguration, exports: [OutputPlan.Entry]) {
    let showsRecords = exports.contains { entry in
      if case .file(_, nil) = entry.url.destination { true } else { false }
    }
    let isWatched = isatty(STDERR_FILENO) == 1 && !(showsRecords && isatty(STDOUT_FILENO) == 1)
    isShown = isWatched && configuration.stats == nil
    let lengths = configuration.captures.map(Self.length)
    total = lengths.contains(nil) ? nil : lengths.reduce(0) { $0 &+ ($1 ?? 0) }
    nextLook = start &+ 2 &* Self.interval
  }

  /// The length of a regular file; nil for others.
  private static func length(_ path: String) -> UInt64? {
    var status = stat()
    guard path != "-", stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return UInt64(clamping: status.st_size)
  }

  /// A capture begins.
  mutating func begin(_ capture: borrowing Capture) {
    before &+= length
    name = capture.name.split(separator: "/").last.map(String.init) ?? capture.name
    length = capture.name == "standard input" ? 0 : Self.length(capture.name) ?? 0
  }

  /// A packet was read: those of pipes are counted, which have no position.
  mutating func took(captured: Int) {
    if length == 0 { before &+= UInt64(clamping: captured) }
  }

  /// A burst was read: shows how far it is, when it is time.
  mutating func look(at capture: borrowing Capture) {
    guard isShown else { return }
    bursts &+= 1
    guard bursts % Self.stride == 0 else { return }
    let now = Clock.monotonic()
    guard now >= nextLook else { return }
    nextLook = now &+ Self.interval
    // A longer line would go on in the next one, where nothing overwrites it.
    Console.status(
      String(text(read: before &+ capture.position, seconds: Double(now &- start) / 1e9).prefix(70)))
  }

  /// All is read.
  func end() { if isShown { Console.status("") } }

  /// `45% of 1.23G bytes, 320M bytes/s, 12 s left: big.pcap`.
  func text(read: UInt64, seconds: Double) -> String {
    let rate = Double(read) / max(seconds, 1e-9)
    let speed = "\(ScaledNumber.text(rate: rate)) bytes/s"
    guard let total, total > 0 else { return "\(ScaledNumber.text(read)) bytes, \(speed): \(name)" }
    let share = Int(Double(min(read, total)) / Double(total) * 100)
    let left = rate > 0 ? Double(total &- min(read, total)) / rate : 0
    return "\(share)% of \(ScaledNumber.text(total)) bytes, \(speed), \(Self.time(left)) left: \(name)"
  }

  /// `45 s`, `3 min 20 s`, `2 h 5 min`.
  private static func time(_ seconds: Double) -> String {
    let whole = Int(min(seconds.rounded(.up), 1e9))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
