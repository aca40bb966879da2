// Where a file's name could stand there may be a Unix socket's: a reader on this machine that listens.
import Glibc

/// Stream sockets with names in the file system.
enum UnixSocket {
  /// The most octets that a name has: one of `sun_path` is for the zero behind it.
  static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// What stands behind `unix:`; nil for the name of a file.
  static func path(_ name: String) -> String? {
    name.hasPrefix("unix:") ? String(name.dropFirst(5)) : nil
  }

  /// Whether a socket can have this name.
  static func fits(_ path: String) -> Bool { path.utf8.count <= longestPath && !path.utf8.contains(0) }

  /// A socket that is connected to the one at `path`; -1 where nobody listens there, or cannot take one more. Never waits.
  static func connect(_ path: String) -> Int32 {
    var address = sockaddr_un()
    guard path.utf8.count <= longestPath else { return -1 }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { place in
      path.withCString { text in
        var index = 0
        while index < longestPath, text[index] != 0 {
          place[index] = UInt8(bitPattern: text[index])
          index &+= 1
        }
      }
    }
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, type, 0)
    guard descriptor >= 0 else { return -1 }
    let code = withUnsafePointer(to: address) { address in
      // Safe: sockaddr_un is made to be seen as a socket address.
      Glibc.connect(
        descriptor, UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    if code == 0 { return descriptor }
    close(descriptor)
    return -1
  }
}
