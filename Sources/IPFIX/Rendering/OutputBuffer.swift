// A growable block of bytes for text output. Array<UInt8> would check uniqueness and bounds for every byte.

/// Bytes that grow at the end; the owner writes them out and empties the buffer, which keeps its memory.
public struct OutputBuffer: ~Copyable {
  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  /// Bytes in the buffer.
  public private(set) var count = 0

  /// An empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 1 << 16) {
    self.capacity = max(capacity, 64)
    memory = .allocate(byteCount: self.capacity, alignment: 64)
  }

  deinit { memory.deallocate() }

  /// The bytes; valid until the buffer is changed.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  /// Forgets all bytes, keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Forgets the bytes from `newCount` on.
  mutating func truncate(to newCount: Int) { count = min(count, max(newCount, 0)) }

  /// Makes `length` bytes at the end part of the buffer and returns where they start; the caller fills them.
  private mutating func extend(_ length: Int) -> UnsafeMutableRawPointer {
    if capacity - count < length { grow(length) }
    let place = memory + count
    count += length
    return place
  }

  @inline(never)
  private mutating func grow(_ length: Int) {
    capacity = max(capacity * 2, count + length)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    larger.copyMemory(from: memory, byteCount: count)
    memory.deallocate()
    memory = larger
  }

  /// Appends one byte.
  public mutating func append(_ byte: UInt8) { extend(1).storeBytes(of: byte, as: UInt8.self) }

  /// Appends the UTF-8 of a literal.
  public mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends bytes as they are.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    extend(bytes.count).copyMemory(from: base, byteCount: bytes.count)
  }

  /// Appends the UTF-8 of a string; for headers, not for records.
  public mutating func append(text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends one byte `times` times.
  mutating func append(_ byte: UInt8, times: Int) {
    guard times > 0 else { return }
    extend(times).initializeMemory(as: UInt8.self, repeating: byte, count: times)
  }

  /// Appends decimal digits, with leading zeros up to `width` digits.
  public mutating func appendDecimal(_ value: UInt64, width: Int = 1) {
    var digits = width
    var limit: UInt64 = 10
    // The table of powers is the loop itself: values in records are mostly short.
    var reached = 1
    while value >= limit {
      reached += 1
      let (next, overflow) = limit.multipliedReportingOverflow(by: 10)
      if overflow { break }
      limit = next
    }
    digits = max(digits, reached)
    let place = extend(digits)
    var rest = value
    var index = digits
    while index > 0 {
      index -= 1
      place.storeBytes(of: UInt8(truncatingIfNeeded: 0x30 + rest % 10), toByteOffset: index, as: UInt8.self)
      rest /= 10
    }
  }

  /// Appends a number with its sign if it is negative.
  public mutating func appendDecimal(signed value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    appendDecimal(value.magnitude)
  }

  /// Appends two lower-case hexadecimal digits.
  mutating func appendHexadecimal(_ byte: UInt8) {
    let place = extend(2)
    place.storeBytes(of: Self.digit(byte >> 4), as: UInt8.self)
    place.storeBytes(of: Self.digit(byte & 15), toByteOffset: 1, as: UInt8.self)
  }

  /// The lower-case hexadecimal digit of a value below 16.
  @inline(__always)
  static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 + nibble : 0x57 + nibble }
}

/// A field writer that makes lines of text in a buffer: JSON, CSV or the table.
public protocol LineWriter: FieldWriter, ~Copyable {
  /// The finished lines, and the current one.
  var output: OutputBuffer { get set }
  /// Starts a record.
  mutating func begin()
  /// Ends a record and its line.
  mutating func end()
}
