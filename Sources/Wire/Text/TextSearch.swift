// How text is looked at in bytes from the wire: where a byte stands, whether words are the same in any case, numbers. All of
// it is total and allocates nothing.

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

  /// The offset of the first `byte` at or after `start`, or nil. Eight bytes are looked at together.
  /// - Complexity: O(count)
  @inlinable @inline(__always)
  public func index(of byte: UInt8, from start: Int = 0) -> Int? {
    let pattern = UInt64(byte) &* 0x0101_0101_0101_0101
    var index = Swift.max(0, start)
    while count &- index >= 8 {
      // The first byte is the lowest, because a borrow makes false finds only above a true one.
      let difference = load(UInt64.self, at: index).byteSwapped ^ pattern
      let zeros = (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
      if zeros != 0 { return index &+ zeros.trailingZeroBitCount / 8 }
      index &+= 8
    }
    while index < count {
      if self[index] == byte { return index }
      index &+= 1
    }
    return nil
  }

  /// Whether the bytes are the letters and signs of `text`, which has no capitals, in any case. Signs are those that stand in
  /// names of header fields: `-` and the like, for which case makes no difference.
  /// - Complexity: O(`text`'s length)
  @inlinable @inline(__always)
  public func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && beginsInAnyCase(with: text)
  }

  /// Whether the first bytes are those of `text`, which has no capitals, in any case.
  /// - Complexity: O(`text`'s length)
  @inlinable @inline(__always)
  public func beginsInAnyCase(with text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount else { return false }
    var index = 0
    while index < text.utf8CodeUnitCount {
      if self[index].lowercased != text.utf8Start[index] { return false }
      index &+= 1
    }
    return true
  }

  /// The offset at which `text`, which has no capitals, first stands in any case; nil where it does not.
  /// - Complexity: O(count × `text`'s length)
  @inlinable @inline(__always)
  public func find(_ text: StaticString) -> Int? {
    var index = 0
    while count &- index >= text.utf8CodeUnitCount {
      if dropFirst(index).beginsInAnyCase(with: text) { return index }
      index &+= 1
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
