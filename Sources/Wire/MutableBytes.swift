// Bytes that plugins write: a block's contents, or what lies behind a plugin's state. Total like `Bytes`: a write outside
// does nothing and is counted.
import CIntrinsics

/// A borrowed run of bytes that may be written: a block's contents or a plugin's trailing state. Bounds are checked.
public struct MutableBytes: BitwiseCopyable {
  public let base: UnsafeMutableRawPointer
  /// The number of bytes.
  public let count: Int

  @inline(__always)
  public init(_ base: UnsafeMutableRawPointer, count: Int) {
    self.base = base
    self.count = count
  }

  /// The value of type `T` at `offset`, in the machine's byte order; all zero bytes, and a fault, outside.
  @inline(__always)
  public func load<T: BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    guard contains(offset, MemoryLayout<T>.size) else {
      noteFault()
      // Safe: the next line, decided when `T` is known. No plugin keeps more in one value.
      precondition(MemoryLayout<T>.size <= MARTLET_ZEROS)
      return martlet_zeros().loadUnaligned(as: T.self)
    }
    // Safe: the first line checked that all of T's bytes are inside.
    return base.loadUnaligned(fromByteOffset: offset, as: T.self)
  }

  /// Stores `value` at `offset`, in the machine's byte order; nothing, and a fault, outside.
  @inline(__always)
  public func store<T: BitwiseCopyable>(_ value: T, at offset: Int) {
    guard contains(offset, MemoryLayout<T>.size) else {
      noteFault()
      return
    }
    // Safe: the first line checked that all of T's bytes are inside.
    base.storeBytes(of: value, toByteOffset: offset, as: T.self)
  }

  /// Copies `bytes`, which may overlap, to `offset`; nothing, and a fault, where they do not fit.
  @inline(__always)
  public func copy(_ bytes: Bytes, to offset: Int) {
    guard contains(offset, bytes.count) else {
      noteFault()
      return
    }
    // Safe: the first line checked that there is room for all of them.
    (base + offset).copyMemory(from: bytes.base, byteCount: bytes.count)
  }

  /// The first `count` values of type `T`, in the machine's byte order; fewer, and a fault, where there are not so many. Bounds
  /// are checked once for a loop over all of them.
  @inline(__always)
  public func values<T: BitwiseCopyable>(_ type: T.Type, count wanted: Int) -> ListView<T> {
    guard wanted >= 0, wanted <= count / MemoryLayout<T>.stride else {
      noteFault()
      return ListView(base, count: 0)
    }
    // Safe: the first line checked that they are inside.
    return ListView(base, count: wanted)
  }

  @inline(__always)
  private func contains(_ offset: Int, _ length: Int) -> Bool {
    offset >= 0 && length >= 0 && offset <= count && count &- offset >= length
  }

  /// The first `length` bytes, for reading.
  @inline(__always)
  public func prefix(_ length: Int) -> Bytes { Bytes(base, count: count).prefix(length) }

  /// All bytes from `offset` on; empty where there are none.
  @inline(__always)
  public func dropFirst(_ offset: Int) -> MutableBytes {
    let skipped = min(count, max(0, offset))
    return MutableBytes(base + skipped, count: count &- skipped)
  }
}
