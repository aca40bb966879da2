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
  /// Tunnels in UDP are opened.
  let opensDatagrams: Bool
  /// Tunnels right behind an IP header: IP itself, L2TP.
  private let opensIP: Bool
  private let opensL2TP: Bool
  /// GRE or what uses its header.
  let opensGRE: Bool

  /// What holds without options: the flow contract's tunnels, whose identifiers tell no flows apart.
  public static let usual = TunnelSettings()

  /// `kinds` are those of `--tunnels`, nil where it was not given.
  public init(kinds: TunnelKinds? = nil, records: TunnelRecords = .inner) {
    let opened = kinds ?? .usual
    self.kinds = opened
    areKeys = kinds.map { !$0.isEmpty } ?? false
    self.records = records
    isOutside = records == .outer
    opensDatagrams =
      opened.has(.vxlan) || opened.has(.vxlanGPE) || opened.has(.geneve) || opened.has(.gtpu)
      || opened.has(.teredo) || opened.has(.l2tpv3)
    opensIP = opened.has(.ipip) || opened.has(.sixInFour)
    opensL2TP = opened.has(.l2tpv3)
    opensGRE = opened.has(.gre) || opened.has(.nvgre) || opened.has(.erspan)
  }

  /// Whether an IP packet of this protocol, UDP apart, may be a tunnel that is opened.
  @inline(__always)
  func mayOpen(_ protocolNumber: UInt8) -> Bool {
    switch protocolNumber {
    case IPProtocol.gre: opensGRE
    case IPProtocol.ipv4, IPProtocol.ipv6: opensIP
    case IPProtocol.l2tp: opensL2TP
    default: false
    }
  }

  /// Whether a packet of this protocol, neither TCP nor UDP, may be a tunnel that is opened, or has ports.
  @inline(never)
  func mayNotBeCommon(_ protocolNumber: UInt8) -> Bool {
    switch protocolNumber {
    case IPProtocol.sctp, IPProtocol.udpLite: true
    default: mayOpen(protocolNumber)
    }
  }

  /// Whether an IPv4 packet of this protocol may be a tunnel that is opened.
  @inline(__always)
  func mayOpen4(_ protocolNumber: UInt8) -> Bool {
    mayOpen(protocolNumber) || opensDatagrams && protocolNumber == IPProtocol.udp
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

  /// Whether a UDP datagram between these ports (source in the upper half) may be a tunnel that is opened.
  @inline(never)
  func mayOpen(ports: UInt32) -> Bool { DatagramTunnel.kind(ports: ports).map { kinds.has($0) } ?? false }
}
