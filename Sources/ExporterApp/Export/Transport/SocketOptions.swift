// Which way a collector's packets leave this machine, where the routes alone do not decide it.
import Glibc

/// What a collector's socket gets before it is connected.
struct SocketOptions: Equatable, Sendable {
  /// The local address.
  var source: SourceAddress?
  /// The interface's name.
  var interface: String?
  /// Differentiated Services.
  var codePoint: CodePoint?

  /// The family that hosts are looked up for: AF_UNSPEC for both.
  var family: Int32 { source?.family ?? AF_UNSPEC }

  /// Prepares a new socket; why that is not possible, nil when it is.
  func apply(to socket: Int32, family: Int32) -> String? {
    if let interface {
      let code = interface.withCString { name in
        setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(truncatingIfNeeded: strlen(name)))
      }
      if code != 0 {
        return errno == ENODEV
          ? "there is no interface '\(interface)'" : "cannot send through '\(interface)': \(errorText(errno))"
      }
    }
    if let codePoint {
      // The lower two bits are the kernel's, for congestion (RFC 3168).
      var value = Int32(codePoint.value) << 2
      let size = socklen_t(MemoryLayout<Int32>.size)
      let code =
        family == AF_INET6
        ? setsockopt(socket, Int32(IPPROTO_IPV6), IPV6_TCLASS, &value, size)
        : setsockopt(socket, Int32(IPPROTO_IP), IP_TOS, &value, size)
      if code != 0 { return "cannot set the DSCP: \(errorText(errno))" }
    }
    return source?.bind(socket)
  }
}

/// A local address to send from.
struct SourceAddress: Equatable, Sendable {
  /// As the user wrote it.
  let text: String
  /// AF_INET or AF_INET6.
  let family: Int32

  /// Takes a numeric address; one of IPv6 may have an interface behind `%`.
  init?(_ text: String) {
    self.text = text
    var version4 = in_addr()
    var version6 = in6_addr()
    if inet_pton(AF_INET, text, &version4) == 1 {
      family = AF_INET
    } else if inet_pton(AF_INET6, String(text.prefix { $0 != "%" }), &version6) == 1 {
      family = AF_INET6
    } else {
      return nil
    }
  }

  /// Gives the address to a socket; why that is not possible, nil when it is.
  fileprivate func bind(_ socket: Int32) -> String? {
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_flags = AI_NUMERICHOST
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(text, nil, &hints, &found) == 0, let address = found?.pointee else {
      return "there is no interface for the source address \(text)"
    }
    defer { freeaddrinfo(found) }
    // Several sockets may have the same port here, as long as their peers differ.
    var on: Int32 = 1
    setsockopt(
      socket, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, &on, socklen_t(MemoryLayout<Int32>.size))
    guard Glibc.bind(socket, address.ai_addr, address.ai_addrlen) != 0 else { return nil }
    return errno == EADDRNOTAVAIL
      ? "the source address \(text) is not this machine's" : "cannot send from \(text): \(errorText(errno))"
  }
}

/// A Differentiated Services code point (RFC 2474).
struct CodePoint: Equatable, Sendable {
  /// 0 to 63.
  let value: UInt8

  /// Reads a number or a name of IANA's registry: cs0 to cs7 (RFC 2474), af11 to af43 (RFC 2597), ef (RFC 3246), va (RFC
  /// 5865), le (RFC 8622).
  init?(_ text: String) {
    if let number = UInt8(text), number < 64, text.allSatisfy(\.isNumber) {
      value = number
      return
    }
    let digits = text.utf8.dropFirst(2).map { $0 &- UInt8(ascii: "0") }
    switch (text.prefix(2).lowercased(), digits.count) {
    case ("cs", 1) where digits[0] < 8: value = digits[0] << 3
    case ("af", 2) where (1...4).contains(digits[0]) && (1...3).contains(digits[1]):
      value = digits[0] << 3 | digits[1] << 1
    case ("ef", 0): value = 46
    case ("va", 0): value = 44
    case ("le", 0): value = 1
    default: return nil
    }
  }
}
