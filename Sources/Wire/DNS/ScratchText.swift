// Text that a parser puts together from pieces of a packet, in memory that its worker lends it.

/// A text that grows at its end as far as its memory goes; what does not fit is left out.
package struct ScratchText: BitwiseCopyable {
  private let memory: MutableBytes
  /// How many bytes there are.
  package private(set) var count = 0

  /// An empty text in `memory`, which holds its longest.
  @inline(__always)
  package init(_ memory: MutableBytes) { self.memory = memory }

  /// The most bytes that it can have.
  @inline(__always) package var limit: Int { memory.count }

  /// The text so far. Valid as long as the memory is lent.
  @inline(__always) package var bytes: Bytes { memory.prefix(count) }

  /// Cuts the text to its first `length` bytes.
  @inline(__always)
  package mutating func shorten(to length: Int) { count = min(count, max(0, length)) }

  /// Adds one byte.
  @inline(__always)
  package mutating func append(_ byte: UInt8) {
    guard count < memory.count else { return }
    memory.store(byte, at: count)
    count &+= 1
  }

  /// Adds as many of `bytes` as fit.
  @inline(__always)
  package mutating func append(_ bytes: Bytes) {
    let piece = bytes.prefix(memory.count &- count)
    memory.copy(piece, to: count)
    count &+= piece.count
  }

  /// Adds the characters of `text`. Not for other modules: only where it is inlined the compiler sees that there are some.
  @inline(__always)
  mutating func append(_ text: StaticString) {
    guard text.hasPointerRepresentation else { return }
    append(Bytes(text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Adds a number in decimal.
  package mutating func append(decimal number: UInt32) {
    // Ten digits at the most; the first one ends up in the lowest octet.
    var digits: UInt128 = 0
    var rest = number
    repeat {
      digits = digits &<< 8 | UInt128(rest % 10 &+ 0x30)
      rest /= 10
    } while rest != 0
    while digits != 0 {
      append(UInt8(truncatingIfNeeded: digits))
      digits = digits &>> 8
    }
  }

  /// Adds a number in hexadecimal, without leading zeros.
  private mutating func append(hexadecimal number: UInt16) {
    var shift: UInt16 = number > 0xFFF ? 12 : number > 0xFF ? 8 : number > 0xF ? 4 : 0
    while true {
      let digit = UInt8(truncatingIfNeeded: number &>> shift & 15)
      append(digit < 10 ? digit &+ 0x30 : digit &+ 0x57)
      if shift == 0 { return }
      shift &-= 4
    }
  }

  /// Adds an IPv4 address: `192.0.2.1`.
  package mutating func append(version4 address: UInt32) {
    append(decimal: address &>> 24)
    append(UInt8(ascii: "."))
    append(decimal: address &>> 16 & 0xFF)
    append(UInt8(ascii: "."))
    append(decimal: address &>> 8 & 0xFF)
    append(UInt8(ascii: "."))
    append(decimal: address & 0xFF)
  }

  /// Adds an IPv6 address as RFC 5952 writes it.
  package mutating func append(version6High high: UInt64, low: UInt64) {
    if high == 0 && low &>> 32 == 0xFFFF {
      append("::ffff:")
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
        append("::")
        index = end
        continue
      }
      if index > 0 && !(isShortened && index == end) { append(UInt8(ascii: ":")) }
      append(hexadecimal: group(index))
      index &+= 1
    }
  }
}
