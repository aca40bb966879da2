// Bytes of variable length that a plugin keeps of a flow and exports: names, payloads, lists.
import Wire

/// Bytes in a block of the flow's own, as a member of a plugin's state. All zero it is empty. The export lcore finds these
/// members by itself and prefetches what they refer to, unless they lie in an array.
public struct StoredBytes: BitwiseCopyable, Sendable {
  /// Where the bytes lie; none where nothing was stored.
  var block = BlockReference()
  /// How many there are.
  var length: UInt16 = 0

  /// The most bytes that can be stored.
  public static var limit: Int { Slab.largest }

  public init() {}

  /// The first `length` bytes of `block`.
  init(_ block: BlockReference, length: Int) {
    self.block = block
    self.length = UInt16(clamping: length)
  }

  /// How many bytes there are.
  @inline(__always) public var count: Int { Int(length) }
  /// Whether there is no byte.
  @inline(__always) public var isEmpty: Bool { length == 0 }
}

extension FlowBlocks {
  /// As `FlowContext.store`.
  mutating func store(_ bytes: Bytes, in stored: inout StoredBytes, limit: Int) -> Bool {
    stored.length = 0
    return append(bytes, to: &stored, limit: limit)
  }

  /// As `FlowContext.append`.
  mutating func append(_ bytes: Bytes, to stored: inout StoredBytes, limit: Int) -> Bool {
    let piece = bytes.prefix(min(limit, StoredBytes.limit) &- stored.count)
    if piece.isEmpty { return bytes.isEmpty }
    var room = contents(stored.block)
    let end = stored.count &+ piece.count
    if end > room.count {
      guard let larger = take(end) else { return false }
      let old = room.prefix(stored.count)
      room = contents(larger)
      if !old.isEmpty { room.copy(old, to: 0) }
      stored.block = larger
    }
    room.copy(piece, to: stored.count)
    stored.length = UInt16(clamping: end)
    return piece.count == bytes.count
  }
}

extension FlowContext {
  /// Stores the first `limit` of `bytes` in place of what `stored` had. False, and counted, where the worker has no memory
  /// left: then `stored` is empty.
  /// - Complexity: O(bytes stored)
  @discardableResult @inline(__always)
  public mutating func store(
    _ bytes: Bytes, in stored: inout StoredBytes, limit: Int = StoredBytes.limit
  ) -> Bool {
    blocks.store(bytes, in: &stored, limit: limit)
  }

  /// Adds `bytes` to what is stored, as far as it has at most `limit` bytes then. False where not all of them could be
  /// stored. A block that is too small makes room for one four times as large: a flow takes five at the most.
  /// - Complexity: O(bytes added), and of what is moved to a larger block
  @discardableResult @inline(__always)
  public mutating func append(
    _ bytes: Bytes, to stored: inout StoredBytes, limit: Int = StoredBytes.limit
  ) -> Bool {
    blocks.append(bytes, to: &stored, limit: limit)
  }

  /// What is stored. Valid until more is.
  @inline(__always)
  public func bytes(_ stored: StoredBytes) -> Bytes { contents(stored.block).prefix(stored.count) }
}
