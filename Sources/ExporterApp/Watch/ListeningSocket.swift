// A TCP socket that waits for who asks: opened by Martlet itself, so that what is wrong with the address is said in its words.
import Glibc

/// A listening socket, closed with its owner unless somebody took it.
struct ListeningSocket: ~Copyable {
  private let descriptor: Int32

  /// Connections that the system takes before they are asked for. Those beyond are tried again by their clients after a second,
  /// then after two more, and so on: a crowd should find room.
  private static let waiting: Int32 = 1024

  /// Listens at `address`.
  ///
  /// - Throws: why that is not possible.
  init(_ address: ListenAddress) throws(Failure) { descriptor = try Self.listening(address) }

  /// The descriptor of a socket that listens at `address`.
  private static func listening(_ address: ListenAddress) throws(Failure) -> Int32 {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address.host, String(address.port), &hints, &found) == 0, let place = found?.pointee
    else {
      throw .usage(
        "--metrics \(address): '\(address.host)' is no numeric address: give one of this machine's")
    }
    defer { freeaddrinfo(found) }
    let descriptor = socket(place.ai_family, place.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    // The address of a run that has just ended can be had again at once.
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
    if place.ai_family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
    if descriptor >= 0, bind(descriptor, place.ai_addr, place.ai_addrlen) == 0,
      listen(descriptor, waiting) == 0
    {
      return descriptor
    }
    let number = errno
    if descriptor >= 0 { close(descriptor) }
    throw .general(
      "--metrics \(address): \(errorText(number)): "
        + (number == EADDRINUSE ? "give a port that nobody listens on" : "give an address of this machine's"))
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The socket, for somebody who will close it.
  consuming func take() -> Int32 {
    let descriptor = descriptor
    discard self
    return descriptor
  }
}
