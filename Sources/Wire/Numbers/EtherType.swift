// What follows an Ethernet header, a VLAN tag or a PPP header, by its number.

/// EtherTypes (IEEE 802, IANA "IEEE 802 Numbers").
public enum EtherType {
  public static let ipv4: UInt16 = 0x0800
  public static let ipv6: UInt16 = 0x86DD
  /// A customer's VLAN tag (IEEE 802.1Q), a provider's (802.1ad), and what some used for that before.
  public static let vlan: UInt16 = 0x8100
  public static let providerVLAN: UInt16 = 0x88A8
  public static let oldProviderVLAN: UInt16 = 0x9100
  /// MPLS (RFC 5332), with a label that was assigned downstream or upstream.
  public static let mpls: UInt16 = 0x8847
  public static let mplsUpstream: UInt16 = 0x8848
  /// PPPoE's session stage (RFC 2516).
  public static let pppoeSession: UInt16 = 0x8864
  /// TRILL (RFC 6325).
  public static let trill: UInt16 = 0x22F3
  /// A provider backbone's instance tag, with a customer's frame behind it (IEEE 802.1ah).
  public static let providerBackbone: UInt16 = 0x88E7
  /// Ethernet itself, in headers that carry anything (RFC 1701: transparent Ethernet bridging).
  public static let transparentEthernet: UInt16 = 0x6558
  /// ERSPAN types I and II, and type III.
  public static let erspan: UInt16 = 0x88BE
  public static let erspan3: UInt16 = 0x22EB
}

/// PPP's protocol numbers (IANA "PPP Numbers").
public enum PPPProtocol {
  public static let ipv4: UInt16 = 0x0021
  public static let ipv6: UInt16 = 0x0057
  public static let mpls: UInt16 = 0x0281
  public static let mplsMulticast: UInt16 = 0x0283
}
