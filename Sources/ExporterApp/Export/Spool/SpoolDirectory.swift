// A collector's part of --spool's directory: one program has it at a time, and its name says whose it is.
import Glibc
import Wire

/// A collector's directory, held until `release`.
struct SpoolDirectory: ~Copyable {
  /// Its path.
  let path: String
  private var lock: Int32

  /// Makes `name` in `parent`, and `parent` itself, where they are not there yet, and takes the lock.
  ///
  /// - Throws: the directory cannot be made or written, or somebody has it.
  init(_ parent: String, name: String) throws(ExportError) {
    let path = "\(parent)/\(name)"
    lock = try Self.locked(parent, path)
    self.path = path
  }

  /// Makes the directories and takes the lock; the lock's descriptor.
  private static func locked(_ parent: String, _ path: String) throws(ExportError) -> Int32 {
    for directory in [parent, path] {
      if mkdir(directory, 0o750) == 0 {
        FileOwner.give(path: directory, O_DIRECTORY)
      } else if errno != EEXIST {
        throw .cannotSpool(path: directory, code: errno)
      }
    }
    let lock = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
    guard lock >= 0 else { throw .cannotSpool(path: path, code: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(lock)
      throw code == EWOULDBLOCK ? .spoolInUse(path: path) : .cannotSpool(path: path, code: code)
    }
    // The lock, and what earlier runs left.
    FileOwner.give(folder: path)
    return lock
  }

  deinit { if lock >= 0 { close(lock) } }

  /// Lets another one have it.
  mutating func release() {
    if lock >= 0 { close(lock) }
    lock = -1
  }

  /// The file that says how far delivery is.
  var statePath: String { "\(path)/state" }

  /// What the segments' names end with.
  static let suffix = ".segment"

  /// The path of the segment whose first message has this number.
  func segmentPath(_ number: UInt64) -> String {
    let digits = String(number)
    return "\(path)/\(String(repeating: "0", count: max(0, 20 &- digits.count)))\(digits)\(Self.suffix)"
  }

  /// The paths of all segments, the oldest first.
  var segmentPaths: [String] {
    SystemFiles.names(in: path).filter { $0.hasSuffix(Self.suffix) }.sorted().map { "\(path)/\($0)" }
  }

  /// A name for a collector's directory: letters, digits, `.` and `-` as they are, `%XX` for each other octet.
  static func name(_ words: [String]) -> String {
    words.map { word in
      word.utf8.map { octet in
        let scalar = UnicodeScalar(octet)
        let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || (48...57).contains(octet))
        if isPlain || octet == UInt8(ascii: "-") || octet == UInt8(ascii: ".") { return String(scalar) }
        let digits = String(octet, radix: 16, uppercase: true)
        return digits.count < 2 ? "%0\(digits)" : "%\(digits)"
      }.joined()
    }.joined(separator: "_")
  }

  /// The names of the directories in `parent` that have segments: what waits for collectors.
  static func waiting(in parent: String) -> [String] {
    SystemFiles.names(in: parent).filter { name in
      SystemFiles.names(in: "\(parent)/\(name)").contains { $0.hasSuffix(suffix) }
    }.sorted()
  }
}
