// The link-layer framings that captures come in; live ports are always Ethernet.

/// How the frames of an input begin (the numbers are libpcap's LINKTYPE_ values).
public enum LinkType: UInt8, BitwiseCopyable, Sendable, CaseIterable {
  /// Ethernet, 802.3.
  case ethernet
  /// Linux cooked capture, 16-byte header.
  case linuxCooked
  /// Linux cooked capture version 2, 20-byte header.
  case linuxCooked2
  /// No link layer: the first nibble is the IP version.
  case rawIP
  /// BSD loopback: four bytes of address family in either byte order.
  case loopback
  /// PPP, with or without the HDLC address and control octets.
  case ppp
  /// A PPPoE session header, then PPP.
  case pppoe

  /// The type for a LINKTYPE_ or DLT_ number of libpcap, or nil where Martlet does not read such frames.
  public init?(pcap number: Int32) {
    switch number {
    case 1: self = .ethernet
    case 113: self = .linuxCooked
    case 276: self = .linuxCooked2
    case 12, 14, 101, 228, 229: self = .rawIP
    case 0, 108: self = .loopback
    case 9, 50: self = .ppp
    case 51: self = .pppoe
    default: return nil
    }
  }
}
