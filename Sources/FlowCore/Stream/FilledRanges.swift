// Which bytes of a message or stream have arrived, when pieces come in any order, overlap and repeat.

/// A set of byte positions: all before `filled`, and up to eight islands behind it, which neither touch each other nor it.
///
///     0            filled        start  end      start  end
///     ├──────────────┤            ├──────┤        ├──────┤
///       no gap            gap      island   gap    island
struct FilledRanges: BitwiseCopyable {
  private struct Island: BitwiseCopyable {
    var start: UInt16 = 0
    var end: UInt16 = 0
  }

  /// The most islands. A sender that makes more of them loses what would be the ninth.
  static let mostIslands = 8

  /// Bytes without a gap from the start.
  private(set) var filled: UInt16 = 0
  private var count: UInt16 = 0
  /// In ascending order.
  private var islands = InlineArray<8, Island>(repeating: Island())

  /// Whether there is nothing behind the first gap.
  @inline(__always) var hasNoIslands: Bool { count == 0 }

  /// The first run of bytes behind the first gap; nil without one.
  var firstIsland: (start: Int, end: Int)? {
    count == 0 ? nil : (Int(islands[0].start), Int(islands[0].end))
  }

  /// The end of the last run.
  var end: Int {
    count == 0 ? Int(filled) : Int(islands[(Int(count) &- 1) & 7].end)
  }

  /// The set of what is left, counted from position `start` on: what lies before is gone.
  /// - Complexity: O(islands)
  mutating func dropFirst(_ start: Int) {
    var result = FilledRanges()
    result.filled = UInt16(clamping: Int(filled) &- start)
    var index = 0
    while index < Int(count), index < FilledRanges.mostIslands {
      let island = islands[index & 7]
      index &+= 1
      guard Int(island.end) > start else { continue }
      _ = result.insert(max(0, Int(island.start) &- start), Int(island.end) &- start)
    }
    self = result
  }

  /// Calls `body` for each run of bytes in `start..<end` that has not arrived yet, in ascending order.
  /// - Complexity: O(islands)
  @inline(__always)
  func forEachGap(_ start: Int, _ end: Int, _ body: (_ start: Int, _ end: Int) -> Void) {
    var next = max(start, Int(filled))
    var index = 0
    while index < Int(count), index < FilledRanges.mostIslands, next < end {
      let island = islands[index & 7]
      if Int(island.start) > next { body(next, min(end, Int(island.start))) }
      next = max(next, Int(island.end))
      index &+= 1
    }
    if next < end { body(next, end) }
  }

  /// Adds the bytes `start..<end`, at most 65535; false, and nothing is added, where that would make a ninth island.
  /// - Complexity: O(islands)
  mutating func insert(_ start: Int, _ end: Int) -> Bool {
    guard start >= 0, start < end, end <= Int(UInt16.max) else { return start == end }
    var piece = Island(start: UInt16(truncatingIfNeeded: start), end: UInt16(truncatingIfNeeded: end))
    // Islands that the piece touches become part of it; the others stay in order around it.
    var result = InlineArray<8, Island>(repeating: Island())
    var kept = 0
    var isPlaced = false
    var index = 0
    if piece.start <= filled {
      piece.end = max(piece.end, filled)
      isPlaced = true
    }
    let reachesFilled = isPlaced
    while index < Int(count), index < FilledRanges.mostIslands {
      let island = islands[index & 7]
      index &+= 1
      if island.start <= piece.end, piece.start <= island.end {
        piece = Island(start: min(island.start, piece.start), end: max(island.end, piece.end))
        continue
      }
      if !isPlaced, island.start > piece.end {
        guard kept < FilledRanges.mostIslands else { return false }
        result[kept & 7] = piece
        kept &+= 1
        isPlaced = true
      }
      guard kept < FilledRanges.mostIslands else { return false }
      result[kept & 7] = island
      kept &+= 1
    }
    if !isPlaced {
      guard kept < FilledRanges.mostIslands else { return false }
      result[kept & 7] = piece
      kept &+= 1
    }
    if reachesFilled { filled = piece.end }
    islands = result
    count = UInt16(truncatingIfNeeded: kept)
    return true
  }
}
