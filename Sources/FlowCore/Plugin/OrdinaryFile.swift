// Files that an option names: read once, whole, and only where they are ordinary ones.
import Glibc

/// Reading a file that an option names.
enum OrdinaryFile {
  /// Why a file cannot be read, for people.
  struct Unreadable: Error {
    let reason: String
  }

  /// All octets of the file.
  ///
  /// - Parameters:
  ///   - limit: the most octets that it may have.
  ///   - check: looks at what the file is before it is read; what is wrong with it, or nil.
  /// - Throws: it is no ordinary file, has more than `limit` octets, cannot be read, or did not please `check`.
  static func contents(
    _ path: String, atMost limit: Int, check: (stat) -> String? = { _ in nil }
  ) throws(Unreadable) -> [UInt8] {
    // Without waiting: a FIFO that nobody writes to would hold up the start for ever.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard file >= 0 else { throw Unreadable(reason: String(cString: strerror(errno))) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Unreadable(reason: "it is not an ordinary file")
    }
    if let wrong = check(status) { throw Unreadable(reason: wrong) }
    guard status.st_size <= limit else { throw Unreadable(reason: "it has more than \(limit >> 20) MiB") }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while bytes.count <= limit {
      let count = read(file, &part, part.count)
      guard count >= 0 else { throw Unreadable(reason: String(cString: strerror(errno))) }
      if count == 0 { break }
      bytes += part[..<count]
    }
    guard bytes.count <= limit else { throw Unreadable(reason: "it has more than \(limit >> 20) MiB") }
    return bytes
  }
}
