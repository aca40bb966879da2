// A growable block of bytes for text output. Array<UInt8> would check uniqueness for every byte, and stop the program at a
// wrong index.
import IPFIX
import Wire

/// Bytes that grow at the end; the owner writes them out and empties the buffer, which keeps its memory.
public struct OutputBuffer: ~Copyable {
  /// Always `slack` bytes longer than what is in use.
  private var memory: OwnedBytes
  /// Bytes in the buffer.
  public private(set) var count = 0
  /// The last second that was written as a time, and its text up to the decimal point: the times of one record mostly
  /// share it, and the calendar is most of the work.
  private var cachedSecond = UInt64.max
  private var cachedText = SIMD32<UInt8>()

  /// Bytes behind what `extend` gives that may be written, too, and mean nothing: so short texts are stored as whole registers.
  static var slack: Int { 32 }

  /// An empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 1 << 16) {
    memory = OwnedBytes(count: min(max(capacity, 64), 1 << 40) &+ Self.slack)
  }

  /// The bytes; valid until the buffer is changed.
  public var bytes: UnsafeRawBufferPointer { contents.buffer }

  /// The bytes; valid until the buffer is changed.
  public var contents: Bytes { memory.view(0, count) }

  /// Forgets all bytes, keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Forgets the bytes from `newCount` on.
  mutating func truncate(to newCount: Int) { count = min(count, max(newCount, 0)) }

  /// Makes `length` bytes at the end part of the buffer and returns where they start: the caller fills all of them, and
  /// writes no more than `slack` behind them. Nil, and a fault, for a length that there cannot be.
  @inline(__always)
  private mutating func extend(_ length: Int) -> UnsafeMutableRawPointer? {
    // Without signs a negative length is longer than any room.
    if _slowPath(UInt(bitPattern: length) > UInt(bitPattern: memory.count &- Self.slack &- count)) {
      guard grow(length) else { return nil }
    }
    let place = memory.base + count
    count &+= length
    return place
  }

  /// Stores a number's bytes, the lowest first, at a place of `extend`, which was asked for at least `offset` bytes.
  @inline(__always)
  private static func store<Characters: BitwiseCopyable>(
    _ characters: Characters, in place: UnsafeMutableRawPointer, at offset: Int
  ) {
    // Safe: each caller gives a number, and a few lines above it one as large to `extend`, behind whose bytes are `slack` more.
    place.storeBytes(of: characters, toByteOffset: offset, as: Characters.self)
  }

  @inline(never)
  private mutating func grow(_ length: Int) -> Bool {
    guard length >= 0, length < 1 << 40 else {
      noteFault()
      return false
    }
    memory.grow(to: max(memory.count &* 2, count &+ length &+ Self.slack), keeping: count)
    return memory.contains(count, length &+ Self.slack)
  }

  /// Replaces a byte that is in the buffer; one that is not changes nothing.
  mutating func replace(at offset: Int, with byte: UInt8) {
    if offset < count { memory.store(byte, at: offset) }
  }

  /// Appends one byte.
  public mutating func append(_ byte: UInt8) {
    guard let place = extend(1) else { return }
    Self.store(byte, in: place, at: 0)
  }

  /// Appends the first `count` of at most eight characters, the first one in the lowest octet.
  public mutating func append(characters: UInt64, count: Int) {
    guard let place = extend(min(count, 8)) else { return }
    Self.store(characters.littleEndian, in: place, at: 0)
  }

  /// Appends the UTF-8 of a literal.
  public mutating func append(_ text: StaticString) {
    append(Self.bytes(of: text))
  }

  /// Appends a short text that has `slack` bytes behind it, which are no part of it: registers are copied.
  @inline(__always)
  mutating func append(registers text: Bytes) {
    let length = text.count &- Self.slack
    guard length >= 0, let place = extend(length) else { return }
    Self.copy(registers: text, length, to: place)
  }

  /// The same with a number behind it in decimal.
  @inline(__always)
  mutating func append(registers text: Bytes, decimal value: UInt64) {
    let length = text.count &- Self.slack
    guard length >= 0, let place = extend(length &+ 4) else { return }
    Self.copy(registers: text, length, to: place)
    if _fastPath(value < 10_000) {
      let digits = Self.digits(UInt32(truncatingIfNeeded: value))
      let zeros = Self.leadingZeros(of: digits)
      Self.store(Self.text(of: digits, without: zeros), in: place, at: length)
      count &-= zeros
    } else {
      count &-= 4
      appendDecimal(value)
    }
  }

  /// Copies a text of `length` bytes that has `slack` more to a place that has room for as many.
  @inline(__always)
  private static func copy(registers text: Bytes, _ length: Int, to place: UnsafeMutableRawPointer) {
    var offset = 0
    repeat {
      // Safe: the last register begins before the end, so it ends no more than `slack` behind it, here and there.
      let register = text.base.loadUnaligned(fromByteOffset: offset, as: SIMD32<UInt8>.self)
      place.storeBytes(of: register, toByteOffset: offset, as: SIMD32<UInt8>.self)
      offset &+= Self.slack
    } while offset < length
  }

  /// The bytes of a literal, which lie in the program itself; none for a single scalar, which is kept otherwise.
  @inline(__always)
  private static func bytes(of literal: StaticString) -> Bytes {
    guard literal.hasPointerRepresentation else { return Bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
    return Bytes(literal.utf8Start, count: literal.utf8CodeUnitCount)
  }

  /// Appends bytes as they are.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    append(Bytes(bytes))
  }

  /// Appends bytes as they are.
  public mutating func append(_ bytes: Bytes) {
    guard bytes.count >= 0, let place = extend(bytes.count) else { return }
    // Safe: `extend` gave as many bytes. They are not the buffer's own, whose views end when it changes.
    place.copyMemory(from: bytes.base, byteCount: bytes.count)
  }

  /// Appends the UTF-8 of a string; for headers, not for records.
  public mutating func append(text: String) {
    // Strings that Swift makes lie in one piece.
    let isWhole: Void? = text.utf8.withContiguousStorageIfAvailable { append(UnsafeRawBufferPointer($0)) }
    if isWhole == nil { noteFault() }
  }

  /// Appends one byte `times` times.
  mutating func append(_ byte: UInt8, times: Int) {
    guard times > 0, let place = extend(times) else { return }
    let register = SIMD32<UInt8>(repeating: byte)
    var offset = 0
    repeat {
      // Safe: the last register begins before the end, so it ends no more than `slack` behind it.
      Self.store(register, in: place, at: offset)
      offset &+= Self.slack
    } while offset < times
  }

  /// Appends decimal digits.
  public mutating func appendDecimal(_ value: UInt64) {
    if _fastPath(value < 10_000) {
      let digits = Self.digits(UInt32(truncatingIfNeeded: value))
      let zeros = Self.leadingZeros(of: digits)
      guard let place = extend(4 &- zeros) else { return }
      Self.store(Self.text(of: digits, without: zeros), in: place, at: 0)
    } else {
      appendLong(value)
    }
  }

  /// Appends a number of five digits and more: four by four, in at most five calls within each other.
  @inline(never)
  private mutating func appendLong(_ value: UInt64) {
    appendDecimal(value / 10_000)
    guard let place = extend(4) else { return }
    let digits = Self.digits(UInt32(truncatingIfNeeded: value % 10_000))
    Self.store(Self.text(of: digits, without: 0), in: place, at: 0)
  }

  /// How many of four digits stand before the first one that is not 0, but the last one.
  @inline(__always)
  private static func leadingZeros(of digits: UInt32) -> Int {
    (digits | 1 &<< 24).trailingZeroBitCount &>> 3
  }

  /// The characters of four digits without the first ones, the first one left in the lowest octet.
  @inline(__always)
  private static func text(of digits: UInt32, without zeros: Int) -> UInt32 {
    ((digits | 0x3030_3030) &>> UInt32(truncatingIfNeeded: zeros &* 8)).littleEndian
  }

  /// The four digits of a number below 10 000, the first one in the lowest octet.
  @inline(__always)
  private static func digits(_ value: UInt32) -> UInt32 {
    // value / 100 and, in both halves at once, half / 10: exact for numbers below 43 699 and 179.
    let hundreds = (value &* 5243) &>> 19
    let halves = hundreds | (value &- hundreds &* 100) &<< 16
    let tens = (halves &* 103) &>> 10 & 0x000F_000F
    return tens | (halves &- tens &* 10) &<< 8
  }

  /// Appends decimal digits, with leading zeros up to `width` digits, at most 20.
  public mutating func appendDecimal(_ value: UInt64, width: Int) {
    var digits = 1
    var rest = value / 10
    while rest > 0 {
      digits &+= 1
      rest /= 10
    }
    let count = max(digits, min(width, 20))
    guard let place = extend(count) else { return }
    Self.storeDecimal(value, at: place, width: count)
  }

  /// Stores exactly `width` digits, two for each division, at a place that has room for them.
  @inline(__always)
  private static func storeDecimal(_ value: UInt64, at place: UnsafeMutableRawPointer, width: Int) {
    var rest = value
    var index = width
    while index >= 2 {
      index &-= 2
      let next = rest / 100
      let pair = UInt32(truncatingIfNeeded: rest &- next &* 100)
      rest = next
      let tens = (pair &* 103) &>> 10
      // The tens digit is the low byte, because it comes first in memory.
      let text = UInt16(truncatingIfNeeded: 0x3030 | tens | (pair &- tens &* 10) &<< 8)
      // Safe: `index` has come down from `width` by two, and is not negative.
      place.storeBytes(of: text.littleEndian, toByteOffset: index, as: UInt16.self)
    }
    if index == 1 { store(UInt8(truncatingIfNeeded: 0x30 &+ rest % 10), in: place, at: 0) }
  }

  /// Appends ISO 8601 in UTC with six decimals, truncated: `2015-10-20T07:09:33.611190Z`.
  public mutating func append(time nanoseconds: UInt64) {
    let second = nanoseconds / 1_000_000_000
    if second != cachedSecond { cacheText(of: nanoseconds, second) }
    guard let place = extend(27) else { return }
    // Of the register 20 bytes are the text.
    Self.store(cachedText, in: place, at: 0)
    Self.storeDecimal((nanoseconds &- second &* 1_000_000_000) / 1000, at: place + 20, width: 6)
    Self.store(UInt8(ascii: "Z"), in: place, at: 26)
  }

  /// Makes the text of a second up to the decimal point.
  @inline(never)
  private mutating func cacheText(of nanoseconds: UInt64, _ second: UInt64) {
    let start = count
    appendDate(nanoseconds)
    append(UInt8(ascii: "T"))
    appendTimeOfDay(nanoseconds)
    // Nanoseconds in 64 bits end in the year 2554, so the date has always ten characters, and the rest more than as many as
    // are left of the register.
    let text = memory.view(start, Self.slack)
    // Safe: the view has as many bytes as a register, or none.
    if text.count == Self.slack { cachedText = text.base.loadUnaligned(as: SIMD32<UInt8>.self) }
    cachedSecond = second
    count = start
  }

  /// Appends `07:09:33.611190`, the time of day in UTC of nanoseconds since 1970, truncated.
  mutating func appendTimeOfDay(_ nanoseconds: UInt64) {
    let seconds = nanoseconds / 1_000_000_000
    let ofDay = seconds % 86400
    guard let place = extend(15) else { return }
    Self.storeDecimal(ofDay / 3600, at: place, width: 2)
    Self.store(UInt8(ascii: ":"), in: place, at: 2)
    Self.storeDecimal(ofDay / 60 % 60, at: place + 3, width: 2)
    Self.store(UInt8(ascii: ":"), in: place, at: 5)
    Self.storeDecimal(ofDay % 60, at: place + 6, width: 2)
    Self.store(UInt8(ascii: "."), in: place, at: 8)
    Self.storeDecimal((nanoseconds &- seconds &* 1_000_000_000) / 1000, at: place + 9, width: 6)
  }

  /// Appends a number with its sign if it is negative.
  public mutating func appendDecimal(signed value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    appendDecimal(value.magnitude)
  }

  /// Appends two lower-case hexadecimal digits.
  mutating func appendHexadecimal(_ byte: UInt8) {
    append(characters: hexadecimalDigits(of: UInt32(byte) &<< 24), count: 2)
  }

  /// Two lower-case digits for each byte.
  public mutating func append(plainHexadecimal bytes: UnsafeRawBufferPointer) {
    let bytes = Bytes(bytes)
    guard let place = extend(bytes.count &* 2) else { return }
    var index = 0
    while index &+ 4 <= bytes.count {
      let digits = hexadecimalDigits(of: bytes.load(UInt32.self, at: index))
      Self.store(digits.littleEndian, in: place, at: index &* 2)
      index &+= 4
    }
    while index < bytes.count {
      // Six of the eight characters are the next byte's, or mean nothing.
      Self.store(hexadecimalDigits(of: UInt32(bytes[index]) &<< 24).littleEndian, in: place, at: index &* 2)
      index &+= 1
    }
  }

  /// Appends `aa:bb:cc:dd:ee:ff`, the low 48 bits.
  public mutating func append(mac address: UInt64) {
    guard let place = extend(17) else { return }
    let first = hexadecimalDigits(of: UInt32(truncatingIfNeeded: address &>> 16))
    let last = hexadecimalDigits(of: UInt32(truncatingIfNeeded: address &<< 16))
    Self.store(Self.pairs(first, colon: true).littleEndian, in: place, at: 0)
    Self.store(Self.pairs(first &>> 32, colon: true).littleEndian, in: place, at: 6)
    Self.store(Self.pairs(last, colon: false).littleEndian, in: place, at: 12)
  }

  /// `aa:bb`, and another colon behind it, of the first four of some characters.
  @inline(__always)
  private static func pairs(_ characters: UInt64, colon: Bool) -> UInt64 {
    characters & 0xFFFF | (characters & 0xFFFF_0000) &<< 8 | 0x3A_0000 | (colon ? 0x3A00_0000_0000 : 0)
  }

  /// Appends the sixteen lower-case hexadecimal digits of a number.
  public mutating func append(hexadecimal number: UInt64) {
    guard let place = extend(16) else { return }
    Self.store(
      hexadecimalDigits(of: UInt32(truncatingIfNeeded: number &>> 32)).littleEndian, in: place, at: 0)
    Self.store(hexadecimalDigits(of: UInt32(truncatingIfNeeded: number)).littleEndian, in: place, at: 8)
  }
}

/// A field writer that makes lines of text in a buffer: JSON, CSV or the table.
public protocol LineWriter: NumberWriter, ~Copyable {
  /// The finished lines, and the current one.
  var output: OutputBuffer { get set }
  /// Starts a record.
  mutating func begin()
  /// Ends a record and its line.
  mutating func end()
}
