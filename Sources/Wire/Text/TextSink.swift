// How numbers and addresses are written as text, whatever takes the characters.

/// Something that takes text, character by character.
public protocol TextSink: ~Copyable {
  /// Adds one character.
  mutating func append(_ character: UInt8)
  /// Adds a number in decimal.
  mutating func append(decimal number: UInt32)
}

extension TextSink where Self: ~Copyable {
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
      appendColons()
      var letters = 4
      while letters > 0 {
        append(UInt8(ascii: "f"))
        letters &-= 1
      }
      append(UInt8(ascii: ":"))
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
        appendColons()
        index = end
        continue
      }
      if index > 0 && !(isShortened && index == end) { append(UInt8(ascii: ":")) }
      append(hexadecimal: group(index))
      index &+= 1
    }
  }

  @inlinable @inline(__always)
  mutating func appendColons() {
    append(UInt8(ascii: ":"))
    append(UInt8(ascii: ":"))
  }

  /// Adds a number in hexadecimal, without leading zeros.
  @inlinable @inline(__always)
  mutating func append(hexadecimal number: UInt16) {
    var shift: UInt16 = number > 0xFFF ? 12 : number > 0xFF ? 8 : number > 0xF ? 4 : 0
    while true {
      let digit = UInt8(truncatingIfNeeded: number &>> shift & 15)
      append(digit < 10 ? digit &+ 0x30 : digit &+ 0x57)
      if shift == 0 { return }
      shift &-= 4
    }
  }
}
