// Sockets with names on this machine: a reader of records in the place of a file, systemd, syslog, DPDK's telemetry.
import Glibc

/// Sockets with names in the file system.
enum UnixSocket {
  /// The most octets that a name has: one of `sun_path` is for the zero behind it.
  static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// What stands behind `unix:`; nil for the name of a file.
  static func path(_ name: String) -> String? {
    name.hasPrefix("unix:") ? String(name.dropFirst(5)) : nil
  }

  /// Whether a socket can have this name.
  static func fits(_ path: String) -> Bool { path.utf8.count <= longestPath && !path.utf8.contains(0) }

  /// A stream socket that is connected to the one at `path`; -1 where nobody listens there, or cannot take one more. Never
  /// waits.
  static func connect(_ path: String) -> Int32 { connect(path, as: SOCK_STREAM) }

  /// A socket of another kind. A name that begins with zero is none of the file system's, but one in the kernel's own name
  /// space.
  static func connect(_ path: String, as kind: __socket_type) -> Int32 {
    var address = sockaddr_un()
    guard !path.utf8.isEmpty, path.utf8.count <= longestPath else { return -1 }
    address.sun_family = sa_family_t(AF_UNIX)
    let count = path.utf8.count
    withUnsafeMutableBytes(of: &address.sun_path) { place in
      path.withCString { text in
        var index = 0
        while index < count, index < longestPath {
          place[index] = UInt8(bitPattern: text[index])
          index &+= 1
        }
      }
    }
    // In the kernel's name space a name ends where the address does, else with a zero.
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    let length = start &+ count &+ (address.sun_path.0 == 0 ? 0 : 1)
    let type =
      Int32(truncatingIfNeeded: kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, type, 0)
    guard descriptor >= 0 else { return -1 }
    let code = withUnsafePointer(to: address) { address in
      // Safe: sockaddr_un is made to be seen as a socket address.
      Glibc.connect(
        descriptor, UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr.self),
        socklen_t(truncatingIfNeeded: length))
    }
    if code == 0 { return descriptor }
    let number = errno
    close(descriptor)
    errno = number
    return -1
  }
}
