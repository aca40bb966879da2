// The one way to look at bytes from the wire: a view that knows its length and a cursor that reads forward.
// Everything that parses packets goes through these two, so bounds are checked in one place, and both are total: a read
// outside gives zero, or nothing, and is counted for the plugin that made it. A parser's mistake costs a field, never the
// probe.
import CIntrinsics

/// A borrowed, read-only run of captured bytes. Integers are read in network byte order.
///
/// The view does not own its memory: it is valid while the burst, or the finished record, that it came from is.
/// Each access checks its bounds. Outside there are zeros, and the access is counted as a parser fault (`noteFault`): that
/// is a defect of the parser, never of the traffic, because parsers ask `count` or use `Cursor`, which throws instead.
///
/// Safe between threads: it only reads, and nobody writes to the memory while it is valid.
public struct Bytes: BitwiseCopyable, @unchecked Sendable {
  public let base: UnsafeRawPointer
  /// The number of readable bytes.
  public let count: Int

  /// A view of `count` bytes at `base`, which the caller keeps alive and unchanged.
  @inlinable @inline(__always)
  public init(_ base: UnsafeRawPointer, count: Int) {
    self.base = base
    self.count = count
  }

  /// True when there is no byte to read.
  @inlinable @inline(__always)
  public var isEmpty: Bool { count == 0 }

  /// The byte at `offset`; 0, and a fault, outside.
  @inlinable @inline(__always)
  public subscript(offset: Int) -> UInt8 {
    guard UInt(bitPattern: offset) < UInt(bitPattern: count) else {
      noteFault()
      return 0
    }
    // Safe: the line above checked the offset.
    return base.load(fromByteOffset: offset, as: UInt8.self)
  }

  /// The big-endian integer of type `T` at `offset`; 0, and a fault, where not all of it is inside.
  @inlinable @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    guard offset >= 0, count &- offset >= MemoryLayout<T>.size else {
      noteFault()
      return 0
    }
    // Safe: the line above checked that all of T's bytes are inside.
    return T(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// The `length` bytes from `offset` on; none, and a fault, where not all of them are inside.
  @inlinable @inline(__always)
  public func slice(_ offset: Int, _ length: Int) -> Bytes {
    guard offset >= 0, length >= 0, count &- offset >= length else {
      noteFault()
      return Bytes(base, count: 0)
    }
    // Safe: the line above checked that the slice is inside.
    return Bytes(base + offset, count: length)
  }

  /// At most the first `length` bytes.
  @inlinable @inline(__always)
  public func prefix(_ length: Int) -> Bytes {
    Bytes(base, count: Swift.min(count, Swift.max(0, length)))
  }

  /// All bytes from `offset` on; empty where there are none.
  @inlinable @inline(__always)
  public func dropFirst(_ offset: Int) -> Bytes {
    let skipped = Swift.min(count, Swift.max(0, offset))
    return Bytes(base + skipped, count: count &- skipped)
  }

  /// The bytes of a buffer, which the caller keeps alive and unchanged.
  @inlinable @inline(__always)
  public init(_ buffer: UnsafeRawBufferPointer) {
    base = buffer.baseAddress ?? martlet_zeros()
    count = buffer.count
  }

  /// The same bytes for the standard library.
  @inlinable @inline(__always)
  public var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// The same bytes as the standard library's span, for writers that take one.
  @inlinable @inline(__always)
  public var span: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = RawSpan(_unsafeStart: base, byteCount: Swift.max(0, count))
      return _overrideLifetime(span, borrowing: self)
    }
  }

  /// True when the bytes begin with the characters of `text`, compared exactly.
  /// - Complexity: O(`text`'s length)
  @inlinable @inline(__always)
  public func starts(with text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount else { return false }
    var index = 0
    while index < text.utf8CodeUnitCount {
      if self[index] != text.utf8Start[index] { return false }
      index &+= 1
    }
    return true
  }

  /// The offset of the first `byte` at or after `start`, or nil.
  /// - Complexity: O(count)
  @inlinable
  public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
    var index = Swift.max(0, start)
    while index < count {
      if self[index] == byte { return index }
      index &+= 1
    }
    return nil
  }
}

/// Counts a read or write outside of its bytes, an index outside of its array: for the plugin that runs, else for the
/// engine. It is never called for what traffic does, only for what a parser forgot to check.
@inlinable @inline(__always)
public func noteFault() { martlet_note_fault() }

extension InlineArray where Element: FixedWidthInteger {
  /// The element at `index`; outside 0 is read, nothing is written, and either is a fault.
  @inlinable @inline(__always)
  public subscript(total index: Int) -> Element {
    get {
      guard UInt(bitPattern: index) < UInt(bitPattern: count) else {
        noteFault()
        return 0
      }
      // Safe: the line above checked the index.
      return self[unchecked: index]
    }
    set {
      guard UInt(bitPattern: index) < UInt(bitPattern: count) else {
        noteFault()
        return
      }
      // Safe: the line above checked the index.
      self[unchecked: index] = newValue
    }
  }
}

/// The bytes ended before the field that was asked for.
public struct Truncated: Error {
  /// Throws one. All of the packet path throws here, because what the runtime does at a `throw` (look up the witness
  /// table the first time, call a debugger's hook) then stands in this function alone.
  @inline(never)
  public static func fail() throws(Truncated) -> Never { throw Truncated() }

  /// Has the runtime make the witness table, for which it takes a lock and memory, before there are packets.
  public static func prepare() { do { try fail() } catch {} }
}

/// Reads a run of bytes from front to back; each read past the end throws `Truncated` and reads nothing.
public struct Cursor: BitwiseCopyable {
  @usableFromInline let bytes: Bytes
  /// The offset of the next byte to read.
  public private(set) var position: Int

  /// A cursor at the first of `bytes`.
  @inline(__always)
  public init(_ bytes: Bytes) {
    self.bytes = bytes
    self.position = 0
  }

  /// The bytes not read yet.
  @inline(__always)
  public var remaining: Int { bytes.count &- position }

  /// Moves past `length` bytes and returns them.
  @inline(__always)
  public mutating func take(_ length: Int) throws(Truncated) -> Bytes {
    guard length >= 0, length <= remaining else { try Truncated.fail() }
    let slice = bytes.slice(position, length)
    position &+= length
    return slice
  }

  /// Moves past `length` bytes.
  @inline(__always)
  public mutating func skip(_ length: Int) throws(Truncated) {
    _ = try take(length)
  }

  /// The next byte.
  @inline(__always)
  public mutating func unsigned8() throws(Truncated) -> UInt8 { try take(1)[0] }

  /// The next two bytes, big-endian.
  @inline(__always)
  public mutating func unsigned16() throws(Truncated) -> UInt16 { try take(2).load(UInt16.self, at: 0) }

  /// The next three bytes, big-endian.
  @inline(__always)
  public mutating func unsigned24() throws(Truncated) -> UInt32 {
    let field = try take(3)
    return UInt32(field[0]) << 16 | UInt32(field.load(UInt16.self, at: 1))
  }

  /// The next four bytes, big-endian.
  @inline(__always)
  public mutating func unsigned32() throws(Truncated) -> UInt32 { try take(4).load(UInt32.self, at: 0) }

  /// All bytes not read yet.
  @inline(__always)
  public mutating func rest() -> Bytes {
    let slice = bytes.slice(position, remaining)
    position = bytes.count
    return slice
  }
}
