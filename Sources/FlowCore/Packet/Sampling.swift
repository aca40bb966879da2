// `--sample`: which packets are looked at, where not all are. It comes before dissecting (packets) or right behind it (flows), so
// that what is not sampled costs next to nothing.
/// One of so many packets, or flows.
public struct Sampling: BitwiseCopyable, Equatable, Sendable {
  /// What is chosen, and how.
  public enum Method: UInt8, BitwiseCopyable, Sendable {
    /// The first packet of each N (RFC 5475 section 5.1).
    case systematic
    /// A random one of each N packets (RFC 5475 section 5.2.1).
    case random
    /// All packets of a flow in N, both directions together (RFC 7014 section 5.1).
    case flow
  }

  public var method: Method
  /// N, at least 1; 1 for everything.
  public var interval: UInt32

  public init(_ method: Method, interval: UInt32) {
    (self.method, self.interval) = (method, max(1, interval))
  }

  /// Every packet.
  public static let all = Sampling(.systematic, interval: 1)

  /// Packets are chosen one by one.
  @inline(__always) var isByPacket: Bool { interval > 1 && method != .flow }
  /// Flows are.
  @inline(__always) var isByFlow: Bool { interval > 1 && method == .flow }
}
