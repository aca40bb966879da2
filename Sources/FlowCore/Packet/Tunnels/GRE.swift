// Generic routing encapsulation, and what others put behind its header: NVGRE, ERSPAN.
import Wire

/// Reads GRE's header (RFC 2784, RFC 2890).
///
///      0                               2
///     | C 1 R 1 K 1 S 1 | 9 | version 3 | EtherType 16 | [checksum 2, reserved 2] [key 4] [sequence 4]
///
/// NVGRE (RFC 7637 section 3.2) is a header with a key and no sequence around Ethernet; its key is
///
///     | VSID 24 | FlowID 8 |
enum GRE {
  /// The tunnel in `payload`, an IP packet's; nil where it is none of `kinds`.
  static func open(_ payload: Bytes, _ kinds: TunnelKinds) -> OpenedTunnel? {
    guard let header = Header(payload) else { return nil }
    switch header.type {
    case EtherType.transparentEthernet:
      if kinds.has(.nvgre), let key = header.key, !header.hasChecksum, !header.hasSequence {
        return OpenedTunnel(kind: .nvgre, identifier: key >> 8, layer: .ethernet, offset: header.length)
      }
      guard kinds.has(.gre) else { return nil }
      return OpenedTunnel(kind: .gre, identifier: header.key, layer: .ethernet, offset: header.length)
    case EtherType.erspan, EtherType.erspan3:
      guard kinds.has(.erspan) else { return nil }
      return ERSPAN.open(
        payload.dropFirst(header.length), type: header.type, hasSequence: header.hasSequence)?
        .shifted(header.length)
    default:
      guard kinds.has(.gre), carries(header.type) else { return nil }
      return OpenedTunnel(
        kind: .gre, identifier: header.key, layer: .etherType(header.type), offset: header.length)
    }
  }

  /// What the flow contract opens: the packets of layer 3 and PPPoE.
  static func openUsual(_ payload: Bytes) -> OpenedTunnel? {
    guard let header = Header(payload), carries(header.type) else { return nil }
    return OpenedTunnel(
      kind: .gre, identifier: header.key, layer: .etherType(header.type), offset: header.length)
  }

  private static func carries(_ type: UInt16) -> Bool {
    switch type {
    case EtherType.ipv4, EtherType.ipv6, EtherType.mpls, EtherType.mplsUpstream, EtherType.pppoeSession: true
    default: false
    }
  }

  /// The header's fields.
  private struct Header {
    let type: UInt16
    let key: UInt32?
    let hasChecksum: Bool
    let hasSequence: Bool
    let length: Int

    /// nil where there is nothing behind it, or it is of another version.
    init?(_ payload: Bytes) {
      guard payload.count >= 4 else { return nil }
      let flags = payload.load(UInt16.self, at: 0)
      // Version 1 is PPTP's; the routing bit is RFC 1701's source routes, which nothing sends any more.
      guard flags & 0x4007 == 0 else { return nil }
      type = payload.load(UInt16.self, at: 2)
      hasChecksum = flags & 0x8000 != 0
      hasSequence = flags & 0x1000 != 0
      let hasKey = flags & 0x2000 != 0
      let keyOffset = hasChecksum ? 8 : 4
      length = keyOffset &+ (hasKey ? 4 : 0) &+ (hasSequence ? 4 : 0)
      guard length < payload.count else { return nil }
      key = hasKey ? payload.load(UInt32.self, at: keyOffset) : nil
    }
  }
}
