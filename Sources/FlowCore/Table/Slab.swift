// Memory for what only some flows have and what has no fixed length: server names, payloads, handshakes under way.
// A flow takes blocks when it needs them; they return with its record.
import CIntrinsics

/// Where a block lies in its slab, in units of 64 bytes; 0 is no block.
public struct BlockReference: BitwiseCopyable, Sendable, Equatable {
  var unit: UInt32 = 0

  /// No block.
  public init() {}
  fileprivate init(unit: UInt32) { self.unit = unit }

  /// True when there is no block.
  @inline(__always) public var isNone: Bool { unit == 0 }
}

/// Blocks of five sizes (128 bytes to 32 KiB, each four times the one before) from one arena of fixed size; freed
/// blocks are kept by size.
///
///     block:  next block of the flow 4 | size class 1 | - 3 | contents …
///
/// Blocks are never split or joined, so allocation and return cost a few instructions; when the arena is used up `take`
/// returns nil, the plugin goes without, and the worker counts it.
struct Slab: ~Copyable {
  static let headerSize = 8
  static let classCount = 5
  /// The most a block holds.
  static let largest = size(classCount - 1) - headerSize
  private let arena: UnsafeMutableRawPointer
  private let units: UInt32
  private var used: UInt32 = 1
  private var free: InlineArray<5, UInt32> = .init(repeating: 0)
  private let memory: any FlowMemory

  init(bytes: Int, memory: any FlowMemory) throws(FlowSetupError) {
    units = UInt32(max(2, bytes / 64))
    self.memory = memory
    guard let arena = memory.allocate(Int(units) * 64) else { throw .noMemory(bytes: bytes, flows: 0) }
    self.arena = arena
  }

  deinit { memory.free(arena, Int(units) * 64) }

  /// The arena's first byte: finished records are read by the export lcore through `SlabReader`.
  var reader: SlabReader { SlabReader(arena: arena, units: units) }

  /// A block with room for `length` bytes, entered at the head of the flow's list `blocks`; nil if the arena is used up
  /// or `length` is more than the largest block holds.
  mutating func take(_ length: Int, for blocks: inout UInt32) -> BlockReference? {
    var sizeClass = 0
    while sizeClass < Slab.classCount, length > Slab.size(sizeClass) - Slab.headerSize { sizeClass += 1 }
    guard sizeClass < Slab.classCount else { return nil }
    var unit = free[sizeClass]
    if unit != 0 {
      free[sizeClass] = header(unit)[0]
    } else {
      let needed = UInt32(Slab.size(sizeClass) / 64)
      guard units - used >= needed else { return nil }
      unit = used
      used += needed
    }
    header(unit)[0] = blocks
    header(unit)[1] = UInt32(sizeClass)
    blocks = unit
    return BlockReference(unit: unit)
  }

  /// Takes all blocks of a flow's list back.
  @inline(__always)
  mutating func giveBack(_ blocks: inout UInt32) {
    while blocks != 0 {
      let next = header(blocks)[0]
      let sizeClass = Int(header(blocks)[1])
      header(blocks)[0] = free[sizeClass]
      free[sizeClass] = blocks
      blocks = next
    }
  }

  /// The bytes of a block of `sizeClass`, its header included.
  @inline(__always)
  static func size(_ sizeClass: Int) -> Int { 128 << (2 * sizeClass) }

  private func header(_ unit: UInt32) -> UnsafeMutablePointer<UInt32> {
    precondition(unit < units)
    return (arena + Int(unit) * 64).assumingMemoryBound(to: UInt32.self)
  }
}

/// Reads blocks of one slab.
public struct SlabReader: BitwiseCopyable, @unchecked Sendable {
  let arena: UnsafeMutableRawPointer
  let units: UInt32

  /// Asks for a block's lines as far as its first `length` bytes of contents reach.
  @inline(__always)
  func prefetch(_ block: BlockReference, _ length: Int) {
    guard block.unit != 0, block.unit < units else { return }
    var offset = Int(block.unit) * 64
    let end = offset + Slab.headerSize + length
    while offset < end {
      martlet_prefetch(arena + offset)
      offset += 64
    }
  }

  /// The contents of a block: as many bytes as its size class holds; empty for no block.
  @inline(__always)
  public func contents(_ block: BlockReference) -> MutableBytes {
    guard block.unit != 0 else { return MutableBytes(arena, count: 0) }
    precondition(block.unit < units)
    let start = arena + Int(block.unit) * 64
    let sizeClass = Int(start.load(fromByteOffset: 4, as: UInt32.self))
    return MutableBytes(start + Slab.headerSize, count: Slab.size(sizeClass) - Slab.headerSize)
  }
}

/// A borrowed run of bytes that may be written: a block's contents or a plugin's trailing state. Bounds are checked.
public struct MutableBytes: BitwiseCopyable {
  let base: UnsafeMutableRawPointer
  /// The number of bytes.
  public let count: Int

  @inline(__always)
  init(_ base: UnsafeMutableRawPointer, count: Int) {
    self.base = base
    self.count = count
  }

  /// The value of type `T` at `offset`, in the machine's byte order.
  @inline(__always)
  public func load<T: BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    precondition(offset >= 0 && count &- offset >= MemoryLayout<T>.size)
    return base.loadUnaligned(fromByteOffset: offset, as: T.self)
  }

  /// Stores `value` at `offset`, in the machine's byte order.
  @inline(__always)
  public func store<T: BitwiseCopyable>(_ value: T, at offset: Int) {
    precondition(offset >= 0 && count &- offset >= MemoryLayout<T>.size)
    base.storeBytes(of: value, toByteOffset: offset, as: T.self)
  }

  /// Copies `bytes` to `offset`.
  @inline(__always)
  public func copy(_ bytes: Bytes, to offset: Int) {
    precondition(offset >= 0 && count &- offset >= bytes.count)
    (base + offset).copyMemory(from: bytes.base, byteCount: bytes.count)
  }

  /// The first `length` bytes, for reading.
  @inline(__always)
  public func prefix(_ length: Int) -> Bytes { Bytes(base, count: count).prefix(length) }
}
