// Files that a user names: read once, whole, and only where they are ordinary ones.
import Glibc

/// Reading a file that an option names.
public enum OrdinaryFile {
  /// Why a file cannot be read, for people.
  public struct Unreadable: Error {
    public let reason: String
  }

  /// All octets of the file.
  ///
  /// - Parameters:
  ///   - limit: the most octets that it may have.
  ///   - check: looks at what the file is before it is read; what is wrong with it, or nil.
  /// - Throws: it is no ordinary file, has more than `limit` octets, cannot be read, or did not please `check`.
  public static func contents(
    _ path: String, atMost limit: Int = 1 << 20, check: (stat) -> String? = { _ in nil }
  ) throws(Unreadable) -> [UInt8] {
    let descriptor = try open(path)
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Unreadable(reason: error(errno)) }
    if let wrong = check(status) { throw Unreadable(reason: wrong) }
    let octets = status.st_size <= limit ? try contents(of: descriptor, atMost: limit) : nil
    guard let octets, octets.count <= limit else {
      throw Unreadable(reason: "it has more than \(limit >> 20) MiB")
    }
    return octets
  }

  /// Opens the file to read it, and nothing else: a FIFO would be waited for, and a device has no end.
  ///
  /// - Returns: a descriptor, for the caller to close.
  public static func open(_ path: String) throws(Unreadable) -> CInt {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw Unreadable(reason: "\(error(errno)): check name and permissions") }
    var status = stat()
    guard fstat(descriptor, &status) == 0, let kind = kindOfOther(status.st_mode) else { return descriptor }
    close(descriptor)
    throw Unreadable(reason: "it is \(kind): name a file")
  }

  /// All that can be read from a descriptor; where that is more than `limit` octets, more than `limit` of them.
  public static func contents(of descriptor: CInt, atMost limit: Int = .max) throws(Unreadable) -> [UInt8] {
    var octets: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while octets.count <= limit {
      let count = part.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { break }
      if count > 0 {
        octets += part.prefix(count)
      } else if errno != EINTR {
        throw Unreadable(reason: error(errno))
      }
    }
    return octets
  }

  /// What a file of this mode is, in words, where that is no ordinary file.
  public static func kindOfOther(_ mode: mode_t) -> String? {
    switch mode & S_IFMT {
    case S_IFREG: return nil
    case S_IFDIR: return "a folder"
    case S_IFIFO: return "a FIFO"
    case S_IFSOCK: return "a socket"
    default: return "a device"
    }
  }

  private static func error(_ number: CInt) -> String { String(cString: strerror(number)) }
}
