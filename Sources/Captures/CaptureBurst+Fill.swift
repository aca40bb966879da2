// The one way from a capture to bursts: for the exporter, the library and the fuzzer.

extension CaptureBurst {
  /// Why `fill` came back.
  public enum Filling {
    /// The burst is full, or so many packets were left out that it is time for a look around.
    case more
    /// The capture is at its end.
    case end
    /// The rest of the capture cannot be read, in libpcap's words.
    case damaged(String)
  }

  /// Packets that a filter left out, and their octets on the wire.
  public struct LeftOut: BitwiseCopyable, Sendable {
    public var packets: UInt64 = 0
    public var octets: UInt64 = 0
    /// The octets that were captured of all packets that were read, these and the others.
    public var captured: UInt64 = 0

    /// None.
    public init() {}
  }

  /// Packets that are looked at before `fill` comes back.
  private static var patience: Int { 1024 }

  /// Appends a capture's next packets, those that a filter accepts.
  ///
  /// - Parameter leftOut: grows by the others: to the flows, and to their clock, they are not there.
  public mutating func fill(
    from capture: borrowing Capture, through program: FilterProgram?, leftOut: inout LeftOut
  ) -> Filling {
    var rest = Self.patience
    while !isFull, rest > 0 {
      rest &-= 1
      switch capture.next() {
      case .packet(let packet):
        leftOut.captured &+= UInt64(truncatingIfNeeded: packet.captured)
        if let program, !program.accepts(packet.bytes, captured: packet.captured, wire: packet.wire) {
          leftOut.packets &+= 1
          leftOut.octets &+= UInt64(packet.wire)
        } else {
          append(packet)
        }
      case .end: return .end
      case .damaged(let reason): return .damaged(reason)
      }
    }
    return .more
  }
}
