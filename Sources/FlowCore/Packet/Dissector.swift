// The first pass over a burst: one frame in, one `Packet` out, or the reason why there is none.
// The common frame (Ethernet, IPv4 without options, TCP or UDP, whole) takes a short path that is inlined into the
// pass; every other frame goes through `Dissector+Layers.swift`.
import Wire

/// Dissects the frames of one worker: the only state is the link type, the hash's seed and the fragments seen.
struct Dissector: ~Copyable {
  /// How the frames begin.
  var linkType = LinkType.ethernet
  let hashing: FlowHash
  var fragments: FragmentTable
  /// Which tunnels are opened, and which packet makes the flow then.
  let tunnels: TunnelSettings
  /// Fragments seen, first ones included.
  var fragmentCount: UInt64 = 0
  /// Packets in tunnels that are opened; of two packets of a frame one.
  var tunnelled: UInt64 = 0
  /// Packets that have the port or protocol of a tunnel but no header of it that is opened, or no IP packet inside.
  var tunnelsUnopened: UInt64 = 0
  /// Packets in more tunnels than are opened.
  var tunnelsTooDeep: UInt64 = 0

  /// The most link-layer, MPLS and tunnel headers that are opened before the innermost IP header.
  static let maximumHeaders = 24

  init(
    hashing: FlowHash, fragments: consuming FragmentTable, tunnels: TunnelSettings = .usual
  ) {
    self.hashing = hashing
    self.fragments = fragments
    self.tunnels = tunnels
  }

  /// Dissects `frame`, received at `time`, into `packet`; returns the reason where it holds no flow's packet.
  ///
  /// `packet` is left half-written in that case.
  @inline(__always)
  mutating func dissect(
    _ frame: Frame, time: UInt64, isEthernet: Bool, into packet: inout Packet
  ) -> DiscardReason? {
    packet.time = time
    packet.frame = frame.bytes
    packet.captured = frame.captured
    packet.wire = frame.wire
    packet.mplsEntry = 0
    packet.linkOffset = 0
    packet.macAddresses = .ethernet
    packet.isLaterFragment = false
    packet.tunnelCount = 0
    if isEthernet {
      if dissectCommon(frame, into: &packet) { return nil }
      return dissectEthernet(frame, into: &packet)
    }
    return dissectLayers(frame, into: &packet, isOutside: tunnels.isOutside)
  }

  /// Dissects the frame of `inner`, a packet in tunnels, once more into `packet`: as its outermost IP packet. False where the
  /// frame has only one.
  @inline(never)
  mutating func dissectOutside(of inner: borrowing Packet, into packet: inout Packet) -> Bool {
    guard inner.outerVersion != 0 else { return false }
    let frame = Frame(bytes: inner.frame, captured: inner.captured, wire: inner.wire)
    packet.time = inner.time
    packet.clock = inner.clock
    packet.frame = frame.bytes
    packet.captured = frame.captured
    packet.wire = frame.wire
    packet.isLaterFragment = false
    return dissectLayers(frame, into: &packet, isOutside: true) == nil
  }

  /// Dissects the frame of `packet`, which the flow inside of its tunnels could not take, as its outermost IP packet, where each makes
  /// a flow. False where that is no other.
  @inline(never)
  mutating func dissectOutside(ofDiscarded packet: inout Packet, _ reason: DiscardReason) -> Bool {
    guard tunnels.records == .both else { return false }
    // What is set of a carrier is this frame's only where a tunnel was entered.
    let hasCarrier = packet.tunnelCount != 0 && packet.outerVersion != 0
    guard hasCarrier || reason == .tunnelFragment else { return false }
    packet.isLaterFragment = false
    let frame = Frame(bytes: packet.frame, captured: packet.captured, wire: packet.wire)
    return dissectLayers(frame, into: &packet, isOutside: true) == nil
  }

