// The names of NetBIOS' name service, whose messages are DNS' but for the names (RFC 1001 section 14.1, RFC 1002 section 4.2).

/// Fifteen characters, filled up with blanks, and the suffix that says which service has the name.
package struct NetBIOSName: BitwiseCopyable, Equatable {
  /// The first and the last eight of the sixteen bytes, as numbers in network byte order.
  package var first: UInt64 = 0
  package var last: UInt64 = 0

  /// The number of bytes that are encoded.
  package static var length: Int { 16 }
  /// The length of a DNS header, and the label's: each byte is sent as two letters, A to P, of four bits each.
  private static var headerLength: Int { 12 }
  private static var labelLength: UInt8 { 32 }

  /// The name of the first question of a message; nil where there is none.
  ///
  ///     | id 2 | flags 2 | questions 2 | answers 2 | authorities 2 | additional 2 | 32 | name 32 | scope … | type 2 | class 2 |
  package init?(questionOf message: Bytes) {
    guard message.count > Self.headerLength &+ Int(Self.labelLength), message.load(UInt16.self, at: 4) > 0,
      message[Self.headerLength] == Self.labelLength
    else { return nil }
    let label = message.slice(Self.headerLength &+ 1, Int(Self.labelLength))
    guard let first = Self.decode(label.prefix(16)), let last = Self.decode(label.dropFirst(16)) else {
      return nil
    }
    (self.first, self.last) = (first, last)
  }

  /// Sixteen letters as eight bytes; nil where one is none of A to P.
  private static func decode(_ letters: Bytes) -> UInt64? {
    var value: UInt64 = 0
    var index = 0
    while index < letters.count {
      let half = letters[index] &- 0x41
      guard half < 16 else { return nil }
      value = value << 4 | UInt64(half)
      index &+= 1
    }
    return value
  }
}
