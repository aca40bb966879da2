// A growable block of bytes for text output. Array<UInt8> would check uniqueness for every byte, and stop the program at a
// wrong index.
import IPFIX
import Wire

/// Bytes that grow at the end; the owner writes them out and empties the buffer, which keeps its memory.
public struct OutputBuffer: ~Copyable {
  private var memory: OwnedBytes
  /// Bytes in the buffer.
  public private(set) var count = 0
  /// The last second that was written as a time, and its text up to the decimal point: the times of one record mostly
  /// share it, and the calendar is most of the work.
  private var cachedSecond = UInt64.max
  private var cachedText = OwnedBytes(count: 32)

  /// An empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 1 << 16) { memory = OwnedBytes(count: max(capacity, 64)) }

  /// The bytes; valid until the buffer is changed.
  public var bytes: UnsafeRawBufferPointer { contents.buffer }

  /// The bytes; valid until the buffer is changed.
  public var contents: Bytes { memory.view(0, count) }

  /// Forgets all bytes, keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Forgets the bytes from `newCount` on.
  mutating func truncate(to newCount: Int) { count = min(count, max(newCount, 0)) }

  /// Makes `length` bytes at the end part of the buffer and returns where they start: the caller fills all of them, and no
  /// more. Nil, and a fault, for a length that there cannot be.
  @inline(__always)
  private mutating func extend(_ length: Int) -> UnsafeMutableRawPointer? {
    // Without signs a negative length is longer than any room.
    if _slowPath(UInt(bitPattern: length) > UInt(bitPattern: memory.count &- count)) {
      guard grow(length) else { return nil }
    }
    let place = memory.base + count
    count &+= length
    return place
  }

  /// Stores a byte at a place of `extend`, which was asked for more than `offset` bytes.
  @inline(__always)
  private static func store(_ byte: UInt8, in place: UnsafeMutableRawPointer, at offset: Int) {
    // Safe: each caller gives a number, and a few lines above it a larger one to `extend`.
    place.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
  }

  @inline(never)
  private mutating func grow(_ length: Int) -> Bool {
    guard length >= 0, length < 1 << 40 else {
      noteFault()
      return false
    }
    memory.grow(to: max(memory.count &* 2, count &+ length), keeping: count)
    return memory.contains(count, length)
  }

  /// Appends one byte.
  public mutating func append(_ byte: UInt8) {
    guard let place = extend(1) else { return }
    Self.store(byte, in: place, at: 0)
  }

  /// Appends the UTF-8 of a literal.
  public mutating func append(_ text: StaticString) {
    append(Self.bytes(of: text))
  }

  /// Appends a key of JSON, `"owner:name":`, of which a record has many: all of it at once, behind a comma where it is not the
  /// first.
  @inline(__always)
  mutating func append(key owner: StaticString, _ infix: StaticString, _ name: StaticString, isFirst: Bool) {
    let (owner, infix, name) = (Self.bytes(of: owner), Self.bytes(of: infix), Self.bytes(of: name))
    let start = isFirst ? 1 : 2
    guard let place = extend(start &+ owner.count &+ infix.count &+ name.count &+ 2) else { return }
    Self.store(UInt8(ascii: ","), in: place, at: 0)
    Self.store(UInt8(ascii: "\""), in: place, at: start &- 1)
    var end = place + start
    end = Self.store(owner, at: end)
    end = Self.store(infix, at: end)
    end = Self.store(name, at: end)
    Self.store(UInt8(ascii: "\""), in: end, at: 0)
    Self.store(UInt8(ascii: ":"), in: end, at: 1)
  }

  /// Stores bytes at a place that has room for them; the place behind them.
  @inline(__always)
  private static func store(_ bytes: Bytes, at place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    guard bytes.count > 0 else { return place }
    // Safe: the caller asked `extend` for the sum of what it stores.
    place.copyMemory(from: bytes.base, byteCount: bytes.count)
    return place + bytes.count
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
    guard times > 0 else { return }
    guard extend(times) != nil else { return }
    memory.fill(byte, from: count &- times, count: times)
  }

  /// Appends decimal digits, with leading zeros up to `width` digits, at most 20.
  public mutating func appendDecimal(_ value: UInt64, width: Int = 1) {
    if value < 10 && width == 1 { return append(0x30 &+ UInt8(truncatingIfNeeded: value)) }
    var digits = 1
    var limit: UInt64 = 10
    while value >= limit {
      digits &+= 1
      // 10^19 is the last power of ten below 2^64.
      if digits == 20 { break }
      limit &*= 10
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
      let pair = rest % 100
      rest /= 100
      // The tens digit is the low byte, because it comes first in memory.
      let text = 0x3030 &+ UInt16(truncatingIfNeeded: pair / 10 | (pair % 10) << 8)
      // Safe: `index` has come down from `width` by two, and is not negative.
      place.storeBytes(of: text.littleEndian, toByteOffset: index, as: UInt16.self)
    }
    if index == 1 { store(UInt8(truncatingIfNeeded: 0x30 &+ rest % 10), in: place, at: 0) }
  }

  /// Appends ISO 8601 in UTC with six decimals, truncated: `2015-10-20T07:09:33.611190Z`.
  public mutating func append(time nanoseconds: UInt64) {
    let second = nanoseconds / 1_000_000_000
    if second != cachedSecond {
      let start = count
      appendDate(nanoseconds)
      append(UInt8(ascii: "T"))
      appendTimeOfDay(nanoseconds)
      // Nanoseconds in 64 bits end in the year 2554, so the date has always ten characters.
      cachedText.copy(memory.view(start, 20), to: 0)
      cachedSecond = second
      count = start
    }
    guard let place = extend(27) else { return }
    let text = cachedText.view(0, 20)
    // Safe: these are 20 of the 27.
    place.copyMemory(from: text.base, byteCount: text.count)
    Self.storeDecimal((nanoseconds &- second &* 1_000_000_000) / 1000, at: place + 20, width: 6)
    Self.store(UInt8(ascii: "Z"), in: place, at: 26)
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
    guard let place = extend(2) else { return }
    Self.store(Self.digit(byte >> 4), in: place, at: 0)
    Self.store(Self.digit(byte & 15), in: place, at: 1)
  }

  /// Appends `aa:bb:cc:dd:ee:ff`, the low 48 bits.
  public mutating func append(mac address: UInt64) {
    guard let place = extend(17) else { return }
    var index = 0
    while true {
      let octet = UInt8(truncatingIfNeeded: address &>> UInt64(truncatingIfNeeded: 40 &- 8 &* index))
      Self.store(Self.digit(octet >> 4), in: place, at: 3 &* index)
      Self.store(Self.digit(octet & 15), in: place, at: 3 &* index &+ 1)
      index &+= 1
      if index == 6 { return }
      Self.store(UInt8(ascii: ":"), in: place, at: 3 &* index &- 1)
    }
  }

  /// Appends the sixteen lower-case hexadecimal digits of a number.
  public mutating func append(hexadecimal number: UInt64) {
    var shift: UInt64 = 64
    while shift > 0 {
      shift &-= 8
      appendHexadecimal(UInt8(truncatingIfNeeded: number &>> shift))
    }
  }

  /// The lower-case hexadecimal digit of a value below 16.
  @inline(__always)
  static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 &+ nibble : 0x57 &+ nibble }
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
