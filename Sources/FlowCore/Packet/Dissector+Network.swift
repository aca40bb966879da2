// IPv4 and IPv6 headers with everything that may stand in them, and the transport headers below: what gives a packet
// its key, its lengths and its payload.
import Wire

extension Dissector {
  /// IPv4 (RFC 791).
  ///
  ///      0       1       2               4               6               8       9       10
  ///     | 4 ihl | TOS   | total length  | identification| flags, offset | TTL   | prot. | checksum
  ///      12 source address   16 destination address   20 options
  mutating func dissectIPv4(_ bytes: Bytes, at start: Int, vlan: UInt16, into packet: inout Packet)
    -> DiscardReason?
  {
    let header = bytes.dropFirst(start)
    guard header.count >= 1 else { return .ipTruncated }
    let headerLength = Int(header[0] & 0xF) &* 4
    guard header[0] >> 4 == 4, headerLength >= 20 else { return .ipHeaderInvalid }
    guard header.count >= headerLength else { return .ipTruncated }
    let total = header.load(UInt16.self, at: 2)
    let flagsAndOffset = header.load(UInt16.self, at: 6)
    packet.octets = UInt32(total)
    packet.networkOffset = UInt32(truncatingIfNeeded: start)
    packet.key = Key(
      addresses: header.load(UInt64.self, at: 12), sourcePort: 0, destinationPort: 0,
      protocolNumber: header[9], vlan: vlan, isVersion6: false)
    let fragment = Fragment(
      identification: UInt32(header.load(UInt16.self, at: 4)), offset: flagsAndOffset & 0x1FFF,
      more: flagsAndOffset & 0x2000 != 0)
    return dissectTransport(
      bytes, at: start &+ headerLength, length: max(0, Int(total) &- headerLength), fragment: fragment,
      into: &packet)
  }

  /// IPv6 (RFC 8200) and its extension headers.
  ///
  ///      0               4               6       7       8                24
  ///     | 6, class, label| payload length| next  | hops  | source          | destination
  mutating func dissectIPv6(_ bytes: Bytes, at start: Int, vlan: UInt16, into packet: inout Packet)
    -> DiscardReason?
  {
    let header = bytes.dropFirst(start)
    guard header.count >= 1 else { return .ipTruncated }
    guard header[0] >> 4 == 6 else { return .ipHeaderInvalid }
    guard header.count >= 40 else { return .ipTruncated }
    let payloadLength = Int(header.load(UInt16.self, at: 4))
    packet.octets = UInt32(truncatingIfNeeded: payloadLength &+ 40)
    packet.networkOffset = UInt32(truncatingIfNeeded: start)
    guard let chain = Dissector.extensions(of: header) else { return .ipTruncated }
    packet.key = Key(
      addresses: UInt64(header.load(UInt32.self, at: 20)) << 32 | UInt64(header.load(UInt32.self, at: 36)),
      sourcePort: 0, destinationPort: 0, protocolNumber: chain.next, vlan: vlan, isVersion6: true)
    return dissectTransport(
      bytes, at: start &+ chain.length, length: max(0, payloadLength &- (chain.length &- 40)),
      fragment: chain.fragment, into: &packet)
  }

  /// An IPv6 header's extensions.
  struct Extensions: BitwiseCopyable {
    /// What follows the last of them.
    var next: UInt8
    /// The header's length with them, in bytes.
    var length = 40
    var fragment = Fragment.none
  }

  /// Passes the extension headers of the IPv6 header at the start of `header`; nil where the bytes end before they do.
  @inline(__always)
  static func extensions(of header: Bytes) -> Extensions? {
    var chain = Extensions(next: header[6])
    // Each turn skips at least eight bytes, so the frame's own length bounds the loop.
    while true {
      let length: Int
      switch chain.next {
      case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.destinationOptions, IPProtocol.mobility:
        //  | next header 8 | length in 8-octet units, not counting the first 8 |
        guard header.count &- chain.length >= 2 else { return nil }
        length = 8 &* (Int(header[chain.length &+ 1]) &+ 1)
      case IPProtocol.authentication:
        // The authentication header counts in 4-octet units minus 2 (RFC 4302 section 2.2).
        guard header.count &- chain.length >= 2 else { return nil }
        length = 4 &* (Int(header[chain.length &+ 1]) &+ 2)
      case IPProtocol.fragment:
        //  | next header 8 | reserved 8 | offset 13, reserved 2, more 1 | identification 32 |
        guard header.count &- chain.length >= 8 else { return nil }
        let offsetAndMore = header.load(UInt16.self, at: chain.length &+ 2)
        chain.fragment = Fragment(
          identification: header.load(UInt32.self, at: chain.length &+ 4), offset: offsetAndMore >> 3,
          more: offsetAndMore & 1 != 0)
        length = 8
      default: return chain
      }
      guard header.count &- chain.length >= length else { return nil }
      chain.next = header[chain.length]
      chain.length &+= length
      // What follows a later fragment's header is the middle of something.
      if chain.fragment.offset > 0 { return chain }
    }
  }

