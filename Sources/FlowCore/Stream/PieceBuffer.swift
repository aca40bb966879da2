// A slab block in which pieces of a message or stream lie at their own offsets, in whatever order they arrive: TCP segments,
// DTLS fragments, QUIC's CRYPTO frames.
import Wire

/// What the block begins with; the bytes follow. What arrived first stays: a piece that overlaps earlier ones fills only the
/// gaps between them, so bytes that a reader has seen never change, and only bytes that arrived are ever shown.
///
///     0                       36
///     | filled ranges 36 | the bytes, each at its offset …
struct PieceBuffer: BitwiseCopyable {
  /// The most bytes that are kept: a TLS hello of 16 KiB.
  static let limit = 16384
  /// How far ahead of a gap bytes are kept: a few segments, so that a single packet cannot take a large block.
  static let window = 6144
  private static var headSize: Int { MemoryLayout<PieceBuffer>.size }

  private(set) var ranges = FilledRanges()

  /// Bytes without a gap from the start.
  @inline(__always) var filled: Int { Int(ranges.filled) }

  /// The state of the buffer in `block`; an empty one for no block.
  @inline(__always)
  static func read(_ block: BlockReference, _ blocks: FlowBlocks) -> PieceBuffer {
    block.isNone ? PieceBuffer() : blocks.contents(block).load(PieceBuffer.self, at: 0)
  }

  /// The bytes of `block` without a gap from the start. Valid until the next `put`.
  @inline(__always)
  func bytes(_ block: BlockReference, _ blocks: FlowBlocks) -> Bytes {
    blocks.contents(block).dropFirst(PieceBuffer.headSize).prefix(filled)
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

  /// Puts a piece at its offset, as much of it as `limit` allows and as is not there yet. Takes a larger block where needed:
  /// their sizes grow fourfold, so a buffer takes at most five (44 KiB). False when it is too far ahead of a gap, the pieces
  /// are too many, or the slab has no block: then it is as if it had not come.
  /// - Complexity: O(the piece's length), and of what is moved when the block grows
  static func put(
    _ piece: Bytes, at offset: Int, in block: inout BlockReference, _ blocks: inout FlowBlocks
  ) -> Bool {
    guard !block.isNone else { return false }
    var buffer = read(block, blocks)
    guard offset >= 0, offset <= buffer.filled &+ window else { return false }
    let end = min(offset &+ piece.count, limit)
    guard offset < end else { return true }
    let before = buffer.ranges
    guard buffer.ranges.insert(offset, end) else { return false }
    if headSize &+ end > blocks.contents(block).count {
      guard let larger = blocks.take(headSize &+ end) else { return false }
      let old = blocks.contents(block)
      blocks.contents(larger).copy(old.prefix(old.count), to: 0)
      block = larger
    }
    let contents = blocks.contents(block)
    before.forEachGap(offset, end) { start, end in
      contents.copy(piece.slice(start &- offset, end &- start), to: headSize &+ start)
    }
    contents.store(buffer, at: 0)
    return true
  }

  /// Lets go of the first `count` bytes: those behind them, islands too, move to the front.
  /// - Complexity: O(the bytes kept)
  static func dropFirst(_ count: Int, of block: BlockReference, _ blocks: FlowBlocks) {
    let contents = blocks.contents(block)
    var buffer = read(block, blocks)
    let end = buffer.ranges.end
    buffer.ranges.dropFirst(count)
    let bytes = contents.prefix(contents.count).dropFirst(headSize)
    contents.copy(bytes.dropFirst(count).prefix(end &- count), to: headSize)
    contents.store(buffer, at: 0)
  }

  /// A copy of `block` in a block of another flow's; none where there is none to take.
  static func copy(_ block: BlockReference, _ blocks: FlowBlocks, for other: inout FlowBlocks)
    -> BlockReference?
  {
    let old = blocks.contents(block)
    let used = headSize &+ read(block, blocks).ranges.end
    guard let new = other.take(used) else { return nil }
    other.contents(new).copy(old.prefix(used), to: 0)
    return new
  }
}
