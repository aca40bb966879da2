// What lies between the device and IP: tags, labels, PPPoE, TRILL, other link types, GRE.
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

extension DissectorTests {
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

  static func label(_ label: UInt32, bottom: Bool) -> [UInt8] {
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

  static func pppoe(_ type: UInt16, _ payload: [UInt8], code: UInt8 = 0) -> [UInt8] {
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

  static func gre(_ flags: UInt16, _ type: UInt16, words: Int, _ payload: [UInt8]) -> [UInt8] {
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
}
