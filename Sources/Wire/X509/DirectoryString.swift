// The strings of names in certificates, which come in half a dozen encodings, as the characters that they stand for.

/// A string of a name (RFC 5280 section 4.1.2.4, X.520 DirectoryString).
package struct DirectoryString: BitwiseCopyable {
  /// How characters are written.
  private enum Encoding: UInt8, BitwiseCopyable {
    /// UTF8String, and what is a part of it: PrintableString, IA5String, NumericString, VisibleString.
    case utf8
    /// T61String, which nobody means as T.61 has it: Latin-1, as other readers of certificates have it.
    case latin1
    /// BMPString: two bytes for each character, big-endian; those of Windows are UTF-16.
    case twoBytes
    /// UniversalString: four bytes for each character, big-endian.
    case fourBytes
  }

  /// The string as it stands in the certificate.
  private var bytes: Bytes
  private let encoding: Encoding

  /// The string that an element with this tag holds.
  init(tag: UInt8, _ contents: Bytes) {
    bytes = contents
    encoding =
      switch tag {
      case DERReader.Tag.teletexString: .latin1
      case DERReader.Tag.twoByteString: .twoBytes
      case DERReader.Tag.universalString: .fourBytes
      default: .utf8
      }
  }

  /// The first characters in UTF-8, as many as have no more than `limit` bytes together. What is no character is U+FFFD.
  /// Not generic: what other modules call of Wire as it is would go through a table.
  /// - Complexity: O(`limit`)
  package func write(to text: inout ScratchText, limit: Int) {
    var rest = self
    var left = limit
    while let character = rest.next() {
      let bytes = UTF8Character(character)
      left &-= bytes.count
      guard left >= 0 else { return }
      bytes.write(to: &text)
    }
  }

  /// What stands for bytes that are no character.
  private static let replacement: UInt32 = 0xFFFD

  /// Takes the next character; nil at the end. At least one byte is taken.
  private mutating func next() -> UInt32? {
    guard !bytes.isEmpty else { return nil }
    switch encoding {
    case .latin1: return take(1)
    case .utf8: return nextOfUTF8()
    case .twoBytes:
      let unit = take(2)
      guard unit & 0xFC00 == 0xD800, bytes.count >= 2, bytes.load(UInt16.self, at: 0) & 0xFC00 == 0xDC00
      else {
        return checked(unit)
      }
      return 0x1_0000 &+ (unit & 0x3FF) &<< 10 &+ (take(2) & 0x3FF)
    case .fourBytes: return checked(take(4))
    }
  }

  /// Takes a number of `count` bytes; where there are fewer, these, and none of characters.
  private mutating func take(_ count: Int) -> UInt32 {
    var number: UInt32 = 0
    let isWhole = bytes.count >= count
    var left = min(count, bytes.count)
    while left > 0 {
      number = number &<< 8 | UInt32(bytes[0])
      bytes = bytes.dropFirst(1)
      left &-= 1
    }
    return isWhole ? number : .max
  }

  private func checked(_ number: UInt32) -> UInt32 {
    number > 0x10_FFFF || number & 0xFFFF_F800 == 0xD800 ? Self.replacement : number
  }

  /// As RFC 3629 section 4 has it: no character in more bytes than it takes, and no halves of UTF-16's pairs.
  private mutating func nextOfUTF8() -> UInt32 {
    let first = take(1)
    let (more, least): (Int, UInt32) =
      switch first {
      case ..<0x80: (0, 0)
      case 0xC2...0xDF: (1, 0x80)
      case 0xE0...0xEF: (2, 0x800)
      case 0xF0...0xF4: (3, 0x1_0000)
      default: (-1, 0)
      }
    if more == 0 { return first }
    guard more > 0, bytes.count >= more else { return Self.replacement }
    var number = first & (0x3F &>> UInt32(truncatingIfNeeded: more))
    var index = 0
    while index < more {
      guard bytes[index] & 0xC0 == 0x80 else { return Self.replacement }
      number = number &<< 6 | UInt32(bytes[index] & 0x3F)
      index &+= 1
    }
    guard number >= least, checked(number) == number else { return Self.replacement }
    bytes = bytes.dropFirst(more)
    return number
  }
}

/// A character in UTF-8 (RFC 3629 section 3): one to four bytes, the first one in the lowest place.
private struct UTF8Character {
  private let bytes: UInt32
  let count: Int

  /// The character with this number, which is one.
  init(_ number: UInt32) {
    func following(_ shift: UInt32) -> UInt32 { 0x80 | number &>> shift & 0x3F }
    switch number {
    case ..<0x80: (bytes, count) = (number, 1)
    case ..<0x800: (bytes, count) = (0xC0 | number &>> 6 | following(0) &<< 8, 2)
    case ..<0x1_0000:
      (bytes, count) = (0xE0 | number &>> 12 | following(6) &<< 8 | following(0) &<< 16, 3)
    default:
      (bytes, count) = (
        0xF0 | number &>> 18 & 7 | following(12) &<< 8 | following(6) &<< 16 | following(0) &<< 24, 4
      )
    }
  }

  func write(to text: inout ScratchText) {
    var (rest, left) = (bytes, count)
    while left > 0 {
      text.append(UInt8(truncatingIfNeeded: rest))
      rest = rest &>> 8
      left &-= 1
    }
  }
}
