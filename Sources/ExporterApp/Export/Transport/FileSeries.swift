// Files that follow one another, each hidden under a temporary name until it is complete: who finds one by its final name
// finds all of it.
import CSockets
import Glibc

/// The files that one output writes, one at a time.
struct FileSeries {
  /// Their names.
  let pattern: FilePattern
  /// When the next one begins.
  let rotation: FileRotation
  /// The name that the file gets when it is complete, without extensions.
  private var stem = ""
  /// The path that it has until then.
  private(set) var temporary = ""
  /// When it was begun: nanoseconds since 1970; with an interval, that one's beginning.
  private var begun: UInt64 = 0
  /// The name that was given last, and the next number for it.
  private var given = (stem: "", next: 0)

  /// Numbers of one name that are tried.
  private static let mostNumbers = 1_000_000

  /// A series of which no file exists yet.
  init(_ pattern: FilePattern, _ rotation: FileRotation) {
    self.pattern = pattern
    self.rotation = rotation
  }

  /// Creates the next file, locked for as long as it is open; its descriptor.
  ///
  /// The kernel gives the lock back when the process ends, however it does, so that `leftovers` knows whose a file is.
  ///
  /// - Parameter now: nanoseconds since 1970.
  mutating func begin(now: UInt64) throws(ExportError) -> Int32 {
    let seconds = now / 1_000_000_000
    let start = rotation.interval.map { seconds &- seconds % max($0, 1) } ?? seconds
    begun = start &* 1_000_000_000
    stem = pattern.stem(at: start)
    var number = 0
    while true {
      temporary = pattern.temporaryPath(stem, number)
      let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_APPEND
      let opened = open(temporary, flags, 0o640)
      let code = errno
      if opened >= 0 {
        flock(opened, LOCK_EX | LOCK_NB)
        FileOwner.give(opened)
        return opened
      }
      guard code == EEXIST, number < Self.mostNumbers else {
        throw .cannotOpen(path: pattern.path(stem, 0), code: code)
      }
      number &+= 1
    }
  }

  /// When the file's time is over, in nanoseconds since 1970; nil: never.
  var end: UInt64? { rotation.interval.map { begun &+ $0 &* 1_000_000_000 } }

  /// Whether the file's time is over; so it is, too, where the clock was set back by more than an interval.
  func isOver(now: UInt64) -> Bool {
    guard let end, let interval = rotation.interval else { return false }
    return now >= end || now &+ interval &* 1_000_000_000 < begun
  }

  /// Gives the complete file, which is closed, its name; with a number behind it where there is a file of that name.
  mutating func publish() throws(ExportError) {
    var number = given.stem == stem ? given.next : 0
    while true {
      let path = pattern.path(stem, number)
      guard martlet_rename_new(temporary, path) != 0 else { break }
      let code = errno
      guard code == EEXIST, number < Self.mostNumbers else {
        throw .cannotName(path: path, temporary: temporary, code: code)
      }
      number &+= 1
    }
    given = (stem, number &+ 1)
  }

  /// Files in the directory with temporary names of this series that no process writes: a run was killed.
  func leftovers() -> [String] {
    SystemFiles.names(in: pattern.directory.isEmpty ? "." : pattern.directory, hidden: true)
      .filter { pattern.isTemporary($0) && Self.isAbandoned(pattern.directory + $0) }
      .sorted()
      .map { pattern.directory + $0 }
  }

  private static func isAbandoned(_ path: String) -> Bool {
    let opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard opened >= 0 else { return false }
    defer { close(opened) }
    return flock(opened, LOCK_SH | LOCK_NB) == 0
  }
}
