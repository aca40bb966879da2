// IP packets that carry others: where the one inside begins, and what becomes of their fragments.
import Wire

extension Dissector {
  /// What an IP packet is to those that look for one inside of it.
  enum Carriage: BitwiseCopyable {
    /// An ordinary packet.
    case plain
    /// It carries another one, which begins at the tunnel's offset of the frame; the packet ends at `end`. Of a fragment this is the
    /// first.
    case carrier(OpenedTunnel, end: Int, isFragment: Bool)
    /// A further fragment of a packet in which this tunnel was opened.
    case laterFragment(TunnelLevel)
  }

  /// What the headers of an IP packet say about what it carries.
  private struct Contents: BitwiseCopyable {
    var protocolNumber: UInt8
    /// Where the payload begins and ends.
    var start: Int
    var end: Int
    var fragment: Fragment
  }

  /// Whether the IP packet at `start` may be a tunnel that is opened, by what its first header says.
  @inline(__always)
  func mayCarry(_ bytes: Bytes, at start: Int, isVersion6: Bool) -> Bool {
    let header = bytes.dropFirst(start)
    guard header.count > 20 else { return false }
    return isVersion6 ? tunnels.mayOpen6(header[6]) : tunnels.carriers.has(header[9])
  }

  /// Looks whether the IP packet at `start`, which may be one, is a tunnel that is opened.
  mutating func openCarrier(
    _ bytes: Bytes, at start: Int, isVersion6: Bool, vlan: UInt16, _ packet: inout Packet
  ) -> Carriage {
    guard let contents = isVersion6 ? contents6(bytes, at: start) : contents4(bytes, at: start) else {
      return .plain
    }
    let protocolNumber = contents.protocolNumber
    let isDatagram = protocolNumber == IPProtocol.udp
    guard tunnels.carriers.has(protocolNumber) else { return .plain }
    let fragment = contents.fragment
    let isFragment = fragment.more || fragment.offset > 0
    // Without identifiers in the key GRE's fragments are a flow of their own.
    if isFragment, !tunnels.areKeys { return .plain }
    if fragment.offset > 0 {
      let datagram = datagram(of: fragment, bytes, at: start, isVersion6: isVersion6, vlan: vlan, packet)
      return fragments.opened(datagram, clock: packet.clock).map { .laterFragment($0) } ?? .plain
    }
    let payload = bytes.prefix(contents.end).dropFirst(contents.start)
    if isDatagram {
      guard payload.count > 8, DatagramTunnel.mayBe(tunnels.kinds, ports: payload.load(UInt32.self, at: 0))
      else { return .plain }
    }
    guard let opened = open(payload, protocolNumber, isVersion6: isVersion6) else {
      if tunnels.areKeys { tunnelsUnopened &+= 1 }
      return .plain
    }
    if isFragment {
      let datagram = datagram(of: fragment, bytes, at: start, isVersion6: isVersion6, vlan: vlan, packet)
      let ports = isDatagram ? payload.load(UInt32.self, at: 0) : 0
      fragments.note(
        datagram, ports: ports, clock: packet.clock,
        opened: TunnelLevel(opened.kind, identifier: opened.identifier))
    }
    let end = min(contents.end, opened.end.map { contents.start &+ $0 } ?? contents.end)
    return .carrier(opened.shifted(contents.start), end: end, isFragment: isFragment)
  }

  /// Remembers the ports of a first fragment that makes a flow of its own besides the one inside: those behind it may come before
  /// it is dissected for that.
  func noteOutside(_ bytes: Bytes, at start: Int, isVersion6: Bool, vlan: UInt16, _ packet: borrowing Packet)
  {
    guard let contents = isVersion6 ? contents6(bytes, at: start) : contents4(bytes, at: start),
      Dissector.hasPorts(contents.protocolNumber)
    else { return }
    let datagram = datagram(
      of: contents.fragment, bytes, at: start, isVersion6: isVersion6, vlan: vlan, packet)
    fragments.note(datagram, ports: bytes.load(UInt32.self, at: contents.start), clock: packet.clock)
  }

  /// The tunnel in an IP packet's payload.
  private func open(_ payload: Bytes, _ protocolNumber: UInt8, isVersion6: Bool) -> OpenedTunnel? {
    guard payload.count > 0 else { return nil }
    let kinds = tunnels.kinds
    switch protocolNumber {
    case IPProtocol.udp: return DatagramTunnel.open(payload, kinds)
    case IPProtocol.gre:
      guard tunnels.areKeys else { return isVersion6 ? nil : GRE.openUsual(payload) }
      return GRE.open(payload, kinds)
    case IPProtocol.l2tp: return L2TPv3.open(payload)
    case IPProtocol.ipv4 where kinds.has(.ipip):
      return OpenedTunnel(kind: .ipip, identifier: nil, layer: .ipv4, offset: 0)
    case IPProtocol.ipv6:
      let kind = isVersion6 ? TunnelKind.ipip : .sixInFour
      guard kinds.has(kind) else { return nil }
      return OpenedTunnel(kind: kind, identifier: nil, layer: .ipv6, offset: 0)
    default: return nil
    }
  }

