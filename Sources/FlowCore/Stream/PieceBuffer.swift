// A slab block in which pieces of a message or stream lie at their own offsets, in whatever order they arrive: TCP segments,
// DTLS fragments, QUIC's CRYPTO frames.
import Wire

/// What the block begins with; the bytes follow. What arrived first stays: a piece that overlaps earlier ones fills only the
/// gaps between them, so bytes that a reader has seen never change, and only bytes that arrived are ever shown.
struct PieceBuffer: BitwiseCopyable {
  /// The most bytes that are kept: a TLS hello of 16 KiB.
  static let limit = 16384
  private static var headSize: Int { MemoryLayout<PieceBuffer>.size }

  private(set) var ranges = FilledRanges()

  /// The first run of bytes behind the first gap; nil without one.
  var firstIsland: (start: Int, end: Int)? { ranges.firstIsland }

  /// What became of a piece.
  enum Outcome {
    /// It is in the buffer, as much of it as `limit` allows, or was there before.
    case kept
    /// The slab has no block for it, or it would make too many islands: it is as if it had not come.
    case lost
  }

  /// The state of the buffer in `block`; an empty one for no block.
  @inline(__always)
  static func read(_ block: BlockReference, _ blocks: FlowBlocks) -> PieceBuffer {
    block.isNone ? PieceBuffer() : blocks.contents(block).load(PieceBuffer.self, at: 0)
  }

  /// Bytes without a gap from the start.
  @inline(__always) var filled: Int { Int(ranges.filled) }

  /// The bytes of `block` without a gap from the start. Valid until the next `put`.
  @inline(__always)
  func bytes(_ block: BlockReference, _ blocks: FlowBlocks) -> Bytes {
    guard !block.isNone else { return blocks.contents(block).prefix(0) }
    return blocks.contents(block).dropFirst(PieceBuffer.headSize).prefix(filled)
  }

  /// The bytes of `block` from `start` to `end`, which an island holds.
  @inline(__always)
  func bytes(_ block: BlockReference, _ start: Int, _ end: Int, _ blocks: FlowBlocks) -> Bytes {
    blocks.contents(block).dropFirst(PieceBuffer.headSize &+ start).prefix(end &- start)
  }

  /// Makes `block` an empty buffer; takes one with room for `room` bytes if there is none yet. False when the slab has none.
  static func begin(_ block: inout BlockReference, room: Int, _ blocks: inout FlowBlocks) -> Bool {
    if block.isNone {
      guard let new = blocks.take(headSize &+ max(0, min(room, limit))) else { return false }
      block = new
    }
    blocks.contents(block).store(PieceBuffer(), at: 0)
    return true
  }

  /// Puts a piece at its offset. Takes a larger block where needed: their sizes grow fourfold, so a buffer takes at most
  /// five (44 KiB).
  /// - Complexity: O(the piece's length), and of what is moved when the block grows
  static func put(
    _ piece: Bytes, at offset: Int, in block: inout BlockReference, _ blocks: inout FlowBlocks
  ) -> Outcome {
    var buffer = read(block, blocks)
    guard offset >= 0, offset <= limit, !block.isNone else { return .lost }
    let end = min(offset &+ piece.count, limit)
    guard offset < end else { return .kept }
    let before = buffer.ranges
    guard buffer.ranges.insert(offset, end) else { return .lost }
    if headSize &+ end > blocks.contents(block).count {
      guard let larger = blocks.take(headSize &+ end) else { return .lost }
      let old = blocks.contents(block)
      blocks.contents(larger).copy(old.prefix(old.count), to: 0)
      block = larger
    }
    let contents = blocks.contents(block)
    before.forEachGap(offset, end) { start, end in
      contents.copy(piece.dropFirst(start &- offset).prefix(end &- start), to: headSize &+ start)
    }
    contents.store(buffer, at: 0)
    return .kept
  }
}
