// The dissector, frame by frame: what each encapsulation, IP header and transport header leads to by its RFC, and that no
// frame, however it is cut or broken, is read past its end.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

@Suite struct DissectorTests {
  private static let payload: [UInt8] = Array("ten bytes!".utf8)
  private static let udp4 = Build.ipv4(17, Build.udp(1024, 53, payload))
  private static let udp6 = Build.ipv6(17, Build.udp(1024, 53, payload))
  private static let tcp4 = Build.ipv4(6, Build.tcp(1024, 80, payload, flags: 0x18))
  private static let timestamps: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]

  /// Dissects a frame that must be a packet.
  private func packet(_ frame: [UInt8], _ linkType: LinkType = .ethernet) throws -> Dissected {
    guard case .packet(let packet) = DissectorBench(linkType).dissect(frame) else {
      Issue.record("discarded: \(DissectorBench(linkType).dissect(frame))")
      throw NotAPacket()
    }
    return packet
  }

  private struct NotAPacket: Error {}

  private func reason(_ frame: [UInt8], _ linkType: LinkType = .ethernet, captured: Int? = nil)
    -> DiscardReason?
  {
    if case .discarded(let reason) = DissectorBench(linkType).dissect(frame, captured: captured) {
      reason
    } else {
      nil
    }
  }

  /// Expects the UDP packet of `udp4` or `udp6`.
  private func expectUDP(
    _ packet: Dissected, version6: Bool = false, vlan: UInt16 = 0, macs: (UInt64, UInt64)? = (1, 2),
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(packet.source == (version6 ? Build.client6 : Build.client4), sourceLocation: location)
    #expect(packet.destination == (version6 ? Build.server6 : Build.server4), sourceLocation: location)
    #expect(packet.sourcePort == 1024 && packet.destinationPort == 53, sourceLocation: location)
    #expect(packet.protocolNumber == 17, sourceLocation: location)
    #expect(packet.vlan == vlan, sourceLocation: location)
    #expect(packet.octets == (version6 ? 58 : 38), sourceLocation: location)
    #expect(packet.timeToLive == 64 && packet.tcpFlags == 0, sourceLocation: location)
    #expect(packet.payload == Self.payload && packet.payloadLength == 10, sourceLocation: location)
    let source = macs.map { 0x0200_0000_0000 | $0.0 } ?? 0
    let destination = macs.map { 0x0200_0000_0000 | $0.1 } ?? 0
    #expect(packet.sourceMAC == source && packet.destinationMAC == destination, sourceLocation: location)
  }

  /// Expects that the frame is `udp4` without MAC addresses.
  private func expectRaw(_ frame: [UInt8], _ linkType: LinkType, version6: Bool = false) throws {
    expectUDP(try packet(frame, linkType), version6: version6, macs: nil)
  }

  // MARK: Link layers

  @Test func ethernet() throws {
    expectUDP(try packet(Build.ethernet(0x0800, Self.udp4)))
    expectUDP(try packet(Build.ethernet(0x86DD, Self.udp6)), version6: true)
    for type: UInt16 in [0x0806, 0x88CC, 0x0026, 0x8863, 0xFFFF] {
      #expect(reason(Build.ethernet(type, Self.udp4)) == .notIP)
    }
  }

  @Test(arguments: [0x8100, 0x88A8, 0x9100] as [UInt16])
  func vlanTag(type: UInt16) throws {
    expectUDP(
      try packet(Build.ethernet(type, Build.vlan(5, 0x0800, Self.udp4, priority: 7))), vlan: 5)
    expectUDP(
      try packet(Build.ethernet(type, Build.vlan(4095, 0x86DD, Self.udp6))), version6: true, vlan: 4095)
  }

  /// The outermost id is the packet's, whatever the tags' types.
  @Test(arguments: [0x8100, 0x88A8, 0x9100] as [UInt16], [0x8100, 0x88A8, 0x9100] as [UInt16])
  func stackedTags(outer: UInt16, inner: UInt16) throws {
    let two = Build.vlan(5, inner, Build.vlan(6, 0x0800, Self.udp4))
    expectUDP(try packet(Build.ethernet(outer, two)), vlan: 5)
    let three = Build.vlan(0, inner, Build.vlan(6, 0x8100, Build.vlan(7, 0x0800, Self.udp4)))
    expectUDP(try packet(Build.ethernet(outer, three)), vlan: 0)
  }

  @Test func endlessTagsEnd() {
    let tags = [UInt8](repeating: 0, count: 0) + (0..<100).flatMap { _ in [0, 5, 0x81, 0] as [UInt8] }
    #expect(reason(Build.ethernet(0x8100, tags + Self.udp4)) == .tooManyHeaders)
  }

  private static func label(_ label: UInt32, bottom: Bool) -> [UInt8] {
    Build.word(label << 12 | (bottom ? 0x100 : 0) | 64)
  }

  @Test(arguments: [0x8847, 0x8848] as [UInt16])
  func mpls(type: UInt16) throws {
    let one = Self.label(16, bottom: true)
    let three = Self.label(16, bottom: false) + Self.label(17, bottom: false) + Self.label(18, bottom: true)
    let single = try packet(Build.ethernet(type, one + Self.udp4))
    expectUDP(single)
    #expect(single.mplsEntry == 16 << 12 | 0x140)
    let stacked = try packet(Build.ethernet(type, three + Self.udp6))
    expectUDP(stacked, version6: true)
    #expect(stacked.mplsEntry == 16 << 12 | 0x40)
    expectUDP(try packet(Build.ethernet(0x8100, Build.vlan(5, type, one + Self.udp4))), vlan: 5)
  }

  @Test func pseudoWire() throws {
    // A control word, then a whole frame, whose MAC addresses are the packet's. The VLAN is the outermost one.
    let inner = Build.ethernet(0x0800, Self.udp4, from: Build.serverMAC, to: Build.clientMAC)
    let control: [UInt8] = [0, 0, 0, 7]
    let one = Self.label(16, bottom: true)
    let packet = try packet(Build.ethernet(0x8847, one + control + inner))
    expectUDP(packet, macs: (2, 1))
    #expect(packet.mplsEntry == 16 << 12 | 0x140)
    let three = Self.label(16, bottom: false) + Self.label(17, bottom: false) + Self.label(18, bottom: true)
    let tagged = Build.ethernet(0x8100, Build.vlan(9, 0x86DD, Self.udp6))
    expectUDP(
      try self.packet(Build.ethernet(0x8100, Build.vlan(5, 0x8847, three + control + tagged))),
      version6: true, vlan: 5)
    expectUDP(try self.packet(Build.ethernet(0x8847, three + control + tagged)), version6: true, vlan: 9)
    expectUDP(
      try self.packet(Build.ethernet(0x8100, Build.vlan(5, 0x8847, three + control + inner))), vlan: 5,
      macs: (2, 1))
    // Neither IP nor a control word.
    #expect(reason(Build.ethernet(0x8847, one + [0x10, 0, 0, 0] + inner)) == .notIP)
  }

  @Test func endlessLabelsEnd() {
    let labels = (0..<200).flatMap { _ in Self.label(16, bottom: false) }
    #expect(reason(Build.ethernet(0x8847, labels)) == .notIP)
  }

  private static func pppoe(_ type: UInt16, _ payload: [UInt8], code: UInt8 = 0) -> [UInt8] {
    [0x11, code, 0, 1] + Build.word(UInt16(payload.count + 2)) + Build.word(type) + payload
  }

  @Test func pppoe() throws {
    expectUDP(try packet(Build.ethernet(0x8864, Self.pppoe(0x0021, Self.udp4))))
    expectUDP(try packet(Build.ethernet(0x8864, Self.pppoe(0x0057, Self.udp6))), version6: true)
    #expect(reason(Build.ethernet(0x8864, Self.pppoe(0xC021, Self.udp4))) == .notIP)
    #expect(reason(Build.ethernet(0x8864, Self.pppoe(0x0021, Self.udp4, code: 9))) == .notIP)
    try expectRaw(Self.pppoe(0x0021, Self.udp4), .pppoe)
  }

  @Test func trill() throws {
    // The inner frame's addresses and tag win over the outer ones'.
    let inner = Build.ethernet(
      0x8100, Build.vlan(9, 0x0800, Self.udp4), from: Build.serverMAC, to: Build.clientMAC)
    let untagged = Build.ethernet(0x0800, Self.udp4, from: Build.serverMAC, to: Build.clientMAC)
    let header: [UInt8] = [0, 0x05, 0, 1, 0, 2]
    expectUDP(try packet(Build.ethernet(0x22F3, header + inner)), vlan: 9, macs: (2, 1))
    expectUDP(
      try packet(Build.ethernet(0x8100, Build.vlan(5, 0x22F3, header + untagged))), vlan: 0, macs: (2, 1))
    for words in [1, 2, 31] {
      // Five bits of options length, in the low three of the first byte and the top two of the second.
      let withOptions =
        [UInt8(words >> 2), UInt8(words & 3) << 6 | 5, 0, 1, 0, 2]
        + [UInt8](repeating: 0xFF, count: 4 * words)
      expectUDP(try packet(Build.ethernet(0x22F3, withOptions + inner)), vlan: 9, macs: (2, 1))
    }
  }

  @Test func linuxCooked() throws {
    func cooked(_ hardware: UInt16, _ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
      [0, 4] + Build.word(hardware) + [0, 6] + Build.clientMAC + [0, 0] + Build.word(type) + payload
    }
    func cooked2(_ hardware: UInt16, _ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
      Build.word(type) + [0, 0, 0, 0, 0, 3] + Build.word(hardware) + [4, 6] + Build.clientMAC + [0, 0]
        + payload
    }
    for (frame, tunnel, arp, linkType) in [
      (cooked(1, 0x0800, Self.udp4), cooked(768, 0x86DD, Self.udp6), cooked(1, 0x0806, []), .linuxCooked),
      (cooked2(1, 0x0800, Self.udp4), cooked2(768, 0x86DD, Self.udp6), cooked2(1, 0x0806, []), .linuxCooked2),
    ] as [([UInt8], [UInt8], [UInt8], LinkType)] {
      let packet = try packet(frame, linkType)
      #expect(packet.sourceMAC == 0x0200_0000_0001 && packet.destinationMAC == 0)
      #expect(packet.payload == Self.payload && packet.destinationPort == 53)
      // Another kind of hardware has no Ethernet address.
      try expectRaw(tunnel, linkType, version6: true)
      #expect(reason(arp, linkType) == .notIP)
    }
  }

  @Test func rawLoopbackAndPPP() throws {
    try expectRaw(Self.udp4, .rawIP)
    try expectRaw(Self.udp6, .rawIP, version6: true)
    #expect(reason([0x50] + Self.udp4, .rawIP) == .notIP)
    #expect(reason([], .rawIP) == .linkTruncated)
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] as [[UInt8]] { try expectRaw(family + Self.udp4, .loopback) }
    // AF_INET6 is 24, 28 or 30.
    for family: UInt8 in [24, 28, 30] {
      try expectRaw([family, 0, 0, 0] + Self.udp6, .loopback, version6: true)
    }
    try expectRaw([0, 0x21] + Self.udp4, .ppp)
    try expectRaw([0xFF, 0x03, 0, 0x57] + Self.udp6, .ppp, version6: true)
    #expect(reason([0xFF, 0x03, 0xC0, 0x21] + Self.udp4, .ppp) == .notIP)
  }

  // MARK: GRE

  private static func gre(_ flags: UInt16, _ type: UInt16, words: Int, _ payload: [UInt8]) -> [UInt8] {
    let header = Build.word(flags) + Build.word(type) + [UInt8](repeating: 0xAB, count: 4 * words)
    return Build.ethernet(
      0x0800,
      Build.ipv4(47, header + payload, from: [10, 0, 0, 1], to: [10, 0, 0, 2], timeToLive: 255))
  }

  /// Checksum, key and sequence number in all combinations (RFC 2784, RFC 2890).
  @Test func greIsOpened() throws {
    for bits: UInt16 in 0..<8 {
      let flags = (bits >> 2) << 15 | (bits >> 1 & 1) << 13 | (bits & 1) << 12
      let words = bits.nonzeroBitCount
      expectUDP(try packet(Self.gre(flags, 0x0800, words: words, Self.udp4)))
      expectUDP(try packet(Self.gre(flags, 0x86DD, words: words, Self.udp6)), version6: true)
    }
    let mpls = try packet(Self.gre(0, 0x8847, words: 0, Self.label(16, bottom: true) + Self.udp4))
    expectUDP(mpls)
    #expect(mpls.mplsEntry == 16 << 12 | 0x140)
    expectUDP(try packet(Self.gre(0, 0x8864, words: 0, Self.pppoe(0x0021, Self.udp4))))
    expectUDP(
      try packet(
        Build.ethernet(
          0x8100, Build.vlan(5, 0x0800, Array(Self.gre(0, 0x0800, words: 0, Self.udp4).dropFirst(14))))),
      vlan: 5)
  }

  /// What is not opened is a flow of protocol 47 between the tunnel's ends.
  @Test func otherGREIsAnOuterFlow() throws {
    let frames = [
      // PPTP (RFC 2637): version 1, key, sequence and acknowledgement.
      Self.gre(0x3081, 0x880B, words: 3, [0, 0x21] + Self.udp4),
      Self.gre(0x3001, 0x0800, words: 2, Self.udp4),
      // Routing (RFC 1701), ERSPAN, transparent Ethernet, an unknown type.
      Self.gre(0x4000, 0x0800, words: 1, Self.udp4),
      Self.gre(0x1000, 0x88BE, words: 1, Build.ethernet(0x0800, Self.udp4)),
      Self.gre(0, 0x6558, words: 0, Build.ethernet(0x0800, Self.udp4)),
      Self.gre(0, 0x0001, words: 0, Self.udp4),
    ]
    for frame in frames {
      let packet = try packet(frame)
      #expect(packet.source == [10, 0, 0, 1] && packet.destination == [10, 0, 0, 2])
      #expect(packet.protocolNumber == 47 && packet.sourcePort == 0 && packet.destinationPort == 0)
      #expect(packet.timeToLive == 255 && packet.octets == frame.count - 14)
      #expect(packet.payloadLength == frame.count - 34 && packet.payload.count == frame.count - 34)
    }
    let inIPv6 = try packet(
      Build.ethernet(0x86DD, Build.ipv6(47, [0, 0, 0x08, 0] + Self.udp4)))
    #expect(inIPv6.protocolNumber == 47 && inIPv6.source == Build.client6)
  }

  @Test func endlessGREEnds() {
    var packet = Self.udp4
    for _ in 0..<60 { packet = Build.ipv4(47, [0, 0, 0x08, 0] + packet) }
    #expect(reason(Build.ethernet(0x0800, packet)) == .tooManyHeaders)
  }

  // MARK: IPv4

  @Test func ipv4Options() throws {
    for words in 1...10 {
      let options = [UInt8](repeating: 1, count: 4 * words)
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), options: options)))
      #expect(packet.payload == Self.payload && packet.sourcePort == 1024)
      #expect(packet.octets == 38 + 4 * words)
    }
  }

  @Test func impossibleHeadersAreDiscarded() {
    for words in 0...4 {
      #expect(
        reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), words: words)))
          == .ipHeaderInvalid)
    }
    #expect(
      reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), words: 15)))
        == .ipTruncated)
    for version: UInt8 in 0...15 where version != 4 {
      #expect(
        reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), version: version)))
          == .ipHeaderInvalid)
    }
    for version: UInt8 in 0...15 where version != 6 {
      #expect(
        reason(Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), version: version)))
          == .ipHeaderInvalid)
    }
  }

  @Test func flagsAndTimeToLive() throws {
    for (flags, expected) in [(0x4000, 2), (0x0000, 0), (0x8000, 4), (0xC000, 6)] as [(UInt16, UInt8)] {
      for long in [false, true] {
        let payload = Self.payload + [UInt8](repeating: 0, count: long ? 100 : 0)
        let packet = try packet(
          Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, payload), fragment: flags, timeToLive: 7)))
        #expect(packet.fragmentFlags == expected && packet.timeToLive == 7 && packet.payload == payload)
      }
    }
  }

  /// A frame that the short path takes must come out as it does of the long one, which a raw capture takes.
  @Test func bothPathsAgree() throws {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<3000 {
      let payload = random.bytes([0, 1, 10, 40, 200].randomElement(using: &random)!)
      var segment: [UInt8]
      let proto: UInt8 = [6, 17, 17, 1].randomElement(using: &random)!
      switch proto {
      case 6:
        let options = [[], Self.timestamps, [2, 4, 5, 0xB4], random.bytes(12)].randomElement(using: &random)!
        segment = Build.tcp(1, 2, payload, flags: UInt8.random(in: 0...255, using: &random), options: options)
        if Int.random(in: 0..<5, using: &random) == 0 {
          segment[12] = UInt8.random(in: 0...255, using: &random)
        }
      case 17: segment = Build.udp(3, 4, payload)
      default: segment = payload
      }
      let total = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0...300, using: &random) : nil
      let packet = Build.ipv4(
        proto, segment, fragment: [0, 0x4000, 0x8000].randomElement(using: &random)!, total: total)
      let frame = Build.ethernet(0x0800, packet)
      let captured = Bool.random(using: &random) ? frame.count : .random(in: 14...frame.count, using: &random)
      let short = DissectorBench().dissect(frame, captured: captured)
      let long = DissectorBench(.rawIP).dissect(packet, captured: captured - 14)
      switch (short, long) {
      case (.packet(var short), .packet(let long)):
        (short.sourceMAC, short.destinationMAC) = (0, 0)
        #expect(short == long)
      case (.discarded(.ipTruncated), .discarded(.linkTruncated)): break
      default: #expect(short == long)
      }
    }
  }

  // MARK: IPv6

  private func expectBehind(_ first: UInt8, _ headers: [UInt8], _ octets: Int) throws {
    let packet = try packet(
      Build.ethernet(0x86DD, Build.ipv6(first, headers + Build.udp(1024, 53, Self.payload))))
    #expect(packet.protocolNumber == 17 && packet.sourcePort == 1024 && packet.destinationPort == 53)
    #expect(packet.octets == 58 + octets && packet.payloadLength == 10 && packet.payload == Self.payload)
  }

  @Test func extensionHeaders() throws {
    // Hop-by-hop, routing, destination options, mobility: in units of eight octets.
    for header: UInt8 in [0, 43, 60, 135] {
      for octets in [8, 16, 64, 2048] {
        try expectBehind(header, Build.extensionHeader(17, octets: octets, []), octets)
      }
    }
    // The authentication header (RFC 4302) counts four octets, less two: 12, 24 and 44 octets.
    for words in [1, 4, 9] {
      try expectBehind(
        51, [17, UInt8(words)] + [UInt8](repeating: 0, count: 4 * words + 6), 4 * (words + 2))
    }
    // All of them in RFC 8200's order, with a fragment header of a whole datagram (RFC 6946).
    let behindFragment = Build.extensionHeader(17, octets: 8, [])
    let fragment: [UInt8] = [60, 0, 0, 0, 1, 2, 3, 4]
    let authentication: [UInt8] = [44, 1] + [UInt8](repeating: 0, count: 10)
    try expectBehind(
      0,
      Build.extensionHeader(
        60, octets: 16,
        Build.extensionHeader(43, octets: 8, Build.extensionHeader(51, octets: 24, authentication)))
        + fragment + behindFragment, 16 + 8 + 24 + 12 + 8 + 8)
  }

  /// Host identity and Shim6 are not skipped: what follows them is nothing, and the flow would lose its protocol.
  @Test func otherHeadersAreTheProtocol() throws {
    for header: UInt8 in [50, 58, 59, 139, 140, 253] {
      let packet = try packet(
        Build.ethernet(0x86DD, Build.ipv6(header, Build.extensionHeader(59, octets: 16, []))))
      #expect(packet.protocolNumber == header && packet.payloadLength == 16)
    }
  }

  @Test func nothingMayFollow() throws {
    let none = try packet(Build.ethernet(0x86DD, Build.ipv6(59, [])))
    #expect(none.protocolNumber == 59 && none.payloadLength == 0 && none.octets == 40)
    // A header longer than the packet says it is, and one that is not there.
    #expect(reason(Build.ethernet(0x86DD, Build.ipv6(0, [17, 255, 0, 0]))) == .ipTruncated)
    #expect(reason(Build.ethernet(0x86DD, Build.ipv6(0, []))) == .ipTruncated)
    let long = try packet(
      Build.ethernet(
        0x86DD, Build.ipv6(0, Build.extensionHeader(17, octets: 16, Build.udp(1, 2, Self.payload)), length: 9)
      ))
    #expect(long.payloadLength == 0 && long.octets == 49)
  }

  @Test func endlessExtensionHeadersEnd() throws {
    var headers: [UInt8] = Build.extensionHeader(59, octets: 8, [])
    for _ in 0..<1000 { headers = Build.extensionHeader(0, octets: 8, headers) }
    #expect(try packet(Build.ethernet(0x86DD, Build.ipv6(0, headers))).protocolNumber == 59)
  }

  @Test func largestPayloadDoesNotWrap() throws {
    let packet = try packet(
      Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), length: 65535)))
    #expect(packet.octets == 65575 && packet.payloadLength == 65527 && packet.payload == Self.payload)
  }

  // MARK: Fragments

  private static let second: UInt64 = 1_000_000_000
  private static let start: UInt64 = 1_700_000_000 * second

  private func ports(_ outcome: DissectorBench.Outcome) -> [UInt16] {
    if case .packet(let packet) = outcome { [packet.sourcePort, packet.destinationPort] } else { [] }
  }

  /// A fragment of a datagram, `offset` in units of eight bytes.
  private func fragment(
    _ offset: UInt16, more: Bool, _ payload: [UInt8], identification: UInt16 = 77, proto: UInt8 = 17,
    version6: Bool = false, vlan: UInt16? = nil, back: Bool = false
  ) -> [UInt8] {
    let packet: [UInt8]
    if version6 {
      let header = [proto, 0] + Build.word(offset << 3 | (more ? 1 : 0)) + Build.word(UInt32(identification))
      packet = Build.ipv6(
        44, header + payload, from: back ? Build.server6 : Build.client6,
        to: back ? Build.client6 : Build.server6)
    } else {
      packet = Build.ipv4(
        proto, payload, from: back ? Build.server4 : Build.client4, to: back ? Build.client4 : Build.server4,
        identification: identification, fragment: offset | (more ? 0x2000 : 0))
    }
    let type: UInt16 = version6 ? 0x86DD : 0x0800
    return Build.ethernet(
      vlan == nil ? type : 0x8100, vlan.map { Build.vlan($0, type, packet) } ?? packet)
  }

  @Test(arguments: [false, true])
  func laterFragmentsTakeThePorts(version6: Bool) throws {
    let bench = DissectorBench()
    let first = fragment(
      0, more: true, Build.udp(1024, 53, [UInt8](repeating: 1, count: 40), length: 1000), version6: version6)
    guard case .packet(let packet) = bench.dissect(first, time: Self.start) else { throw NotAPacket() }
    #expect(packet.sourcePort == 1024 && packet.payloadLength == 40)
    // Sixteen bytes that would be ports 257 and 257.
    let later = fragment(6, more: false, [UInt8](repeating: 1, count: 16), version6: version6)
    guard case .packet(let second) = bench.dissect(later, time: Self.start) else { throw NotAPacket() }
    #expect(second.sourcePort == 1024 && second.destinationPort == 53 && second.hash == packet.hash)
    // Its payload is all that follows the IP headers.
    #expect(second.payload == [UInt8](repeating: 1, count: 16) && second.transportHeader == [])

    // Other datagrams: another identification, another VLAN, the other direction, another version.
    for other in [
      fragment(6, more: false, [1, 1, 1, 1], identification: 78, version6: version6),
      fragment(6, more: false, [1, 1, 1, 1], version6: version6, vlan: 5),
      fragment(6, more: false, [1, 1, 1, 1], version6: version6, back: true),
      fragment(6, more: false, [1, 1, 1, 1], version6: !version6),
    ] {
      #expect(ports(bench.dissect(other, time: Self.start)) == [0, 0])
    }
  }

  @Test(arguments: [false, true])
  func portsAreRememberedForThreeSeconds(version6: Bool) {
    let bench = DissectorBench()
    let first = fragment(0, more: true, Build.udp(1024, 53, Self.payload), version6: version6)
    let later = fragment(6, more: true, Self.payload, version6: version6)
    #expect(ports(bench.dissect(later, time: Self.start)) == [0, 0])
    #expect(ports(bench.dissect(first, time: Self.start)) == [1024, 53])
    for (age, expected) in [
      (0, [1024, 53]), (2_999_999_999, [1024, 53]), (3_000_000_000, [1024, 53]), (3_000_000_001, [0, 0]),
      (1, [1024, 53]),
    ] as [(UInt64, [UInt16])] {
      #expect(ports(bench.dissect(later, time: Self.start + age)) == expected)
    }
    // The newest first fragment counts.
    let again = fragment(0, more: true, Build.udp(2048, 53, Self.payload), version6: version6)
    _ = bench.dissect(again, time: Self.start + Self.second)
    #expect(ports(bench.dissect(later, time: Self.start + 4 * Self.second)) == [2048, 53])
    // A fragment may be older than its first one, where time steps back.
    #expect(ports(bench.dissect(later, time: Self.start - Self.second)) == [2048, 53])
  }

  @Test func aWholeDatagramIsNotRemembered() {
    let bench = DissectorBench()
    _ = bench.dissect(fragment(0, more: false, Build.udp(1024, 53, Self.payload)), time: Self.start)
    #expect(ports(bench.dissect(fragment(6, more: false, Self.payload), time: Self.start)) == [0, 0])
  }

  @Test func fragmentsOfTCPAndOthers() throws {
    let bench = DissectorBench()
    _ = bench.dissect(
      fragment(0, more: true, Build.tcp(1024, 80, Self.payload, flags: 0x1B), proto: 6), time: Self.start)
    guard
      case .packet(let later) = bench.dissect(
        fragment(6, more: false, [UInt8](repeating: 0xFF, count: 20), proto: 6), time: Self.start)
    else { throw NotAPacket() }
    #expect(later.sourcePort == 1024 && later.tcpFlags == 0 && later.payloadLength == 20)
    // No transport header is asked for: a short last fragment counts too.
    #expect(ports(bench.dissect(fragment(9, more: false, [1], proto: 6), time: Self.start)) == [1024, 80])
    // ICMP has no ports, whatever the table says.
    #expect(ports(bench.dissect(fragment(9, more: false, [1], proto: 1), time: Self.start)) == [0, 0])
  }

  /// A later fragment's next header is the first fragment's, but what follows is the middle of something.
  @Test func noHeaderIsReadInALaterFragment() throws {
    for next: UInt8 in [0, 43, 44, 51, 60, 135] {
      for payload in [[], [17], [17, 255, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 53, 0, 0, 0, 0]]
        as [[UInt8]]
      {
        let packet = try packet(fragment(6, more: false, payload, proto: next, version6: true))
        #expect(packet.protocolNumber == next && packet.payload == payload && packet.sourcePort == 0)
      }
    }
  }

  @Test func aFloodOfFragmentsOnlyShortensTheMemory() {
    let bench = DissectorBench(fragmentSets: 1)
    for number in 0..<5 {
      _ = bench.dissect(
        fragment(
          0, more: true, Build.udp(UInt16(1000 + number), 53, Self.payload), identification: UInt16(number)),
        time: Self.start + UInt64(number))
    }
    let found = (0..<5).map {
      ports(
        bench.dissect(
          fragment(6, more: false, Self.payload, identification: UInt16($0)), time: Self.start + 5))
    }
    #expect(found == [[0, 0], [1001, 53], [1002, 53], [1003, 53], [1004, 53]])
  }

  // MARK: Transport

  @Test func portsOfSCTPAndUDPLite() throws {
    let sctp = Build.word(UInt16(2905)) + Build.word(UInt16(2906)) + [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    for frame in [
      Build.ethernet(0x0800, Build.ipv4(132, sctp)), Build.ethernet(0x86DD, Build.ipv6(132, sctp)),
    ] {
      let packet = try packet(frame)
      #expect(packet.sourcePort == 2905 && packet.destinationPort == 2906 && packet.protocolNumber == 132)
      #expect(packet.payload == sctp)
    }
    // RFC 3828: UDP's header, with the checksum's coverage instead of a length.
    let lite = try packet(Build.ethernet(0x0800, Build.ipv4(136, Build.udp(7, 8, Self.payload, length: 8))))
    #expect(lite.sourcePort == 7 && lite.destinationPort == 8 && lite.payload == Self.payload)
  }

  @Test func othersHaveNoPorts() throws {
    for proto: UInt8 in [1, 2, 4, 41, 50, 58, 89, 103, 112, 255] {
      let packet = try packet(Build.ethernet(0x0800, Build.ipv4(proto, Self.payload)))
      #expect(packet.sourcePort == 0 && packet.destinationPort == 0 && packet.protocolNumber == proto)
      #expect(packet.payload == Self.payload)
    }
  }

  @Test func tcpOptions() throws {
    let fitting: [[UInt8]] = [
      [], Self.timestamps, [2, 4, 5, 0xB4], [1, 1, 1, 1], [0, 0xFF, 0xFF, 0xFF], [1, 1, 1, 0],
      [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7], [254, 4, 0, 0], [3, 3, 7, 1],
      [UInt8](repeating: 1, count: 40), [5, 38] + [UInt8](repeating: 0, count: 36) + [1, 0],
    ]
    for options in fitting {
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, flags: 0xC2, options: options))))
      #expect(packet.tcpFlags == 0xC2 && packet.payload == Self.payload)
      #expect(packet.transportHeader.count == 20 + options.count)
    }
    let broken: [[UInt8]] = [
      [2, 0, 5, 0xB4], [2, 5, 5, 0xB4], [1, 1, 1, 2], [1, 1, 8, 10], [8, 255, 0, 0], [1, 1, 2, 3],
      Self.timestamps + [1, 1, 8, 10],
    ]
    for options in broken {
      let frame = Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, options: options)))
      #expect(reason(frame) == .tcpHeaderInvalid)
    }
    for words in 0...4 {
      let frame = Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, words: words)))
      #expect(reason(frame) == .tcpHeaderInvalid)
    }
    #expect(
      reason(Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, words: 15))))
        == .transportTruncated)
  }

  // MARK: Lengths

  @Test func paddingIsNoPayload() throws {
    for length in 0...18 {
      let payload = [UInt8](repeating: 0x41, count: length)
      for packet in [
        Build.ipv4(17, Build.udp(1, 2, payload)), Build.ipv4(6, Build.tcp(1, 2, payload)),
        Build.ipv4(1, payload), Build.ipv4(17, Build.udp(1, 2, payload), options: [1, 1, 1, 1]),
      ] {
        let frame = Build.ethernet(0x0800, packet)
        // To 60 bytes, or with a frame check sequence and more.
        for padded in [60, 64, 100] where frame.count < padded {
          let result = try self.packet(frame + [UInt8](repeating: 0xEE, count: padded - frame.count))
          #expect(result.payload == payload && result.payloadLength == length)
          #expect(result.octets == packet.count)
        }
      }
    }
  }

  @Test func contradictingLengthsGiveNoPayload() throws {
    for total in [0, 1, 19, 20, 27, 28] {
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), total: total)))
      #expect(packet.payloadLength == 0 && packet.payload == [] && packet.octets == total)
      #expect(packet.sourcePort == 1 && packet.destinationPort == 2)
    }
    for total in [0, 20, 39, 40, 51, 52] {
      let packet = try packet(
        Build.ethernet(
          0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, options: Self.timestamps), total: total)))
      #expect(packet.payloadLength == 0 && packet.payload == [])
    }
    for length in [0, 7, 8] {
      let packet = try packet(
        Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), length: length)))
      #expect(packet.payloadLength == 0 && packet.payload == [] && packet.octets == 40 + length)
    }
    // UDP's own length is not asked.
    let udp = try packet(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload, length: 3))))
    #expect(udp.payload == Self.payload)
  }

  @Test func moreThanWasCaptured() throws {
    let packet = try packet(
      Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), total: 1500)))
    #expect(packet.payloadLength == 1472 && packet.payload == Self.payload)
    // Shorter than a padded frame, and cut.
    guard
      case .packet(let cut) = DissectorBench().dissect(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload))), captured: 45)
    else { throw NotAPacket() }
    #expect(cut.payloadLength == 10 && cut.payload == Array(Self.payload.prefix(3)))
  }

  // MARK: Cut and broken frames

  /// One frame of each kind, with the link type it needs.
  private static let samples: [(LinkType, [UInt8])] = {
    let pseudoWire = label(16, bottom: true) + [0, 0, 0, 7] + Build.ethernet(0x0800, udp4)
    let long6 = Build.ipv6(
      0,
      Build.extensionHeader(
        43, octets: 16,
        Build.extensionHeader(
          51, octets: 8,
          [44, 1] + [UInt8](repeating: 0, count: 10)
            + [60, 0, 0, 1, 1, 2, 3, 4] + Build.extensionHeader(17, octets: 8, Build.udp(1024, 53, payload))))
    )
    return [
      (.ethernet, Build.ethernet(0x0800, udp4)), (.ethernet, Build.ethernet(0x86DD, udp6)),
      (.ethernet, Build.ethernet(0x0800, tcp4)),
      (
        .ethernet,
        Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, payload, options: timestamps)))
      ),
      (
        .ethernet,
        Build.ethernet(
          0x0800,
          Build.ipv4(6, Build.tcp(1, 2, payload, options: [2, 4, 5, 0xB4]), options: [1, 1, 1, 1]))
      ),
      (.ethernet, Build.ethernet(0x0800, Build.ipv4(1, payload))),
      (.ethernet, Build.ethernet(0x0800, Build.ipv4(132, [0, 1, 0, 2] + payload))),
      (.ethernet, Build.ethernet(0x86DD, Build.ipv6(136, Build.udp(1, 2, payload)))),
      (.ethernet, Build.ethernet(0x88A8, Build.vlan(5, 0x8100, Build.vlan(6, 0x0800, udp4)))),
      (.ethernet, Build.ethernet(0x9100, Build.vlan(5, 0x86DD, udp6))),
      (
        .ethernet,
        Build.ethernet(
          0x8847, label(16, bottom: false) + label(17, bottom: false) + label(18, bottom: true) + udp6)
      ),
      (.ethernet, Build.ethernet(0x8847, pseudoWire)),
      (.ethernet, Build.ethernet(0x8864, pppoe(0x0021, tcp4))),
      (.ethernet, gre(0xB000, 0x0800, words: 3, tcp4)),
      (.ethernet, gre(0x3081, 0x880B, words: 3, payload)),
      (.ethernet, gre(0, 0x8847, words: 0, pseudoWire)),
      (.ethernet, Build.ethernet(0x22F3, [0, 0x45, 0, 1, 0, 2, 9, 9, 9, 9] + Build.ethernet(0x0800, udp4))),
      (.ethernet, Build.ethernet(0x86DD, long6)),
      (
        .ethernet,
        Build.ethernet(
          0x0800, Build.ipv4(17, payload, identification: 5, fragment: 0x2006))
      ),
      (.linuxCooked, [0, 4, 0, 1, 0, 6] + Build.clientMAC + [0, 0, 0x08, 0] + udp4),
      (.linuxCooked2, [0x86, 0xDD, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6] + Build.clientMAC + [0, 0] + udp6),
      (.rawIP, udp4), (.rawIP, udp6), (.loopback, [0, 0, 0, 2] + tcp4), (.loopback, [30, 0, 0, 0] + udp6),
      (.ppp, [0, 0x21] + udp4), (.ppp, [0xFF, 0x03, 0, 0x57] + udp6), (.pppoe, pppoe(0x0021, udp4)),
    ]
  }()

  /// Every prefix is either discarded for being cut, or the same packet with less payload.
  @Test(arguments: 0..<samples.count)
  func everyPrefixSurvives(index: Int) throws {
    let (linkType, frame) = Self.samples[index]
    let bench = DissectorBench(linkType)
    guard case .packet(let whole) = bench.dissect(frame) else { throw NotAPacket() }
    for captured in 0..<frame.count {
      switch bench.dissect(frame, captured: captured) {
      case .discarded(let reason):
        #expect([.linkTruncated, .ipTruncated, .transportTruncated].contains(reason))
      case .packet(let packet):
        if whole.protocolNumber != 47, packet.protocolNumber == 47 {
          // Cut in the GRE header: a packet of the tunnel.
          #expect(packet.source == [10, 0, 0, 1])
          continue
        }
        var expected = whole
        expected.payload = packet.payload
        #expect(packet == expected && whole.payload.starts(with: packet.payload))
        #expect(packet.payload.count == max(0, captured - (frame.count - whole.payload.count)))
      }
    }
  }

  /// Bytes changed at random, anywhere, and cut: nothing is read that was not captured (`Dissected` checks the rest).
  @Test func brokenFramesSurvive() {
    var random = SeededGenerator(seed: 8)
    for (linkType, frame) in Self.samples {
      let bench = DissectorBench(linkType)
      for _ in 0..<1500 {
        var broken = frame
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          broken[.random(in: 0..<broken.count, using: &random)] = .random(in: 0...255, using: &random)
        }
        _ = bench.dissect(broken, captured: .random(in: 0...broken.count, using: &random))
      }
    }
  }

  @Test(arguments: LinkType.allCases)
  func randomBytesSurvive(linkType: LinkType) {
    var random = SeededGenerator(seed: 9)
    let bench = DissectorBench(linkType)
    let starts: [[UInt8]] = [
      [], [0x45], [0x60], [0, 0x21, 0x45], [0x11, 0], [0, 4, 0, 1], [0x08, 0, 0, 0],
      Build.ethernet(0x8847, []), Build.ethernet(0x8864, [0x11, 0]), Build.ethernet(0x22F3, []),
      Build.ethernet(0x0800, [0x45]), Build.ethernet(0x86DD, [0x60, 0, 0, 0, 0, 99, 0, 1]),
    ]
    for _ in 0..<5000 {
      let frame = starts.randomElement(using: &random)! + random.bytes(.random(in: 0...120, using: &random))
      _ = bench.dissect(frame)
    }
  }
}
