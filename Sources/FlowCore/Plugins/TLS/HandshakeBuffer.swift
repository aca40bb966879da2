// The bytes of a hello that comes in pieces: a slab block in which each piece lies at its own offset, in whatever order
// they arrive.
import Wire

/// What a buffer's block begins with; the bytes themselves follow.
struct HandshakeBuffer: BitwiseCopyable {
  /// The most bytes of one direction that are kept: a hello of 16 KiB. The largest seen in public captures has 11.
  static let limit = 16384
  /// How far ahead of a gap bytes are kept: a few segments, so that a single packet cannot take a large block.
  static let reorderWindow = 6144
  private static var headSize: Int { MemoryLayout<HandshakeBuffer>.size }

  private var ranges = FilledRanges()
  /// How far the records have been followed.
  var walk = RecordWalk()

  /// Bytes without a gap from the start.
  var filled: Int { Int(ranges.filled) }

  /// The bytes of `block` that the pieces lie in.
  static func bytes(_ block: BlockReference, _ flow: FlowContext) -> MutableBytes {
    flow.contents(block).dropFirst(headSize)
  }

  /// Makes `block` an empty buffer; takes the block if there is none yet. False when the slab has none.
  static func begin(_ block: inout BlockReference, room: Int, _ flow: inout FlowContext) -> Bool {
    if block.isNone {
      guard let new = flow.takeBlock(headSize &+ max(0, min(room, limit))) else { return false }
      block = new
    }
    flow.contents(block).store(HandshakeBuffer(), at: 0)
    return true
  }

  /// Puts a piece at its offset, as much of it as the limits allow and as is not there yet: what arrived first stays, a
  /// retransmission that says otherwise changes nothing. Takes a larger block where needed: their sizes grow fourfold, so a
  /// direction takes at most five (44 KiB). False when there is no block, the slab has none, or the pieces are too many.
  static func put(
    _ piece: Bytes, at offset: Int, in block: inout BlockReference, _ flow: inout FlowContext
  ) -> Bool {
    guard !block.isNone else { return false }
    var buffer = flow.contents(block).load(HandshakeBuffer.self, at: 0)
    guard offset >= 0, offset <= buffer.filled &+ reorderWindow else { return false }
    let end = min(offset &+ piece.count, limit)
    guard offset < end else { return true }
    var ranges = buffer.ranges
    guard ranges.insert(offset, end) else {
      return false
    }
    if headSize &+ end > flow.contents(block).count {
      guard let larger = flow.takeBlock(headSize &+ end) else { return false }
      let old = flow.contents(block)
      flow.contents(larger).copy(old.prefix(old.count), to: 0)
      block = larger
    }
    let stream = bytes(block, flow)
    buffer.ranges.forEachGap(offset, end) { from, to in
      stream.copy(piece.slice(from &- offset, to &- from), to: from)
    }
    buffer.ranges = ranges
    flow.contents(block).store(buffer, at: 0)
    return true
  }
}
