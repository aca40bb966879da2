// How numbers and addresses are written as text, whatever takes the characters.

/// Something that takes text, character by character.
public protocol TextSink: ~Copyable {
  /// Adds one character.
  mutating func append(_ character: UInt8)
  /// Adds a number in decimal.
  mutating func append(decimal number: UInt32)
  /// Adds the first `count` of at most eight characters, the first one in the lowest octet.
  mutating func append(characters: UInt64, count: Int)
}

/// The eight lower-case hexadecimal digits of a number, the first one in the lowest octet.
@inlinable @inline(__always)
public func hexadecimalDigits(of number: UInt32) -> UInt64 {
  // The digits of the octet that comes first lie lowest: half by half, octet by octet, digit by digit.
  var digits = UInt64(number.byteSwapped)
  digits = (digits | digits &<< 16) & 0x0000_FFFF_0000_FFFF
  digits = (digits | digits &<< 8) & 0x00FF_00FF_00FF_00FF
  digits = (digits &>> 4 & 0x000F_000F_000F_000F) | (digits & 0x000F_000F_000F_000F) &<< 8
  // 6 more than a digit's value has bit 4 set where that is 10 and more; letters lie 39 behind where digits would go on.
  let letters = (digits &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
  return digits &+ 0x3030_3030_3030_3030 &+ letters &* 39
}

extension TextSink where Self: ~Copyable {
  @inlinable
  public mutating func append(characters: UInt64, count: Int) {
    var rest = characters
    var left = min(count, 8)
    while left > 0 {
      append(UInt8(truncatingIfNeeded: rest))
      rest = rest &>> 8
      left &-= 1
    }
  }

  @inlinable @inline(__always)
  public mutating func append(decimal number: UInt32) { append(decimal: number, digits: 1) }

  /// Adds a number in decimal, with zeros before it if it has fewer than `digits` digits, at most ten.
  @inlinable
  public mutating func append(decimal number: UInt32, digits: Int) {
    // Ten digits at the most; the first one ends up in the lowest octet.
    var text: UInt128 = 0
    var (rest, count) = (number, 0)
    repeat {
      text = text &<< 8 | UInt128(rest % 10 &+ 0x30)
      rest /= 10
      count &+= 1
    } while rest != 0 || count < min(10, digits)
    while text != 0 {
      append(UInt8(truncatingIfNeeded: text))
      text = text &>> 8
    }
  }

  /// Adds an IPv4 address: `192.0.2.1` of 0xC0000201.
  @inlinable
  public mutating func append(version4 address: UInt32) {
    append(decimal: address &>> 24)
    append(UInt8(ascii: "."))
    append(decimal: address &>> 16 & 0xFF)
    append(UInt8(ascii: "."))
    append(decimal: address &>> 8 & 0xFF)
    append(UInt8(ascii: "."))
    append(decimal: address & 0xFF)
  }

  /// Adds an IPv6 address, given in halves, in the canonical text of RFC 5952: lower case, the longest run of two or more
  /// zero groups as `::`, the first one if there are several, and IPv4-mapped addresses in mixed notation (its section 5).
  @inlinable
  public mutating func append(version6High high: UInt64, low: UInt64) {
    if high == 0 && low &>> 32 == 0xFFFF {
      // ::ffff:192.0.2.1
      append(characters: 0x3A_6666_6666_3A3A, count: 7)
      return append(version4: UInt32(truncatingIfNeeded: low))
    }
    func group(_ index: Int) -> UInt16 {
      let shift = UInt64(truncatingIfNeeded: 48 &- 16 &* (index & 3))
      return UInt16(truncatingIfNeeded: (index < 4 ? high : low) &>> shift)
    }
    // The longest run of zero groups, from its first one to the one behind it.
    var (first, end) = (0, 1)
    var index = 0
    while index < 8 {
      let start = index
      while index < 8 && group(index) == 0 { index &+= 1 }
      if index &- start > end &- first { (first, end) = (start, index) }
      index &+= 1
    }
    let isShortened = end &- first > 1
    index = 0
    while index < 8 {
      if isShortened && index == first {
        append(characters: 0x3A3A, count: 2)
        index = end
        continue
      }
      append(group: group(index), afterColon: index > 0 && !(isShortened && index == end))
      index &+= 1
    }
  }

  /// Adds a group of an IPv6 address: a number in hexadecimal without leading zeros.
  @inlinable @inline(__always)
  mutating func append(group number: UInt16, afterColon: Bool) {
    let zeros = number > 0xFFF ? 0 : number > 0xFF ? 1 : number > 0xF ? 2 : 3
    let digits = hexadecimalDigits(of: UInt32(number) &<< 16) &>> UInt64(truncatingIfNeeded: 8 &* zeros)
    append(
      characters: afterColon ? digits &<< 8 | 0x3A : digits,
      count: (afterColon ? 5 : 4) &- zeros)
  }
}
