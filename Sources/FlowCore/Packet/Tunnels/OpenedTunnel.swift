// What a tunnel's reader hands to the dissector.

/// A tunnel's header that was understood.
struct OpenedTunnel: BitwiseCopyable {
  let kind: TunnelKind
  /// VNI, TEID, key, session: nil where the header has none.
  var identifier: UInt32?
  /// What the tunnel carries.
  let layer: Layer
  /// Where that begins, from the start of what the reader was given.
  var offset: Int
  /// Where it ends by the tunnel's own lengths; nil where these say nothing.
  var end: Int?

  /// The same, where what the reader was given begins at `start`.
  @inline(__always)
  func shifted(_ start: Int) -> OpenedTunnel {
    var moved = self
    moved.offset = offset &+ start
    moved.end = end.map { $0 &+ start }
    return moved
  }
}
