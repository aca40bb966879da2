// ASN.1's distinguished encoding (X.690), as far as certificates need it.

/// Reads elements that stand one behind the other:
///
///     | tag 1 | length 1: below 0x80, or 0x80 + n | n bytes of length | contents … |
package struct DERReader: BitwiseCopyable {
  /// Tags that certificates have (X.690 section 8, X.680 section 8.6).
  package enum Tag {
    package static let integer: UInt8 = 0x02
    package static let bitString: UInt8 = 0x03
    package static let objectIdentifier: UInt8 = 0x06
    package static let utcTime: UInt8 = 0x17
    package static let generalizedTime: UInt8 = 0x18
    package static let teletexString: UInt8 = 0x14
    package static let universalString: UInt8 = 0x1C
    package static let twoByteString: UInt8 = 0x1E
    package static let sequence: UInt8 = 0x30
    package static let set: UInt8 = 0x31
    /// `[0]`, constructed: a certificate's version.
    package static let first: UInt8 = 0xA0
  }

  private var rest: Bytes

  package init(_ bytes: Bytes) { rest = bytes }

  /// The next element; nil at the end, where its length leads past it, and where its tag or length has more bytes than any in a
  /// certificate. Each takes at least two bytes.
  package mutating func next() -> (tag: UInt8, contents: Bytes)? {
    guard rest.count >= 2, rest[0] & 0x1F != 0x1F else { return nil }
    var (head, length) = (2, Int(rest[1]))
    if length >= 0x80 {
      let lengthBytes = length & 0x7F
      guard lengthBytes >= 1, lengthBytes <= 3, rest.count >= 2 &+ lengthBytes else { return nil }
      length = 0
      while head < 2 &+ lengthBytes {
        length = length &<< 8 | Int(rest[head])
        head &+= 1
      }
    }
    guard length <= rest.count &- head else { return nil }
    let element = (rest[0], rest.slice(head, length))
    rest = rest.dropFirst(head &+ length)
    return element
  }

  /// The contents of the next element; nil where there is none or it has another tag.
  package mutating func next(_ tag: UInt8) -> Bytes? {
    guard let element = next(), element.tag == tag else { return nil }
    return element.contents
  }

  /// The tag of the next element, 0 at the end.
  package var tag: UInt8 { rest.isEmpty ? 0 : rest[0] }
}
