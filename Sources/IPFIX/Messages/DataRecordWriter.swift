// The field writer of the hot path: a record's fields as big-endian bytes, straight into the message.
import Wire

/// Writes one data record (RFC 7011 section 3.4.3) at a cursor, never past a hard end.
///
/// Everything is inlined into the caller, so that a record's fixed fields become a compare and a store each. The first
/// field that does not fit sets `overflowed` and shrinks the room to nothing: nothing is written after it, and the
/// caller starts again elsewhere.
@frozen
public struct DataRecordWriter: FieldWriter, ~Copyable {
  /// Where the next field goes.
  @usableFromInline var cursor: UnsafeMutableRawPointer
  /// One past the last byte that may be written.
  @usableFromInline var end: UnsafeMutableRawPointer
  @usableFromInline let martletEnterpriseNumber: UInt32
  @usableFromInline var hasOverflowed: Bool

  /// A writer for the bytes of `memory` from offset `start` up to, not including, `end`. The memory must outlive it and stay
  /// where it is. A place that is not inside has no room, and is a fault.
  @inlinable @inline(__always)
  public init(
    _ memory: borrowing OwnedBytes, from start: Int, to end: Int,
    martletEnterpriseNumber: UInt32 = EnterpriseNumber.documentation
  ) {
    let isInside = memory.contains(start, end &- start)
    if _slowPath(!isInside) { noteFault() }
    // Safe: the line before the last checked that both are inside.
    cursor = memory.base + (isInside ? start : 0)
    self.end = memory.base + (isInside ? end : 0)
    self.martletEnterpriseNumber = martletEnterpriseNumber
    hasOverflowed = false
  }

  /// True when a field did not fit; the bytes written so far are no record.
  @inlinable @inline(__always)
  public var overflowed: Bool { hasOverflowed }

  /// One past the last byte written.
  @inlinable @inline(__always)
  public var position: UnsafeMutableRawPointer { cursor }

  /// The next `count` bytes, or nil, with nothing more to be written, when they are not there.
  @inlinable @inline(__always)
  mutating func take(_ count: Int) -> UnsafeMutableRawPointer? {
    // Compared without signs: a negative count is longer than any room.
    guard _fastPath(UInt(bitPattern: end - cursor) >= UInt(bitPattern: count)) else {
      hasOverflowed = true
      end = cursor
      return nil
    }
    let place = cursor
    cursor = place + count
    return place
  }

