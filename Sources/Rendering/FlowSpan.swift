// How long a flow was, found in the fields of its record.
import IPFIX

/// The first flowStart and flowEnd that a record has.
public struct FlowSpan: BitwiseCopyable, Sendable {
  /// In nanoseconds since 1970; 0 before that is known.
  private var began: UInt64 = 0
  private var ended: UInt64 = 0

  /// Nothing is known yet.
  public init() {}

  /// Takes note of a time.
  @inline(__always)
  public mutating func note(_ element: InformationElement, _ nanoseconds: UInt64) {
    guard element.owner == .iana else { return }
    switch element.identifier {
    case 150, 152, 154, 156: if began == 0 { began = nanoseconds }
    case 151, 153, 155, 157: if ended == 0 { ended = nanoseconds }
    default: break
    }
  }

  /// From one to the other; 0 where they are in the wrong order.
  public var nanoseconds: UInt64 { ended >= began ? ended &- began : 0 }
}