  /// The transport header at `start`, where `length` bytes of IP payload are left; sets ports, flags, payload, hash.
  @inline(__always)
  private mutating func dissectTransport(
    _ bytes: Bytes, at start: Int, length: Int, fragment: Fragment, into packet: inout Packet
  ) -> DiscardReason? {
    let header = bytes.dropFirst(start)
    let protocolNumber = packet.key.protocolNumber
    packet.transportOffset = UInt32(truncatingIfNeeded: start)
    packet.tcpFlags = 0
    packet.isLaterFragment = fragment.offset > 0
    var headerLength = 0
    if fragment.more || fragment.offset > 0 { fragmentCount &+= 1 }
    if fragment.offset == 0 {
      switch protocolNumber {
      case IPProtocol.tcp:
        guard header.count >= 20 else { return .transportTruncated }
        headerLength = Int(header[12] >> 4) &* 4
        guard headerLength >= 20 else { return .tcpHeaderInvalid }
        guard header.count >= headerLength else { return .transportTruncated }
        guard Dissector.optionsFit(header.slice(20, headerLength &- 20)) else { return .tcpHeaderInvalid }
        packet.tcpFlags = header[13]
      case IPProtocol.udp, IPProtocol.udpLite:
        guard header.count >= 8 else { return .transportTruncated }
        headerLength = 8
      case IPProtocol.sctp:
        // The SCTP common header is 12 bytes; its ports are what the key needs.
        guard header.count >= 4 else { return .transportTruncated }
      default: break
      }
      if Dissector.hasPorts(protocolNumber) {
        packet.key.setPorts(header.load(UInt32.self, at: 0))
      }
      if fragment.more {
        fragments.note(
          datagram(of: fragment, &packet), ports: UInt32(truncatingIfNeeded: packet.key.rest >> 32),
          clock: packet.clock)
      }
    } else if Dissector.hasPorts(protocolNumber),
      let ports = fragments.ports(of: datagram(of: fragment, &packet), clock: packet.clock)
    {
      packet.key.setPorts(ports)
    }
    let payloadLength = max(0, length &- headerLength)
    let payloadOffset = min(start &+ headerLength, bytes.count)
    packet.payloadOffset = UInt32(truncatingIfNeeded: payloadOffset)
    packet.payloadLength = UInt32(truncatingIfNeeded: payloadLength)
    packet.payloadCaptured = UInt32(truncatingIfNeeded: min(payloadLength, bytes.count &- payloadOffset))
    if packet.tunnelCount != 0, tunnels.areKeys {
      packet.key.rest |= Key.tunnelled
      packet.hash = hashing.hash(hash(packet), in: packet.tunnels)
    } else {
      packet.hash = hash(packet)
    }
    return nil
  }

  /// The hash of the packet's key alone.
  @inline(__always)
  private func hash(_ packet: borrowing Packet) -> UInt64 {
    packet.key.isVersion6
      ? hashing.hash(packet.key, source: packet.sourceAddress6, destination: packet.destinationAddress6)
      : hashing.hash(packet.key)
  }

  /// The datagram that `packet` is a fragment of. By reference: a copy of what was just written waits for the stores.
  @inline(__always)
  private func datagram(of fragment: Fragment, _ packet: inout Packet) -> Datagram {
    let isVersion6 = packet.key.isVersion6
    return Datagram(
      packet.key, source6: isVersion6 ? packet.sourceAddress6 : (0, 0),
      destination6: isVersion6 ? packet.destinationAddress6 : (0, 0),
      identification: fragment.identification, tunnels: tunnelHash(packet), hashing: hashing)
  }

  /// TCP, UDP, SCTP and UDP-Lite begin with source and destination port.
  @inline(__always)
  static func hasPorts(_ protocolNumber: UInt8) -> Bool {
    switch protocolNumber {
    case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp, IPProtocol.udpLite: true
    default: false
    }
  }

  /// Whether TCP options (RFC 9293 section 3.1) end where the header does: each has a length of at least 2 that fits.
  static func optionsFit(_ options: Bytes) -> Bool {
    var offset = 0
    while offset < options.count {
      switch options[offset] {
      case 0: return true
      case 1: offset &+= 1
      default:
        guard offset &+ 1 < options.count else { return false }
        let length = Int(options[offset &+ 1])
        guard length >= 2, offset &+ length <= options.count else { return false }
        offset &+= length
      }
    }
    return true
  }
}

extension Key {
  /// Sets source and destination port from the first four bytes of a transport header.
  @inline(__always)
  mutating func setPorts(_ ports: UInt32) {
    rest = UInt64(ports) << 32 | rest & 0xFFFF_FFFF
  }
}
