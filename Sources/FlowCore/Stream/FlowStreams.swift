// Where the streams of a flow lie in its record.

/// The streams of both directions, forward first, and behind them a position for each reader and direction: how many of the
/// bytes kept it took.
///
///     0           12          24
///     | forward 12 | reverse 12 | reader 0: forward 2, reverse 2 | reader 1 … |
enum FlowStreams {
  private static var head: Int { 2 * MemoryLayout<ByteStream>.stride }

  /// Bytes for the streams and `readers` positions, a multiple of 8.
  static func size(readers: Int) -> Int { (head + 4 * readers + 7) / 8 * 8 }

  /// Where the positions of reader `number` begin.
  static func positions(ofReader number: Int) -> Int { head + 4 * number }
}
