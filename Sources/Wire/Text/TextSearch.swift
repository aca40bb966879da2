// How text is looked at in bytes from the wire: where a byte stands, whether words are the same in any case, numbers. All of
// it is total and allocates nothing.
import CIntrinsics

extension Bytes {
  /// The characters of `text`.
  // What takes a `StaticString` is inlined everywhere, for a compiler that sees a literal leaves its checks out.
  @inlinable @inline(__always)
  public init(_ text: StaticString) { self.init(text.utf8Start, count: text.utf8CodeUnitCount) }

  /// Whether both are the same bytes.
  /// - Complexity: O(count)
  package func isEqual(to other: Bytes) -> Bool {
    guard count == other.count else { return false }
    var index = 0
    while index < count {
      if self[index] != other[index] { return false }
      index &+= 1
    }
    return true
  }

  /// The offset of the first `byte` at or after `start`, or nil. Sixteen bytes are looked at together.
  /// - Complexity: O(count)
  @inlinable @inline(__always)
  public func index(of byte: UInt8, from start: Int = 0) -> Int? {
    index(of: byte, or: byte, from: start)
  }

  /// The offset of the first byte at or after `start` that is `one` or `other`, or nil.
  /// - Complexity: O(count)
  @inlinable @inline(__always)
  public func index(of one: UInt8, or other: UInt8, from start: Int = 0) -> Int? {
    let start = Swift.max(0, start)
    guard start < count else { return nil }
    // Safe: the bytes from `start` on are read, and there are so many.
    let index = start &+ Int(martlet_index_of(base + start, Int64(count &- start), one, other))
    return index < count ? index : nil
  }

  /// Whether the bytes are the letters and signs of `text`, which has no capitals, in any case. Signs are those that stand in
  /// names of header fields: `-` and the like, for which case makes no difference.
  /// - Complexity: O(`text`'s length)
  @inlinable @inline(__always)
  public func equals(_ text: StaticString) -> Bool { equals(small: Bytes(text)) }

  /// Whether the first bytes are those of `text`, which has no capitals, in any case.
  /// - Complexity: O(`text`'s length)
  @inlinable @inline(__always)
  public func beginsInAnyCase(with text: StaticString) -> Bool { begins(small: Bytes(text)) }

  /// The offset at which `text`, which has no capitals, first stands in any case; nil where it does not.
  /// - Complexity: O(count × `text`'s length)
  @inlinable @inline(__always)
  public func find(_ text: StaticString) -> Int? { find(small: Bytes(text)) }

  /// As `equals`, with small letters from elsewhere.
  @inlinable @inline(__always)
  public func equals(small text: Bytes) -> Bool { count == text.count && begins(small: text) }

  /// As `beginsInAnyCase`, with small letters from elsewhere.
  public func begins(small text: Bytes) -> Bool {
    let length = text.count
    guard count >= length else { return false }
    var index = 0
    if length >= 8 {
      // Eight at a time; the last eight may overlap those before.
      while index &+ 8 < length {
        if lowercased(at: index) != text.load(UInt64.self, at: index) { return false }
        index &+= 8
      }
      return lowercased(at: length &- 8) == text.load(UInt64.self, at: length &- 8)
    }
    while index < length {
      if self[index].lowercased != text[index] { return false }
      index &+= 1
    }
    return true
  }

  /// The eight bytes at `offset` with small letters in place of capitals.
  @inline(__always)
  private func lowercased(at offset: Int) -> UInt64 { martlet_lowercase(load(UInt64.self, at: offset)) }

  /// As `find`, with small letters from elsewhere.
  public func find(small text: Bytes) -> Int? {
    let length = text.count
    guard length > 0, count >= length else { return length == 0 ? 0 : nil }
    let first = text[0]
    let capital = first &- 0x61 < 26 ? first &- 0x20 : first
    // Only where the first letter stands the others are looked at.
    let places = prefix(count &- length &+ 1)
    var start = 0
    while let index = places.index(of: first, or: capital, from: start) {
      if dropFirst(index).begins(small: text) { return index }
      start = index &+ 1
    }
    return nil
  }

  /// The bytes without blanks and tabs at either end.
  @inlinable @inline(__always)
  public var trimmed: Bytes {
    var (start, end) = (0, count)
    while start < end, self[start].isBlank { start &+= 1 }
    while end > start, self[end &- 1].isBlank { end &-= 1 }
    return slice(start, end &- start)
  }

  /// The bytes without blanks, tabs and returns at either end.
  /// - Complexity: O(count)
  package var withoutBlanks: Bytes {
    var (start, end) = (0, count)
    while start < end, self[start].isBlank || self[start] == 0x0D { start &+= 1 }
    while end > start, self[end &- 1].isBlank || self[end &- 1] == 0x0D { end &-= 1 }
    return slice(start, end &- start)
  }

  /// A line without the return that may stand at its end.
  @inline(__always)
  package var withoutReturn: Bytes {
    count > 0 && self[count &- 1] == 0x0D ? prefix(count &- 1) : self
  }

  /// The number that all bytes together write in decimal; nil where there is another byte, none, or more than 18.
  @inlinable @inline(__always)
  public var decimal: UInt64? {
    guard count > 0, count <= 18 else { return nil }
    var (number, index) = (UInt64(0), 0)
    while index < count {
      let digit = self[index] &- 0x30
      guard digit < 10 else { return nil }
      number = number &* 10 &+ UInt64(digit)
      index &+= 1
    }
    return number
  }

  /// The number that the first bytes write in hexadecimal, up to one that is no digit; nil where there is none, or where there
  /// are more than 15.
  @inlinable @inline(__always)
  public var leadingHexadecimal: UInt64? {
    var (number, index) = (UInt64(0), 0)
    while index < count, let digit = self[index].hexadecimalDigit {
      guard index < 15 else { return nil }
      number = number &<< 4 | UInt64(digit)
      index &+= 1
    }
    return index > 0 ? number : nil
  }
}

extension UInt8 {
  /// A capital letter of ASCII as the small one; anything else as it is.
  @inlinable @inline(__always)
  public var lowercased: UInt8 { isCapital ? self | 0x20 : self }

  /// `A` to `Z`.
  @inlinable @inline(__always)
  public var isCapital: Bool { self &- 0x41 < 26 }

  /// A blank or a tab, which may stand around values (RFC 9110 section 5.6.3: OWS).
  @inlinable @inline(__always)
  public var isBlank: Bool { self == 0x20 || self == 0x09 }

  /// What the digit `0` to `9`, `a` to `f` or `A` to `F` stands for.
  @inlinable @inline(__always)
  public var hexadecimalDigit: UInt8? {
    let decimal = self &- 0x30
    if decimal < 10 { return decimal }
    let letter = (self | 0x20) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }
}
