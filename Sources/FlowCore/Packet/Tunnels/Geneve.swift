// Generic network virtualisation encapsulation: VXLAN with options.
import Wire

/// Reads Geneve's header and options (RFC 8926 section 3.4).
///
///     | version 2, options length 6 | O 1, C 1, reserved 6 | EtherType 16 | VNI 24 | reserved 8 | options, in units of 4 bytes …
///     option: | class 16 | type 8 | reserved 3, length 5 | length × 4 bytes |
enum Geneve {
  static func open(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 8 else { return nil }
    let first = bytes.load(UInt16.self, at: 0)
    let network = bytes.load(UInt32.self, at: 4)
    // Version 0; O is for messages between the tunnel's ends; what is reserved is zero.
    guard first & 0xC0BF == 0, network & 0xFF == 0 else { return nil }
    let end = 8 &+ 4 &* Int(first >> 8 & 0x3F)
    guard end < bytes.count, optionsFit(bytes, to: end) else { return nil }
    let type = bytes.load(UInt16.self, at: 2)
    let layer: Layer
    switch type {
    case EtherType.transparentEthernet: layer = .ethernet
    case EtherType.ipv4, EtherType.ipv6, EtherType.mpls, EtherType.mplsUpstream: layer = .etherType(type)
    default: return nil
    }
    return OpenedTunnel(kind: .geneve, identifier: network >> 8, layer: layer, offset: end)
  }

  /// Whether the last option ends at `end`. Each turn passes at least 4 of at most 252 bytes.
  private static func optionsFit(_ bytes: Bytes, to end: Int) -> Bool {
    var offset = 8
    while offset < end {
      offset &+= 4 &+ 4 &* Int(bytes[offset &+ 3] & 0x1F)
    }
    return offset == end
  }
}
