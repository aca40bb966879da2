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

  /// The stream of the forward direction, and behind it that of the other.
  @inline(__always) private var both: UnsafeMutablePointer<ByteStream> {
    // Safe: `StateLayout` keeps `size(readers:)` bytes for them right behind the head, where any plugin reads streams.
    (base + FlowRecord.size).assumingMemoryBound(to: ByteStream.self)
  }
  /// The stream of the packet's direction.
  @inline(__always) var own: UnsafeMutablePointer<ByteStream> { both + direction }
  /// The stream of the other direction.
  @inline(__always) var other: UnsafeMutablePointer<ByteStream> { both + (1 &- direction) }
  /// How many of the kept bytes of the packet's direction a reader took whose positions begin at `offset`.
  @inline(__always)
  func position(_ offset: UInt32) -> UnsafeMutablePointer<UInt16> {
    // Safe: `StateLayout` gave each slot that reads streams two positions at its offset; the direction is 0 or 1.
    (base + Int(offset)).assumingMemoryBound(to: UInt16.self) + direction
  }
}
