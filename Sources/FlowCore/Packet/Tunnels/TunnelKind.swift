// The tunnels that can be opened: each declared here, once. The words of `--tunnels`, the list of `--list-tunnels`, the table
// in docs/tunnels.md and the set that is opened without the option all follow from these cases.

/// A way to carry packets inside of others.
///
/// The numbers are part of a flow's key in memory; 0 is no tunnel.
public enum TunnelKind: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case gre = 1
  case nvgre
  case erspan
  case ipip
  case sixInFour
  case vxlan
  case vxlanGPE
  case geneve
  case gtpu
  case teredo
  case l2tpv3
  case mpls
  case pppoe
  case trill
  case providerBackbone

  /// What the number in a tunnel's header means for the two directions of a conversation.
  public enum Identifier: BitwiseCopyable, Sendable {
    /// There is none.
    case none
    /// Both directions have the same, where they have one.
    case shared
    /// Each end chose one for what it receives: the directions of a conversation have different ones.
    case directional
  }

  /// The word of `--tunnels`, and the value of the element tunnelType.
  public var name: StaticString {
    switch self {
    case .gre: "gre"
    case .nvgre: "nvgre"
    case .erspan: "erspan"
    case .ipip: "ipip"
    case .sixInFour: "6in4"
    case .vxlan: "vxlan"
    case .vxlanGPE: "vxlan-gpe"
    case .geneve: "geneve"
    case .gtpu: "gtpu"
    case .teredo: "teredo"
    case .l2tpv3: "l2tpv3"
    case .mpls: "mpls"
    case .pppoe: "pppoe"
    case .trill: "trill"
    case .providerBackbone: "802.1ah"
    }
  }

  /// Where it is found.
  public var place: String {
    switch self {
    case .gre: "IPv4 and IPv6, protocol 47 (RFC 2784, RFC 2890)"
    case .nvgre: "GRE with a key around Ethernet (RFC 7637)"
    case .erspan: "GRE, types I, II and III (draft-foschiano-erspan)"
    case .ipip: "IPv4 in IPv4, IPv4 or IPv6 in IPv6 (RFC 2003, RFC 2473)"
    case .sixInFour: "IPv6 in IPv4, protocol 41 (RFC 4213)"
    case .vxlan: "UDP to port 4789 or 8472 (RFC 7348)"
    case .vxlanGPE: "UDP to port 4790 (draft-ietf-nvo3-vxlan-gpe)"
    case .geneve: "UDP to port 6081 (RFC 8926)"
    case .gtpu: "UDP to port 2152 (3GPP TS 29.281)"
    case .teredo: "UDP port 3544 (RFC 4380)"
    case .l2tpv3: "IP protocol 115 and UDP port 1701 (RFC 3931), around Ethernet"
    case .mpls: "a label stack around Ethernet (RFC 4448)"
    case .pppoe: "EtherType 0x8864 (RFC 2516)"
    case .trill: "EtherType 0x22F3 (RFC 6325)"
    case .providerBackbone: "EtherType 0x88E7 (IEEE 802.1ah, 802.1Q)"
    }
  }

  /// What its identifier is.
  public var identifierName: String {
    switch self {
    case .gre: "key, where it has one"
    case .nvgre: "VSID"
    case .erspan: "session; none in type I"
    case .ipip, .sixInFour, .teredo, .trill: "none"
    case .vxlan, .vxlanGPE, .geneve: "VNI"
    case .gtpu: "TEID"
    case .l2tpv3: "session"
    case .mpls: "bottom label"
    case .pppoe: "session"
    case .providerBackbone: "I-SID"
    }
  }

  /// Whether both directions have the same identifier.
  public var identifier: Identifier {
    switch self {
    case .ipip, .sixInFour, .teredo, .trill: .none
    case .gtpu, .l2tpv3, .mpls: .directional
    case .gre, .nvgre, .erspan, .vxlan, .vxlanGPE, .geneve, .pppoe, .providerBackbone: .shared
    }
  }

  /// Whether it is opened without `--tunnels`.
  public var isUsual: Bool {
    switch self {
    case .gre, .mpls, .pppoe, .trill: true
    default: false
    }
  }
}

/// A set of kinds.
public struct TunnelKinds: OptionSet, BitwiseCopyable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The set of one kind.
  @inline(__always)
  public init(_ kind: TunnelKind) { rawValue = 1 &<< UInt32(kind.rawValue) }

  /// Every kind.
  public static let all = TunnelKinds(TunnelKind.allCases.map { TunnelKinds($0) })
  /// What is opened without `--tunnels`.
  public static let usual = TunnelKinds(TunnelKind.allCases.filter(\.isUsual).map { TunnelKinds($0) })

  /// Whether packets in tunnels of `kind` are opened.
  @inline(__always)
  func has(_ kind: TunnelKind) -> Bool { rawValue &>> UInt32(kind.rawValue) & 1 != 0 }

  /// `all`, `none`, or names joined by commas; nil where one is unknown.
  public init?(words: String) {
    switch words {
    case "all": self = .all
    case "none": self = []
    default:
      var kinds: TunnelKinds = []
      for word in words.split(separator: ",", omittingEmptySubsequences: false) {
        guard let kind = TunnelKind.allCases.first(where: { $0.name.description == word }) else { return nil }
        kinds.formUnion(TunnelKinds(kind))
      }
      self = kinds
    }
  }
}
