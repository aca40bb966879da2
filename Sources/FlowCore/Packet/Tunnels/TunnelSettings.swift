// What of tunnels a run was asked for, and what follows from it for a packet, asked before anything is opened.
import Wire

/// Which packet makes the flow, where one carries another (`--tunnel-records`).
public enum TunnelRecords: String, CaseIterable, BitwiseCopyable, Sendable {
  /// The one inside, which makes a record like any other.
  case inner
  /// The outermost IP packet.
  case outer
  /// Each makes a flow of its own.
  case both
}

/// Which tunnels are opened, and what becomes of what is inside.
public struct TunnelSettings: BitwiseCopyable, Sendable {
  /// The kinds that are opened.
  public let kinds: TunnelKinds
  /// Whether kind and identifier are part of a flow's key and of its record. Without `--tunnels` they are not: then GRE is opened
  /// inside of IPv4 only, and never of a fragment.
  public let areKeys: Bool
  /// Which packet makes the flow.
  public let records: TunnelRecords
  /// The outermost IP packet makes the flow, and nothing else does.
  let isOutside: Bool
  /// The protocols of IP packets that may be tunnels which are opened.
  let carriers: ProtocolSet

  /// What holds without options: the flow contract's tunnels, whose identifiers tell no flows apart.
  public static let usual = TunnelSettings()

  /// `kinds` are those of `--tunnels`, nil where it was not given.
  public init(kinds: TunnelKinds? = nil, records: TunnelRecords = .inner) {
    let opened = kinds ?? .usual
    self.kinds = opened
    areKeys = kinds.map { !$0.isEmpty } ?? false
    self.records = records
    isOutside = records == .outer
    var carriers = ProtocolSet()
    func carry(_ protocols: UInt8..., if kinds: [TunnelKind]) {
      if kinds.contains(where: opened.has) { for number in protocols { carriers.insert(number) } }
    }
    carry(IPProtocol.udp, if: [.vxlan, .vxlanGPE, .geneve, .gtpu, .teredo, .l2tpv3])
    carry(IPProtocol.ipv4, IPProtocol.ipv6, if: [.ipip, .sixInFour])
    carry(IPProtocol.l2tp, if: [.l2tpv3])
    carry(IPProtocol.gre, if: [.gre, .nvgre, .erspan])
    self.carriers = carriers
  }

  /// Whether an IPv6 packet whose first header is followed by this one may be a tunnel that is opened.
  @inline(__always)
  func mayOpen6(_ next: UInt8) -> Bool {
    guard areKeys else { return false }
    switch next {
    case IPProtocol.tcp, IPProtocol.icmp6, IPProtocol.sctp: return false
    default: return true
    }
  }
}

/// Some of IP's protocols: a bit for each number, so that one look tells.
struct ProtocolSet: BitwiseCopyable, Sendable {
  private var words = InlineArray<4, UInt64>(repeating: 0)

  mutating func insert(_ number: UInt8) { words[total: Int(number >> 6)] |= 1 << UInt64(number & 63) }

  @inline(__always)
  func has(_ number: UInt8) -> Bool { words[total: Int(number >> 6)] &>> UInt64(number & 63) & 1 != 0 }
}
