// A slab block in which the CRYPTO frames of one side's Initial packets lie at their offsets, in whatever order they come.
// Browsers cut their hellos into a dozen frames and more, and shuffle them over two packets: more than `PieceBuffer` has
// islands for.
import Wire

/// What the block begins with; the bytes follow. Where frames overlap what came last stays, which makes no difference: both
/// were sealed by the same side.
///
///     | n 2 | – 2 | n × (start 2, end 2), 32 at the most | the bytes, each at its offset …
///
/// The ranges are those of the bytes that arrived: in ascending order, and none touches another.
enum CryptoStream {
  /// The most ranges, and the most bytes: with them a block is as long as its size says.
  private static let mostRanges = 32
  private static let headSize = 4 + 4 * mostRanges
  static let limit = 8184 - headSize
  /// The least that a block is taken for, and how many bytes must have arrived before a larger one is: a single short packet
  /// cannot take that.
  private static let smallest = 2040 - headSize
  private static let leastForMore = 512

  /// Forgets what the block has, if there is one.
  static func clear(_ block: BlockReference, _ blocks: FlowBlocks) {
    if !block.isNone { blocks.contents(block).store(UInt32(0), at: 0) }
  }

  /// The bytes without a gap from the start. Valid until the next `put`.
  static func bytes(_ block: BlockReference, _ blocks: FlowBlocks) -> Bytes {
    let contents = blocks.contents(block)
    guard !block.isNone, count(contents) > 0, start(contents, 0) == 0 else { return contents.prefix(0) }
    return contents.dropFirst(headSize).prefix(end(contents, 0))
  }

  /// Puts a frame into the block, as much of it as `limit` allows; takes the block, or a larger one, where there is none.
  /// Nothing happens where there are too many gaps, or the slab has no block: then it is as if the frame had not come.
  /// - Complexity: O(the frame's length, ranges), and of what is moved when the block grows: at most once
  static func put(_ frame: QUIC.CryptoFrame, in block: inout BlockReference, _ blocks: inout FlowBlocks) {
    let end = min(frame.offset, limit) &+ frame.bytes.prefix(limit &- min(frame.offset, limit)).count
    guard frame.offset >= 0, frame.offset < end else { return }
    let old = blocks.contents(block)
    if block.isNone || headSize &+ end > old.count {
      guard end <= smallest || arrived(old) &+ frame.bytes.count >= leastForMore else { return }
      guard let larger = blocks.take(headSize &+ max(end, smallest)) else { return }
      if block.isNone {
        clear(larger, blocks)
      } else {
        blocks.contents(larger).copy(old.prefix(old.count), to: 0)
      }
      block = larger
    }
    let contents = blocks.contents(block)
    guard insert(frame.offset, end, contents) else { return }
    contents.copy(frame.bytes.prefix(end &- frame.offset), to: headSize &+ frame.offset)
  }

  // MARK: Ranges

  /// How many bytes the ranges have together.
  private static func arrived(_ contents: MutableBytes) -> Int {
    guard contents.count > 0 else { return 0 }
    var sum = 0
    var index = 0
    while index < count(contents) {
      sum &+= end(contents, index) &- start(contents, index)
      index &+= 1
    }
    return sum
  }

  private static func count(_ contents: MutableBytes) -> Int {
    min(Int(contents.load(UInt16.self, at: 0)), mostRanges)
  }

  private static func start(_ contents: MutableBytes, _ index: Int) -> Int {
    Int(contents.load(UInt16.self, at: 4 &+ 4 &* index))
  }

  private static func end(_ contents: MutableBytes, _ index: Int) -> Int {
    Int(contents.load(UInt16.self, at: 6 &+ 4 &* index))
  }

  /// Adds a range, and makes one of those that it touches; false where that would be too many.
  private static func insert(_ start: Int, _ end: Int, _ contents: MutableBytes) -> Bool {
    let count = count(contents)
    var (newStart, newEnd) = (start, end)
    var first = 0
    while first < count, self.end(contents, first) < start { first &+= 1 }
    var last = first
    while last < count, self.start(contents, last) <= end {
      newStart = min(newStart, self.start(contents, last))
      newEnd = max(newEnd, self.end(contents, last))
      last &+= 1
    }
    // The ranges from `first` to `last` become one; those behind move.
    let newCount = count &- (last &- first) &+ 1
    guard newCount <= mostRanges else { return false }
    let behind = contents.dropFirst(4 &+ 4 &* last).prefix(4 &* (count &- last))
    contents.copy(behind, to: 4 &+ 4 &* (first &+ 1))
    contents.store(UInt16(truncatingIfNeeded: newStart), at: 4 &+ 4 &* first)
    contents.store(UInt16(truncatingIfNeeded: newEnd), at: 6 &+ 4 &* first)
    contents.store(UInt16(truncatingIfNeeded: newCount), at: 0)
    return true
  }
}
