// What the spool's thread has to itself: the log, the state's file, and what it says when the disk does not take them.
import Glibc
import Wire

/// The files of a spool. One thread has them.
struct SpoolWorker: ~Copyable {
  var log: SpoolLog
  private var reader = SpoolReader()
  private let stateFile: Int32
  private var saved = SpoolState()
  /// The chunk's unit that is to be written next.
  private var unit = 0
  /// The first message of the chunk that `unit` is about.
  private var chunk: UInt64 = .max
  private var complaint: Complaint
  private let path: String
  /// Nanoseconds of the monotonic clock before which a disk that failed is left alone.
  private var retryAt: UInt64 = 0
  /// Between two attempts.
  private static let pause: UInt64 = 200_000_000

  /// Takes the files over.
  init(log: consuming SpoolLog, stateFile: Int32, path: String) {
    self.log = log
    self.stateFile = stateFile
    self.path = path
    complaint = Complaint(name: path)
  }

  deinit { close(stateFile) }

  /// What the state's file says; nil when it says nothing.
  func readState() -> SpoolState? {
    let memory = OwnedBytes(count: SpoolState.length)
    let count = pread(stateFile, memory.base, memory.count, 0)
    return count == memory.count ? SpoolState(memory.view(0, count)) : nil
  }

  /// Writes the state's file; 0 or an errno.
  func writeState(_ state: SpoolState) -> Int32 {
    let count = state.encoded().withBytes { pwrite(stateFile, $0.base, $0.count, 0) }
    return count == SpoolState.length ? 0 : count < 0 ? errno : EIO
  }

  /// Writes the state's file where something is new.
  mutating func save(_ state: SpoolState) {
    guard state != saved, writeState(state) == 0 else { return }
    saved = state
  }

  /// Has reading begin at the message with this number.
  mutating func seek(_ number: UInt64) { reader.seek(number) }

  /// The next messages that are on the disk; see `SpoolReader`.
  mutating func next() -> SpoolChunk? { reader.next(log) }

  /// Whether a disk that failed was left alone for long enough.
  var mayTry: Bool { retryAt == 0 || Clock.monotonic() >= retryAt }

  /// Writes what is left of a chunk.
  mutating func write(_ next: SpoolChunk) -> SpoolLog.Outcome {
    if chunk != next.first.message {
      chunk = next.first.message
      unit = 0
    }
    return log.append(next, from: &unit)
  }

  /// Says what is wrong, or that it is over; one short line, empty when all is well.
  mutating func note(_ outcome: SpoolLog.Outcome) -> String {
    let text: String
    switch outcome {
    case .done:
      retryAt = 0
      complaint.resolve("goes on")
      return ""
    case .full: text = "the spool is full: give --spool a larger SIZE, or look after the collector"
    case .failed(ENOSPC), .failed(EDQUOT): text = "the disk is full: make room; trying again"
    case .failed(let code): text = "cannot write: \(errorText(code)); trying again"
    }
    retryAt = Clock.monotonic() &+ Self.pause
    complaint.say(text)
    return "\(path): \(text)"
  }
}
