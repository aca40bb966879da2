// The bytes of a hello that comes in pieces: a slab block in which each piece lies at its own offset, in whatever order
// they arrive.

/// Which bytes of a buffer are filled: all before `filled`, and up to eight islands behind it.
struct FilledRanges: BitwiseCopyable {
  private struct Island: BitwiseCopyable {
    var start: UInt16
    var end: UInt16
  }

  /// Bytes without a gap from the start.
  private(set) var filled: UInt16 = 0
  private var count: UInt16 = 0
  private var islands = InlineArray<8, Island>(repeating: Island(start: 0, end: 0))

  /// Adds the bytes from `start` to before `end`; false, and nothing is added, when that would make a ninth island.
  mutating func insert(_ start: UInt16, _ end: UInt16) -> Bool {
    var piece = Island(start: start, end: end)
    // Islands that the piece touches become part of it.
    var kept = 0
    var index = 0
    while index < Int(count) {
      let island = islands[index & 7]
      if island.start <= piece.end, piece.start <= island.end {
        piece = Island(start: min(island.start, piece.start), end: max(island.end, piece.end))
      } else {
        islands[kept & 7] = island
        kept &+= 1
      }
      index &+= 1
    }
    if piece.start <= filled {
      filled = max(filled, piece.end)
    } else {
      guard kept < 8 else { return false }
      islands[kept & 7] = piece
      kept &+= 1
    }
    count = UInt16(truncatingIfNeeded: kept)
    return true
  }

  /// The first gap at or behind `start`, up to `end`: its own start and end, which are equal where there is none.
  /// - Complexity: O(1): each of the eight islands is passed at most once.
  func gap(from start: Int, to end: Int) -> (start: Int, end: Int) {
    var from = max(start, Int(filled))
    var next = end
    // The islands are in no order: one may end where another that was looked at before starts.
    var round = 0
    var isInside = true
    while isInside, round < 9 {
      isInside = false
      next = end
      var index = 0
      while index < Int(count) {
        let (first, last) = (Int(islands[index & 7].start), Int(islands[index & 7].end))
        if first <= from, from < last {
          from = last
          isInside = true
        } else if first > from {
          next = min(next, first)
        }
        index &+= 1
      }
      round &+= 1
    }
    guard from < end else { return (end, end) }
    return (from, max(from, next))
  }
}

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
    guard ranges.insert(UInt16(truncatingIfNeeded: offset), UInt16(truncatingIfNeeded: end)) else {
      return false
    }
    if headSize &+ end > flow.contents(block).count {
      guard let larger = flow.takeBlock(headSize &+ end) else { return false }
      let old = flow.contents(block)
      flow.contents(larger).copy(old.prefix(old.count), to: 0)
      block = larger
    }
    let stream = bytes(block, flow)
    var from = offset
    // Eight islands leave at most nine gaps.
    var gaps = 0
    while from < end, gaps < 9 {
      let gap = buffer.ranges.gap(from: from, to: end)
      if gap.start < gap.end {
        stream.copy(piece.slice(gap.start &- offset, gap.end &- gap.start), to: gap.start)
      }
      from = gap.end
      gaps &+= 1
    }
    buffer.ranges = ranges
    flow.contents(block).store(buffer, at: 0)
    return true
  }
}
