// The engine's input: where one received frame lies in memory.

/// One received frame: the bytes that were captured, contiguous, and the length it had on the wire.
///
/// A frame does not own its bytes; they must stay in place until the burst that holds it was processed.
public struct Frame: BitwiseCopyable {
  /// The first captured byte.
  public var bytes: UnsafeRawPointer
  /// The captured bytes that are readable at `bytes`.
  public var captured: UInt32
  /// The frame's length on the wire; at least `captured`.
  public var wire: UInt32

  /// A frame of `captured` readable bytes at `bytes`, `wire` bytes long on the wire.
  @inlinable
  public init(bytes: UnsafeRawPointer, captured: UInt32, wire: UInt32) {
    self.bytes = bytes
    self.captured = captured
    self.wire = wire
  }
}
