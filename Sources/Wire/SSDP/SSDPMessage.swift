// SSDP's messages, HTTP's in datagrams (UPnP Device Architecture 2.0 sections 1.2 and 1.3).

/// The headers of an announcement or a search.
///
///     NOTIFY * HTTP/1.1 CRLF            M-SEARCH * HTTP/1.1 CRLF
///     name: value CRLF …                name: value CRLF …
///     CRLF                              CRLF
package struct SSDPMessage: BitwiseCopyable {
  package enum Kind: BitwiseCopyable { case notify, search }

  package let kind: Kind
  private var rest: Bytes

  /// A message that begins with one of the two methods; nil for all else, answers too.
  package init?(_ bytes: Bytes) {
    if bytes.starts(with: "NOTIFY ") {
      kind = .notify
    } else if bytes.starts(with: "M-SEARCH ") {
      kind = .search
    } else {
      return nil
    }
    rest = bytes
    _ = nextLine()
  }

  /// The next header; nil behind the last one, and for a line that was cut.
  package mutating func nextHeader() -> (name: Bytes, value: Bytes)? {
    while let line = nextLine(), !line.isEmpty {
      if let colon = line.firstIndex(of: 0x3A) {
        return (line.prefix(colon).withoutBlanks, line.dropFirst(colon &+ 1).withoutBlanks)
      }
    }
    return nil
  }

  /// The next line without its end. Each takes at least one byte of the rest.
  private mutating func nextLine() -> Bytes? {
    guard let end = rest.index(of: 0x0A, from: 0) else { return nil }
    let line = rest.prefix(end).withoutReturn
    rest = rest.dropFirst(end &+ 1)
    return line
  }
}

/// The port that a URL names (RFC 3986 section 3.2), nil without one.
///
///     scheme://[user@]host:port/…       host may be [IPv6 address]
package func portOfURL(_ url: Bytes) -> UInt16? {
  var index = 0
  while index < url.count, !url.dropFirst(index).starts(with: "://") { index &+= 1 }
  let rest = url.dropFirst(index &+ 3)
  var end = 0
  var start: Int?
  var isInBrackets = false
  while end < rest.count {
    let byte = rest[end]
    if byte == 0x2F || byte == 0x3F || byte == 0x23 { break }
    switch byte {
    case 0x5B: isInBrackets = true
    case 0x5D: isInBrackets = false
    case 0x3A: if !isInBrackets { start = end &+ 1 }
    case 0x40: start = nil
    default: break
    }
    end &+= 1
  }
  guard let start else { return nil }
  return port(of: rest.prefix(end).dropFirst(start))
}

/// A number as C's `strtol` reads it: hexadecimal after `0x`, octal after `0`. Nil where it is 0, or no port.
private func port(of digits: Bytes) -> UInt16? {
  var base: UInt32 = 10
  var index = 0
  if digits.beginsInAnyCase(with: "0x") {
    (base, index) = (16, 2)
  } else if digits.starts(with: "0") {
    (base, index) = (8, 1)
  }
  var value: UInt32 = 0
  while index < digits.count {
    guard let digit = digits[index].hexadecimalDigit, digit < base else { break }
    value = value &* base &+ UInt32(digit)
    if value > 0xFFFF { return nil }
    index &+= 1
  }
  return value == 0 ? nil : UInt16(truncatingIfNeeded: value)
}
