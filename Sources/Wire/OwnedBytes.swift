// Memory that outputs write into and that grows: messages, lines, templates. Array<UInt8> stops the program at a wrong index,
// and checks at every store whether somebody else shares it; this is total like `Bytes`, and has one owner.
import CIntrinsics

/// A block of bytes with one owner, which frees it.
///
/// Each access checks its bounds. A read outside gives zeros, a write outside does nothing, and either is counted as a fault
/// (`noteFault`): that is a defect of the caller, never of what is written. Integers are stored in network byte order.
///
/// Safe between threads: it has one owner, and moves with it; who borrows it only reads.
@frozen
public struct OwnedBytes: ~Copyable, @unchecked Sendable {
  /// Where the bytes are; valid until the block grows or goes.
  public private(set) var base: UnsafeMutableRawPointer
  /// How many there are.
  public private(set) var count: Int

  /// A block of `count` bytes, at least one, all zero.
  public init(count: Int) {
    self.count = max(count, 1)
    base = .allocate(byteCount: self.count, alignment: 64)
    fill(0, from: 0, count: self.count)
  }

  /// A block with a copy of `first`, and of `second` behind it.
  public init(copying first: Bytes, _ second: Bytes? = nil) {
    let length = first.count &+ (second?.count ?? 0)
    self.init(uninitialised: length)
    copy(first, to: 0)
    if let second { copy(second, to: first.count) }
    // The byte that a block has at least.
    if length == 0 { store(0 as UInt8, at: 0) }
  }

  /// A block with the UTF-8 of a string.
  public init(_ text: String) {
    let utf8 = Array(text.utf8)
    self.init(count: utf8.count)
    utf8.withUnsafeBytes { copy(Bytes($0), to: 0) }
  }

  private init(uninitialised count: Int) {
    self.count = max(count, 1)
    base = .allocate(byteCount: self.count, alignment: 64)
  }

  deinit { base.deallocate() }

  /// True when `length` bytes from `offset` on are inside.
  @inlinable @inline(__always)
  public func contains(_ offset: Int, _ length: Int) -> Bool {
    // Without signs a negative number is larger than any count.
    UInt(bitPattern: offset) <= UInt(bitPattern: count)
      && UInt(bitPattern: length) <= UInt(bitPattern: count &- offset)
  }

  /// The big-endian integer of type `T` at `offset`; 0, and a fault, where not all of it is inside.
  @inlinable @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    Bytes(base, count: count).load(type, at: offset)
  }

  /// Stores `value` in network byte order at `offset`; nothing, and a fault, where not all of it is inside.
  @inlinable @inline(__always)
  public mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    guard contains(offset, MemoryLayout<T>.size) else { return noteFault() }
    // Safe: the line above checked that all of T's bytes are inside.
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
  }

  /// Copies bytes of elsewhere to `offset`; nothing, and a fault, where they do not fit.
  @inlinable @inline(__always)
  public mutating func copy(_ bytes: Bytes, to offset: Int) {
    guard bytes.count >= 0, contains(offset, bytes.count) else { return noteFault() }
    // Safe: the line above checked that there is room for all of them.
    (base + offset).copyMemory(from: bytes.base, byteCount: bytes.count)
  }

  /// Copies `length` bytes within the block, which may overlap; nothing, and a fault, where either place is not inside.
  public mutating func move(from source: Int, to target: Int, count length: Int) {
    guard length >= 0, contains(source, length), contains(target, length) else { return noteFault() }
    // Safe: the line above checked both places.
    (base + target).copyMemory(from: base + source, byteCount: length)
  }

  /// Writes `byte` into `length` places from `offset` on; nothing, and a fault, where not all of them are inside.
  public mutating func fill(_ byte: UInt8, from offset: Int, count length: Int) {
    guard contains(offset, length) else { return noteFault() }
    var place = base + offset
    let end = place + length
    while place < end {
      // Safe: the first line checked all places up to `end`.
      place.storeBytes(of: byte, as: UInt8.self)
      place += 1
    }
  }

  /// The `length` bytes from `offset` on; none, and a fault, where not all of them are inside. Valid until the block grows
  /// or goes.
  @inlinable @inline(__always)
  public func view(_ offset: Int, _ length: Int) -> Bytes { Bytes(base, count: count).slice(offset, length) }

  /// Moves to a longer block, of at least `newCount` bytes, with the first `kept` bytes of this one; no change when that is
  /// not longer. What is behind the kept bytes is zero.
  /// - Complexity: O(`newCount`)
  @inline(never)
  public mutating func grow(to newCount: Int, keeping kept: Int) {
    guard newCount > count else { return }
    let kept = min(max(kept, 0), count)
    var larger = OwnedBytes(uninitialised: newCount)
    larger.copy(Bytes(base, count: kept), to: 0)
    larger.fill(0, from: kept, count: newCount &- kept)
    swap(&self, &larger)
  }
}

/// Bytes that several parts of the program keep, and perhaps several threads: they do not change.
public final class SharedBytes: Sendable {
  private let memory: OwnedBytes
  /// The number of bytes.
  public let count: Int

  /// A copy of `first`, and of `second` behind it.
  public init(copying first: Bytes, _ second: Bytes? = nil) {
    memory = OwnedBytes(copying: first, second)
    count = first.count &+ (second?.count ?? 0)
  }

  /// The first `count` bytes of a block; none, and a fault, where it has not so many.
  public init(_ memory: consuming OwnedBytes, count: Int) {
    self.count = memory.view(0, count).count
    self.memory = memory
  }

  /// No bytes.
  public convenience init() { self.init(OwnedBytes(count: 1), count: 0) }

  /// Calls `body` with the bytes, which are only valid until it returns: this object may go then.
  public func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
    withExtendedLifetime(self) { body(memory.view(0, count)) }
  }
  /// True when there is no byte.
  public var isEmpty: Bool { count == 0 }

  /// These bytes and `other` behind them.
  public func joined(with other: SharedBytes) -> SharedBytes {
    withBytes { own in other.withBytes { SharedBytes(copying: own, $0) } }
  }
}
