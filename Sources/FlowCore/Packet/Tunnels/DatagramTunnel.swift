// Which of the tunnels in UDP a datagram may be. A port is a hint only: anyone's resolver may answer to port 4789. So each
// reader asks for a header that no other traffic is likely to have, and where no IP packet is inside, the datagram is one again.
import Wire

/// Tunnels in UDP, by their ports.
enum DatagramTunnel {
  static let vxlan: UInt16 = 4789
  /// Linux' own default, older than the assignment.
  static let vxlanLinux: UInt16 = 8472
  static let vxlanGPE: UInt16 = 4790
  static let geneve: UInt16 = 6081
  static let gtpu: UInt16 = 2152
  static let teredo: UInt16 = 3544
  static let l2tp: UInt16 = 1701

  /// What the ports (source in the upper half) say it may be; nil where they are no tunnel's.
  @inline(__always)
  static func kind(ports: UInt32) -> TunnelKind? {
    // Only the receiver's port says what most are: the sender's is chosen by a hash of what is inside.
    switch UInt16(truncatingIfNeeded: ports) {
    case vxlan, vxlanLinux: return .vxlan
    case vxlanGPE: return .vxlanGPE
    case geneve: return .geneve
    case gtpu: return .gtpu
    case teredo: return .teredo
    case l2tp: return .l2tpv3
    default: break
    }
    switch UInt16(truncatingIfNeeded: ports >> 16) {
    case teredo: return .teredo
    case l2tp: return .l2tpv3
    default: return nil
    }
  }

  /// Whether a datagram between these ports may be one of `kinds`.
  @inline(never)
  static func mayBe(_ kinds: TunnelKinds, ports: UInt32) -> Bool {
    kind(ports: ports).map { kinds.has($0) } ?? false
  }

  /// The tunnel in a UDP datagram, header included; nil where it is none of `kinds`.
  ///
  ///     | source port 2 | destination port 2 | length 2 | checksum 2 |
  static func open(_ datagram: Bytes, _ kinds: TunnelKinds) -> OpenedTunnel? {
    guard datagram.count > 8, let kind = kind(ports: datagram.load(UInt32.self, at: 0)), kinds.has(kind)
    else { return nil }
    let length = Int(datagram.load(UInt16.self, at: 4))
    guard length > 8 else { return nil }
    guard var opened = open(datagram.prefix(length).dropFirst(8), as: kind)?.shifted(8) else { return nil }
    opened.end = min(opened.end ?? length, length)
    return opened
  }

  private static func open(_ payload: Bytes, as kind: TunnelKind) -> OpenedTunnel? {
    switch kind {
    case .vxlan: VXLAN.open(payload)
    case .vxlanGPE: VXLAN.openGeneric(payload)
    case .geneve: Geneve.open(payload)
    case .gtpu: GTPU.open(payload)
    case .teredo: Teredo.open(payload)
    case .l2tpv3: L2TPv3.openDatagram(payload)
    default: nil
    }
  }
}
