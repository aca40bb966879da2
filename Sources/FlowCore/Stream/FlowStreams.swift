// Where the streams of a flow lie in its record, and how far each reader is.
import Wire

/// The streams of both directions, forward first, and behind them a position for each reader and direction: how many of the
/// bytes kept it took.
///
///     0            16           32
///     | forward 16 | reverse 16 | reader 0: forward 2, reverse 2 | reader 1 … |
struct FlowStreams: BitwiseCopyable {
  private let base: UnsafeMutableRawPointer
  let direction: Int

  private static var head: Int { 2 * MemoryLayout<ByteStream>.stride }

  /// Bytes for the streams and `readers` positions, a multiple of 8.
  static func size(readers: Int) -> Int { readers == 0 ? 0 : (head + 4 * readers + 7) / 8 * 8 }

  /// Where the positions of reader `number` begin, from the record's start.
  static func positions(ofReader number: Int) -> Int { FlowRecord.size + head + 4 * number }

  /// The streams of `record`, seen from a packet's direction. Only where the layout has streams: they lie right behind the
  /// record's head.
  @inline(__always)
  init(_ record: UnsafeMutablePointer<FlowRecord>, isForward: Bool) {
    base = UnsafeMutableRawPointer(record)
    direction = isForward ? 0 : 1
  }

  // Safe, all three: the layout keeps two streams behind the head, and two positions for each slot that has an offset.

  /// The stream of the packet's direction.
  @inline(__always) var own: UnsafeMutablePointer<ByteStream> {
    (base + FlowRecord.size).assumingMemoryBound(to: ByteStream.self) + direction
  }
  /// The stream of the other direction.
  @inline(__always) var other: UnsafeMutablePointer<ByteStream> {
    (base + FlowRecord.size).assumingMemoryBound(to: ByteStream.self) + (1 &- direction)
  }
  /// How many of the kept bytes of the packet's direction a reader took whose positions begin at `offset`.
  @inline(__always)
  func position(_ offset: UInt32) -> UnsafeMutablePointer<UInt16> {
    (base + Int(offset)).assumingMemoryBound(to: UInt16.self) + direction
  }
}
