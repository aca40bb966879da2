// Why a frame made no flow: each reason is a counter, so that nothing is lost without a name.

/// The reasons for which a frame is not counted in any flow.
public enum DiscardReason: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// The innermost payload that can be reached is not IP (ARP, LLDP, 802.3, an unknown EtherType, …).
  case notIP
  /// The capture ends inside a link-layer, tunnel or MPLS header.
  case linkTruncated
  /// More link-layer and tunnel headers than `Dissector.maximumHeaders`.
  case tooManyHeaders
  /// The IP version does not fit its EtherType, or the header length is impossible.
  case ipHeaderInvalid
  /// The capture ends inside the IP header or its extension headers.
  case ipTruncated
  /// The capture ends inside the transport header.
  case transportTruncated
  /// A TCP header length under 20 bytes, or options that do not fit the header.
  case tcpHeaderInvalid
  /// A fragment, other than the first, of a packet that carried another one: the first was opened and has all headers.
  case tunnelFragment

  /// The counter's name.
  public var name: String {
    switch self {
    case .notIP: "not IP"
    case .linkTruncated: "link header truncated"
    case .tooManyHeaders: "too many headers"
    case .ipHeaderInvalid: "IP header invalid"
    case .ipTruncated: "IP header truncated"
    case .transportTruncated: "transport header truncated"
    case .tcpHeaderInvalid: "TCP header invalid"
    case .tunnelFragment: "tunnel fragment"
    }
  }
}
