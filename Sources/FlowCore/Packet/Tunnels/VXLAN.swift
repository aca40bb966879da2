// Virtual extensible LANs: Ethernet frames in UDP, and the generic extension that carries other packets, too.
import Wire

/// Reads the headers of VXLAN and VXLAN-GPE.
enum VXLAN {
  /// VXLAN (RFC 7348 section 5); G and the group are draft-smith-vxlan-group-policy's.
  ///
  ///     | G 1, reserved 3, I 1, reserved 3 | reserved 8, group 16 | VNI 24 | reserved 8 |
  static func open(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 8 else { return nil }
    let flags = bytes.load(UInt32.self, at: 0)
    let network = bytes.load(UInt32.self, at: 4)
    // All that is reserved is zero. With a group there are two more bits that say what to do with it.
    guard flags == 0x0800_0000 || flags & 0xFFB7_0000 == 0x8800_0000, network & 0xFF == 0 else { return nil }
    return OpenedTunnel(kind: .vxlan, identifier: network >> 8, layer: .ethernet, offset: 8)
  }

  /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe-12 section 3).
  ///
  ///     | reserved 2, version 2, I 1, P 1, B 1, O 1 | reserved 16 | next protocol 8 | VNI 24 | reserved 8 |
  static func openGeneric(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 8 else { return nil }
    let flags = bytes.load(UInt32.self, at: 0)
    let network = bytes.load(UInt32.self, at: 4)
    // I is set, version 0; O is for messages between the tunnel's ends.
    guard flags >> 24 & 0xF9 == 0x08, flags & 0x00FF_FF00 == 0, network & 0xFF == 0 else { return nil }
    let layer: Layer
    switch (flags >> 26 & 1, flags & 0xFF) {
    case (0, 0), (1, 3): layer = .ethernet
    case (1, 1): layer = .ipv4
    case (1, 2): layer = .ipv6
    case (1, 5): layer = .mpls
    default: return nil
    }
    return OpenedTunnel(kind: .vxlanGPE, identifier: network >> 8, layer: layer, offset: 8)
  }
}