  /// The common case; false when the frame is not of it, and `packet` is to be filled by the other path.
  ///
  ///      0               6               12      14      ihl 20                34
  ///     | destination    | source         | 08 00 | IPv4 header, no options    | TCP, UDP or no ports
  @inline(__always)
  private func dissectCommon(_ frame: Frame, into packet: inout Packet) -> Bool {
    let bytes = Bytes(frame.bytes, count: Int(frame.captured))
    // 14 + 20 + 8 bytes: what is read below without asking again.
    guard bytes.count >= 42 else { return false }
    let typeAndVersion = bytes.load(UInt32.self, at: 12)
    guard typeAndVersion >> 8 == 0x0800_45 else { return false }
    // Bit 14 is DF, the only one of flags and offset that a whole packet may have (bit 15 is reserved).
    let fragment = bytes.load(UInt16.self, at: 20)
    guard fragment & 0x3FFF == 0 else { return false }
    let total = UInt32(bytes.load(UInt16.self, at: 16))
    let protocolNumber = bytes[23]
    var ports = bytes.load(UInt32.self, at: 34)
    var headers: UInt32 = 28
    packet.tcpFlags = 0
    if protocolNumber == IPProtocol.tcp {
      guard bytes.count >= 54 else { return false }
      let offsetAndFlags = bytes.load(UInt16.self, at: 46)
      let words = UInt32(offsetAndFlags >> 12)
      if words != 5 {
        guard words > 5, bytes.count >= Int(34 &+ words &* 4) else { return false }
        // NOP, NOP, timestamp: what nearly every TCP packet carries; other options are checked one by one.
        if words != 8 || bytes.load(UInt32.self, at: 54) != 0x0101_080A {
          guard Dissector.optionsFit(bytes.slice(54, Int(words &* 4) &- 20)) else { return false }
        }
      }
      packet.tcpFlags = UInt8(truncatingIfNeeded: offsetAndFlags)
      headers = 20 &+ words &* 4
    } else if protocolNumber != IPProtocol.udp {
      // What may be a tunnel, and what else has ports, is rare.
      if tunnels.carriers.has(protocolNumber) || Dissector.hasPorts(protocolNumber) { return false }
      headers = 20
      ports = 0
    } else if tunnels.carriers.has(IPProtocol.udp), DatagramTunnel.mayBe(tunnels.kinds, ports: ports) {
      return false
    }
    packet.octets = total
    packet.networkOffset = 14
    packet.transportOffset = 34
    packet.payloadOffset = 14 &+ headers
    let length = total > headers ? total &- headers : 0
    packet.payloadLength = length
    packet.payloadCaptured = min(length, frame.captured &- packet.payloadOffset)
    packet.key = Key(
      addresses: bytes.load(UInt64.self, at: 26), sourcePort: UInt16(truncatingIfNeeded: ports >> 16),
      destinationPort: UInt16(truncatingIfNeeded: ports), protocolNumber: protocolNumber, vlan: 0,
      isVersion6: false)
    packet.hash = hashing.hash(packet.key)
    return true
  }

  /// What is still frequent: IPv6 and one VLAN tag. It leaves the way through `dissectLayers` to frames with more.
  ///
  ///      12                     14          16          18
  ///     | 08 00 or 86 DD       | IPv4 or IPv6
  ///     | 81 00                | VLAN tag  | 08 00 or 86 DD | IPv4 or IPv6
  @inline(never)
  private mutating func dissectEthernet(_ frame: Frame, into packet: inout Packet) -> DiscardReason? {
    let bytes = Bytes(frame.bytes, count: Int(frame.captured))
    guard bytes.count >= 28 else {
      return dissectLayers(frame, into: &packet, isOutside: tunnels.isOutside)
    }
    var type = bytes.load(UInt16.self, at: 12)
    var start = 14
    var vlan: UInt16 = 0
    if type == EtherType.vlan {
      vlan = bytes.load(UInt16.self, at: 14) & 0xFFF
      type = bytes.load(UInt16.self, at: 16)
      start = 18
    }
    switch type {
    case EtherType.ipv6 where !tunnels.mayOpen6(bytes[start &+ 6]):
      return dissectIPv6(bytes, at: start, vlan: vlan, into: &packet)
    case EtherType.ipv4 where !tunnels.carriers.has(bytes[start &+ 9]):
      return dissectIPv4(bytes, at: start, vlan: vlan, into: &packet)
    default: return dissectLayers(frame, into: &packet, isOutside: tunnels.isOutside)
    }
  }
}
