// What may stand in a TCP stream right before a hello's first record: the header by which a proxy passes on addresses,
// and warnings.
//
//     PROXY protocol 1:  PROXY TCP4 192.0.2.1 198.51.100.2 40000 443 \r \n        at most 107 bytes
//     PROXY protocol 2:  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version, command 1 | family 1 | length 2 | addresses …
//     warning:           21 | 3.x | 0 2 | 1 | description 1                       an alert record (RFC 5246 section 7.2)

extension TLS {
  /// How the bytes at some place of a stream begin.
  package enum Preamble {
    /// As a record, or as something else.
    case none
    /// As a preamble whose end is not there yet.
    case incomplete
    /// As a preamble of this length.
    case whole(Int)

    private static let alert: UInt8 = 21
    private static let line: StaticString = "PROXY "
    private static let longestLine = 107
    private static let signature: StaticString = "\r\n\r\n\0\r\nQUIT\n"

    @inline(__always)
    package init(_ bytes: Bytes) {
      self = .none
      guard bytes.count > 0 else { return }
      switch bytes[0] {
      case Preamble.alert: self = Preamble.warning(bytes)
      case 0x50: self = Preamble.line(bytes)
      case 0x0D: self = Preamble.header(bytes)
      default: break
      }
    }

    private static func warning(_ bytes: Bytes) -> Preamble {
      var index = 0
      while index < min(5, bytes.count &- 1) {
        index &+= 1
        let byte = bytes[index]
        let isRight =
          switch index {
          case 1: byte == 3
          case 2: byte <= 4
          case 3: byte == 0
          case 4: byte == 2
          default: byte == 1
          }
        if !isRight { return .none }
      }
      return bytes.count < 7 ? .incomplete : .whole(7)
    }

    private static func line(_ bytes: Bytes) -> Preamble {
      guard bytes.agrees(with: line) else { return .none }
      guard let end = bytes.prefix(longestLine).firstIndex(of: 0x0A) else {
        return bytes.count < longestLine ? .incomplete : .none
      }
      return bytes[end &- 1] == 0x0D ? .whole(end &+ 1) : .none
    }

    private static func header(_ bytes: Bytes) -> Preamble {
      guard bytes.agrees(with: signature) else { return .none }
      guard bytes.count >= 16 else { return .incomplete }
      let length = 16 &+ Int(bytes.load(UInt16.self, at: 14))
      guard bytes[12] >> 4 == 2, length < TLS.longestHello else { return .none }
      return bytes.count < length ? .incomplete : .whole(length)
    }
  }
}

extension Bytes {
  /// True when the bytes begin with `text`, or are the beginning of it.
  @inline(__always)
  fileprivate func agrees(with text: StaticString) -> Bool {
    var index = 0
    while index < Swift.min(count, text.utf8CodeUnitCount) {
      if self[index] != text.utf8Start[index] { return false }
      index &+= 1
    }
    return true
  }
}