  /// What an IPv4 header says; nil where it cannot be one.
  private func contents4(_ bytes: Bytes, at start: Int) -> Contents? {
    let header = bytes.dropFirst(start)
    guard header.count >= 20, header[0] >> 4 == 4 else { return nil }
    let length = Int(header[0] & 0xF) &* 4
    guard length >= 20, header.count > length else { return nil }
    let flagsAndOffset = header.load(UInt16.self, at: 6)
    let total = Int(header.load(UInt16.self, at: 2))
    return Contents(
      protocolNumber: header[9], start: start &+ length, end: end(of: bytes, start, length, total),
      fragment: Fragment(
        identification: UInt32(header.load(UInt16.self, at: 4)), offset: flagsAndOffset & 0x1FFF,
        more: flagsAndOffset & 0x2000 != 0))
  }

  /// What an IPv6 header and its extensions say; nil where they cannot be that.
  private func contents6(_ bytes: Bytes, at start: Int) -> Contents? {
    let header = bytes.dropFirst(start)
    guard header.count > 40, header[0] >> 4 == 6, let chain = Dissector.extensions(of: header) else {
      return nil
    }
    let total = Int(header.load(UInt16.self, at: 4)) &+ 40
    return Contents(
      protocolNumber: chain.next, start: start &+ chain.length,
      end: end(of: bytes, start, chain.length, total), fragment: chain.fragment)
  }

  /// Where a packet ends whose header says that it is `total` bytes long. What lies behind it in the frame is none of its; a length
  /// that cannot be (0 where the sender's NIC was to cut the packet) says nothing.
  private func end(of bytes: Bytes, _ start: Int, _ header: Int, _ total: Int) -> Int {
    guard tunnels.areKeys, total > header else { return bytes.count }
    return min(bytes.count, start &+ total)
  }

  /// The datagram that the IP packet at `start` is a fragment of: the same as when the packet makes a flow.
  private func datagram(
    of fragment: Fragment, _ bytes: Bytes, at start: Int, isVersion6: Bool, vlan: UInt16,
    _ packet: borrowing Packet
  ) -> Datagram {
    let header = bytes.dropFirst(start)
    let addresses = isVersion6 ? 0 : header.load(UInt64.self, at: 12)
    let key = Key(
      addresses: addresses, sourcePort: 0, destinationPort: 0, protocolNumber: 0, vlan: vlan,
      isVersion6: isVersion6)
    func address6(_ offset: Int) -> (high: UInt64, low: UInt64) {
      guard isVersion6 else { return (0, 0) }
      return (header.load(UInt64.self, at: offset), header.load(UInt64.self, at: offset &+ 8))
    }
    return Datagram(
      key, source6: address6(8), destination6: address6(24), identification: fragment.identification,
      tunnels: tunnelHash(packet), hashing: hashing)
  }

  /// A hash of the tunnels around `packet` so far, where they are part of its key; else 0.
  @inline(__always)
  func tunnelHash(_ packet: borrowing Packet) -> UInt64 {
    guard tunnels.areKeys, packet.tunnelCount != 0 else { return 0 }
    return hashing.hash(0, in: packet.tunnels)
  }

  /// Notes a tunnel around `packet`; false, and counted, where it is in as many as are opened.
  mutating func enter(_ kind: TunnelKind, _ identifier: UInt32?, _ packet: inout Packet) -> Bool {
    enter(TunnelLevel(kind, identifier: identifier), &packet)
  }

  /// The same for a tunnel that was found before.
  mutating func enter(_ level: TunnelLevel, _ packet: inout Packet) -> Bool {
    if packet.tunnelCount == 0 {
      packet.tunnels = TunnelPath()
      packet.outerVersion = 0
      packet.outerOffset = 0
      packet.outerProtocol = 0
      packet.outerPorts = 0
    }
    guard packet.tunnelCount < TunnelPath.most else {
      // Where no flow is told apart by them there may be any number.
      guard tunnels.areKeys else { return true }
      tunnelsTooDeep &+= 1
      return false
    }
    packet.tunnels[Int(packet.tunnelCount)] = level
    packet.tunnelCount &+= 1
    return true
  }

  /// Notes the IP packet at `start` as the one that carries what is inside.
  func noteCarrier(_ bytes: Bytes, at start: Int, isVersion6: Bool, into packet: inout Packet) {
    let contents = isVersion6 ? contents6(bytes, at: start) : contents4(bytes, at: start)
    packet.outerOffset = UInt32(truncatingIfNeeded: start)
    packet.outerVersion = isVersion6 ? 6 : 4
    packet.outerProtocol = contents?.protocolNumber ?? 0
    packet.outerPorts = 0
    if let contents, Dissector.hasPorts(contents.protocolNumber), bytes.count &- contents.start >= 4 {
      packet.outerPorts = bytes.load(UInt32.self, at: contents.start)
    }
  }
}

extension DiscardReason {
  /// Whether it says that there is no IP packet.
  var isAboveTransport: Bool {
    switch self {
    case .notIP, .linkTruncated, .tooManyHeaders, .ipHeaderInvalid, .ipTruncated: true
    case .transportTruncated, .tcpHeaderInvalid, .tunnelFragment: false
    }
  }
}