  /// Stores `value` in network byte order at a place of `take`, which was asked for all bytes up to the value's end.
  @inlinable @inline(__always)
  static func store<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value, in place: UnsafeMutableRawPointer, at offset: Int
  ) {
    // Safe: `take` checked that so many bytes are there; each caller has the number a few lines above.
    place.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
  }

  /// Writes `value` in network byte order, if it fits.
  @inlinable @inline(__always)
  mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    guard let place = take(MemoryLayout<Value>.size) else { return }
    Self.store(value, in: place, at: 0)
  }

  @inlinable @inline(__always)
  public mutating func unsigned8(_ element: InformationElement, _ value: UInt8) { store(value) }

  @inlinable @inline(__always)
  public mutating func unsigned16(_ element: InformationElement, _ value: UInt16) { store(value) }

  @inlinable @inline(__always)
  public mutating func unsigned32(_ element: InformationElement, _ value: UInt32) { store(value) }

  @inlinable @inline(__always)
  public mutating func unsigned64(_ element: InformationElement, _ value: UInt64) { store(value) }

  @inlinable @inline(__always)
  public mutating func float32(_ element: InformationElement, _ value: Float) { store(value.bitPattern) }

  @inlinable @inline(__always)
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) { store(address) }

  @inlinable @inline(__always)
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    guard let place = take(16) else { return }
    Self.store(high, in: place, at: 0)
    Self.store(low, in: place, at: 8)
  }

  @inlinable @inline(__always)
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    guard let place = take(6) else { return }
    Self.store(UInt32(truncatingIfNeeded: address >> 16), in: place, at: 0)
    Self.store(UInt16(truncatingIfNeeded: address), in: place, at: 4)
  }

  @inlinable @inline(__always)
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    switch element.type {
    case .dateTimeSeconds: store(UInt32(truncatingIfNeeded: nanoseconds / 1_000_000_000))
    case .dateTimeMilliseconds: store(nanoseconds / 1_000_000)
    case .dateTimeNanoseconds: store(Timestamp.nanoseconds(nanoseconds))
    default: store(Timestamp.microseconds(nanoseconds))
    }
  }

  /// A length of one octet up to 254, else 255 and two octets (RFC 7011 section 7), then the bytes.
  @inlinable @inline(__always)
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    let count = bytes.byteCount
    // Many a field is empty.
    if count == 0 { return store(0 as UInt8) }
    let prefix = count < 255 ? 1 : 3
    // More than two octets can say never fits: report it like any record that is too long.
    guard let place = take(count <= 65535 ? prefix &+ count : Int.max) else { return }
    if prefix == 1 {
      Self.store(UInt8(truncatingIfNeeded: count), in: place, at: 0)
    } else {
      Self.store(255 as UInt8, in: place, at: 0)
      Self.store(UInt16(truncatingIfNeeded: count), in: place, at: 1)
    }
    bytes.withUnsafeBytes { source in
      guard let base = source.baseAddress else { return }
      // Safe: `take` was asked for `count` bytes behind the prefix, as many as the span has.
      (place + prefix).copyMemory(from: base, byteCount: count)
    }
  }

  @inlinable @inline(__always)
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) { octets(element, bytes) }

  @inlinable @inline(__always)
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    let width = Entry.bitWidth / 8
    guard var place = beginList(element, count: count, width: width) else { return }
    var index = 0
    while index < count {
      var value = entry(index).bigEndian
      // FixedWidthInteger does not promise BitwiseCopyable, so the bytes are copied; it compiles to one store.
      // Safe: `beginList` took room for `count` entries of this width, which a value has; no value is at address 0.
      withUnsafeBytes(of: &value) {
        place.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: width)
      }
      place += width
      index &+= 1
    }
  }

  @inlinable @inline(__always)
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    switch element.type {
    case .dateTimeSeconds:
      list(element, count: count) { UInt32(truncatingIfNeeded: entry($0) / 1_000_000_000) }
    case .dateTimeMilliseconds: list(element, count: count) { entry($0) / 1_000_000 }
    case .dateTimeNanoseconds: list(element, count: count) { Timestamp.nanoseconds(entry($0)) }
    default: list(element, count: count) { Timestamp.microseconds(entry($0)) }
    }
  }

  /// Writes the header of a basicList and takes the room of its entries; returns where they go.
  ///
  /// The long form of the length is used always, as RFC 6313 section 4.5 recommends and ipfixprobe does:
  ///
  ///      0                   1                   2                   3
  ///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |      255      |     length of what follows    | semantic = 3  |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |E|         element id          |        length of an entry     |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |                 enterprise number (only if E)                 |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |                         entries ...                           |
  @inlinable @inline(__always)
  mutating func beginList(_ element: InformationElement, count: Int, width: Int) -> UnsafeMutableRawPointer? {
    let enterpriseNumber = element.enterpriseNumber(martlet: martletEnterpriseNumber)
    let header = enterpriseNumber == 0 ? 5 : 9
    // Above 65535 entries the product could overflow, and no list of that many fits anyway.
    let length = count >= 0 && count <= 65535 ? header &+ count &* width : Int.max
    guard let place = take(length <= 65535 ? 3 &+ length : Int.max) else { return nil }
    let identifier = element.identifier & 0x7FFF | (enterpriseNumber == 0 ? 0 : 0x8000)
    Self.store(255 as UInt8, in: place, at: 0)
    Self.store(UInt16(truncatingIfNeeded: length), in: place, at: 1)
    Self.store(3 as UInt8, in: place, at: 3)
    Self.store(identifier, in: place, at: 4)
    Self.store(UInt16(truncatingIfNeeded: width), in: place, at: 6)
    if enterpriseNumber != 0 { Self.store(enterpriseNumber, in: place, at: 8) }
    return place + (3 &+ header)
  }
}
