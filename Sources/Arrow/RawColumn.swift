// Memory from malloc that grows at its end, until it is given away: Arrow's consumers free it.
import Glibc

/// A block of octets. It is a plain value inside of a column, whose owner destroys it or gives it away.
struct RawColumn {
  private(set) var base: UnsafeMutableRawPointer?
  /// Octets that are in use.
  private(set) var count = 0
  /// Octets that there is room for.
  private(set) var room = 0

  /// Arrow's offsets have 31 bits; a batch ends long before.
  static let most = 1 << 31 - 1

  /// Makes room for `length` more octets; false where there is no memory, or too many would it be.
  @inline(__always)
  mutating func reserve(_ length: Int) -> Bool {
    length <= room &- count || grow(length)
  }

  @inline(never)
  private mutating func grow(_ length: Int) -> Bool {
    let needed = count &+ length
    guard length >= 0, needed < Self.most else { return false }
    let larger = max(needed, room &* 2, 1024)
    guard let moved = realloc(base, larger) else { return false }
    base = moved
    room = larger
    return true
  }

  /// Makes room for all octets up to `end`, those that are new zero; false where there is no memory.
  mutating func extend(zeroTo end: Int) -> Bool {
    if end > room {
      guard let moved = realloc(base, end) else { return false }
      base = moved
      room = end
    }
    if end > count, let base {
      memset(base + count, 0, end &- count)
      count = end
    }
    return true
  }

  /// Adds octets; false where there is no memory.
  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard reserve(bytes.count) else { return false }
    guard let base, let source = bytes.baseAddress, bytes.count > 0 else { return true }
    // Safe: the first line made room.
    (base + count).copyMemory(from: source, byteCount: bytes.count)
    count &+= bytes.count
    return true
  }

  /// Adds a number of `width` octets, for which there must be room.
  @inline(__always)
  mutating func store(_ value: UInt64, width: Int) {
    guard let base, count &+ width <= room else { return }
    Self.store(value, width: width, at: base + count)
    count &+= width
  }

  /// Stores a number in the machine's byte order.
  @inline(__always)
  static func store(_ value: UInt64, width: Int, at place: UnsafeMutableRawPointer) {
    // Safe: callers have `width` octets there.
    switch width {
    case 1: place.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: place.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 4: place.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    default: place.storeBytes(of: value, as: UInt64.self)
    }
  }

  /// Adds an offset, for which there must be room.
  @inline(__always)
  mutating func appendOffset(_ offset: Int) { store(UInt64(truncatingIfNeeded: offset), width: 4) }

  /// The offset at a place; 0 outside.
  @inline(__always)
  func offset(_ index: Int) -> Int {
    guard let base, index >= 0, index &* 4 &+ 4 <= count else { return 0 }
    // Safe: the line above checked the place.
    return Int(base.loadUnaligned(fromByteOffset: index &* 4, as: Int32.self))
  }

  /// The memory, which belongs to the caller from here on, at least one octet.
  mutating func take() -> UnsafeMutableRawPointer? {
    let taken = base ?? calloc(1, 8)
    self = RawColumn()
    return taken
  }

  /// The memory, which belongs to the caller from here on; nil where there is none.
  mutating func takeOrNone() -> UnsafeMutableRawPointer? {
    let taken = base
    self = RawColumn()
    return taken
  }

  /// Frees the memory.
  mutating func destroy() {
    free(base)
    self = RawColumn()
  }
}
