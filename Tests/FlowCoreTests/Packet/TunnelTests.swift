// Tunnels, header by header as their RFCs draw them: what is inside makes the flow, and what is no tunnel stays what it is.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

@Suite struct TunnelTests {
  static let all = TunnelSettings(kinds: .all)
  static let payload: [UInt8] = Array("ten bytes!".utf8)
  static let udp4 = Build.ipv4(17, Build.udp(1024, 53, payload))
  static let udp6 = Build.ipv6(17, Build.udp(1024, 53, payload))
  static let frame4 = Build.ethernet(0x0800, udp4, from: Build.serverMAC, to: Build.clientMAC)

  struct NotAPacket: Error {}

  func packet(_ frame: [UInt8], _ settings: TunnelSettings = all) throws -> Dissected {
    let bench = DissectorBench(tunnels: settings)
    guard case .packet(let packet) = bench.dissect(frame) else {
      Issue.record("discarded: \(bench.dissect(frame))")
      throw NotAPacket()
    }
    return packet
  }

  /// An IP packet between the tunnel's ends, in a frame.
  static func outer(_ proto: UInt8, _ payload: [UInt8], version6: Bool = false) -> [UInt8] {
    guard version6 else {
      return Build.ethernet(0x0800, Build.ipv4(proto, payload, from: [10, 0, 0, 1], to: [10, 0, 0, 2]))
    }
    return Build.ethernet(0x86DD, Build.ipv6(proto, payload, from: Build.server6, to: Build.client6))
  }

  static func datagram(_ port: UInt16, _ payload: [UInt8], from: UInt16 = 50_000, version6: Bool = false)
    -> [UInt8]
  {
    outer(17, Build.udp(from, port, payload), version6: version6)
  }

  /// Expects the packet of `udp4` or `udp6`, in one tunnel.
  func expectInside(
    _ frame: [UInt8], _ kind: TunnelKind, _ identifier: UInt32?, version6: Bool = false,
    at location: SourceLocation = #_sourceLocation
  ) throws {
    let inside = try packet(frame)
    #expect(inside.source == (version6 ? Build.client6 : Build.client4), sourceLocation: location)
    #expect(inside.sourcePort == 1024 && inside.destinationPort == 53, sourceLocation: location)
    #expect(inside.octets == (version6 ? 58 : 38), sourceLocation: location)
    #expect(inside.payload == Self.payload, sourceLocation: location)
    #expect(inside.tunnels == [TunnelLevel(kind, identifier: identifier)], sourceLocation: location)
  }

  /// Expects the packet between the tunnel's ends.
  func expectOutside(
    _ frame: [UInt8], _ settings: TunnelSettings = all, at location: SourceLocation = #_sourceLocation
  ) throws {
    let outside = try packet(frame, settings)
    #expect(
      outside.source == [10, 0, 0, 1] || outside.source == Build.server6, sourceLocation: location)
    #expect(outside.tunnels == [], sourceLocation: location)
  }

  // MARK: GRE and what has its header

  static func gre(_ flags: UInt16, _ type: UInt16, _ words: [UInt32], _ payload: [UInt8]) -> [UInt8] {
    Build.word(flags) + Build.word(type) + words.flatMap { Build.word($0) } + payload
  }

  @Test(arguments: [false, true])
  func gre(version6: Bool) throws {
    func outer(_ payload: [UInt8]) -> [UInt8] { Self.outer(47, payload, version6: version6) }
    try expectInside(outer(Self.gre(0, 0x0800, [], Self.udp4)), .gre, nil)
    try expectInside(outer(Self.gre(0x2000, 0x0800, [0x1234_5678], Self.udp4)), .gre, 0x1234_5678)
    try expectInside(outer(Self.gre(0xB000, 0x86DD, [1, 7, 2], Self.udp6)), .gre, 7, version6: true)
    try expectInside(outer(Self.gre(0, 0x6558, [], Self.frame4)), .gre, nil)
    // With a sequence number it is no NVGRE.
    try expectInside(outer(Self.gre(0x3000, 0x6558, [9, 1], Self.frame4)), .gre, 9)
    // VSID 0xABCDEF and a FlowID.
    try expectInside(outer(Self.gre(0x2000, 0x6558, [0xABCD_EF42], Self.frame4)), .nvgre, 0xABCDEF)
    // Version 1, source routes, an unknown type, nothing behind the header.
    for payload in [
      Self.gre(0x2001, 0x880B, [1], Self.udp4), Self.gre(0x4000, 0x0800, [1], Self.udp4),
      Self.gre(0, 0x1234, [], Self.udp4), Self.gre(0, 0x0800, [], []), [0, 0],
    ] { try expectOutside(outer(payload)) }
  }

  @Test func greOverIPv6NeedsTheOption() throws {
    let frame = Self.outer(47, Self.gre(0, 0x0800, [], Self.udp4), version6: true)
    try expectOutside(frame, .usual)
    // Without the option an identifier tells no flows apart.
    let plain = try packet(Self.outer(47, Self.gre(0x2000, 0x0800, [7], Self.udp4)), .usual)
    #expect(plain.source == Build.client4 && plain.tunnels == [])
  }

  @Test func erspan() throws {
    let session: UInt16 = 0x155
    try expectInside(Self.outer(47, Self.gre(0, 0x88BE, [], Self.frame4)), .erspan, nil)
    let two: [UInt8] = [0x10, 5] + Build.word(session) + [0, 0, 0, 1]
    try expectInside(Self.outer(47, Self.gre(0x1000, 0x88BE, [1], two + Self.frame4)), .erspan, 0x155)
    func three(_ last: UInt16) -> [UInt8] {
      [0x20, 5] + Build.word(session) + [0, 0, 0, 9] + [0, 0] + Build.word(last)
    }
    try expectInside(Self.outer(47, Self.gre(0x1000, 0x22EB, [1], three(0) + Self.frame4)), .erspan, 0x155)
    let platform = [UInt8](repeating: 0xFF, count: 8)
    try expectInside(
      Self.outer(47, Self.gre(0x1000, 0x22EB, [1], three(1) + platform + Self.frame4)), .erspan, 0x155)
    // Frame type 2 is IP.
    try expectInside(
      Self.outer(47, Self.gre(0x1000, 0x22EB, [1], three(2 << 10) + Self.udp6)), .erspan, 0x155,
      version6: true)
    // Another version, another frame type, cut off.
    try expectOutside(Self.outer(47, Self.gre(0x1000, 0x88BE, [1], [0x30] + two.dropFirst() + Self.frame4)))
    try expectOutside(Self.outer(47, Self.gre(0x1000, 0x22EB, [1], three(1 << 10) + Self.frame4)))
    try expectOutside(Self.outer(47, Self.gre(0x1000, 0x88BE, [1], [0x10, 5, 0])))
  }

  // MARK: IP in IP

  @Test func ipInIP() throws {
    try expectInside(Self.outer(4, Self.udp4), .ipip, nil)
    try expectInside(Self.outer(41, Self.udp6), .sixInFour, nil, version6: true)
    try expectInside(Self.outer(4, Self.udp4, version6: true), .ipip, nil)
    try expectInside(Self.outer(41, Self.udp6, version6: true), .ipip, nil, version6: true)
    // Behind destination options, as Linux has them for the encapsulation limit (RFC 2473).
    try expectInside(
      Self.outer(60, Build.extensionHeader(4, octets: 8, Self.udp4), version6: true), .ipip, nil)
    // Not what the protocol says.
    try expectOutside(Self.outer(4, Self.udp6))
    try expectOutside(Self.outer(41, [0x60, 0, 0]))
    try expectOutside(Self.outer(4, Self.udp4), TunnelSettings(kinds: [TunnelKinds(.sixInFour)]))
  }

  // MARK: UDP

  @Test(arguments: [false, true])
  func vxlan(version6: Bool) throws {
    func frame(_ header: [UInt8], _ port: UInt16 = 4789, _ inside: [UInt8] = Self.frame4) -> [UInt8] {
      Self.datagram(port, header + inside, version6: version6)
    }
    let header: [UInt8] = [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]
    try expectInside(frame(header), .vxlan, 0x123456)
    try expectInside(frame(header, 8472), .vxlan, 0x123456)
    // A group policy.
    try expectInside(frame([0x88, 0x48, 1, 2, 0, 0, 7, 0]), .vxlan, 7)
    // From the port is not to the port; without I; with reserved bits; something else than IP inside.
    try expectOutside(Self.datagram(53, header + Self.frame4, from: 4789, version6: version6))
    try expectOutside(frame([0, 0, 0, 0, 0, 0, 7, 0]))
    try expectOutside(frame([8, 0, 0, 1, 0, 0, 7, 0]))
    try expectOutside(frame([8, 0, 0, 0, 0, 0, 7, 1]))
    try expectOutside(frame(header, 4789, Build.ethernet(0x0806, [0, 1, 8, 0])))
    try expectOutside(frame(header, 4789, Build.ethernet(0x0800, Self.udp6)))
    try expectOutside(frame(header, 4789, [1, 2, 3]))
    // A DNS query and its answer between a resolver and a client whose port is VXLAN's (RFC 1035 section 4.1.1).
    for flags: [UInt8] in [[1, 0], [0x81, 0x80]] {
      let message: [UInt8] = [8, 0] + flags + [0, 1, 0, 0, 0, 0, 0, 0] + Self.frame4
      try expectOutside(frame(message))
    }
  }

  /// The frame inside has its own VLAN, which is the flow's.
  @Test func vlanOfTheFrameInside() throws {
    let header: [UInt8] = [8, 0, 0, 0, 0, 0, 1, 0]
    let tagged = Build.ethernet(0x8100, Build.vlan(9, 0x0800, Self.udp4))
    let outer = Array(Self.datagram(4789, header + tagged).dropFirst(14))
    #expect(try packet(Build.ethernet(0x8100, Build.vlan(5, 0x0800, outer))).vlan == 9)
    let plain = Array(Self.datagram(4789, header + Self.frame4).dropFirst(14))
    #expect(try packet(Build.ethernet(0x8100, Build.vlan(5, 0x0800, plain))).vlan == 0)
    let ipip = Array(Self.outer(4, Self.udp4).dropFirst(14))
    #expect(try packet(Build.ethernet(0x8100, Build.vlan(5, 0x0800, ipip))).vlan == 5)
  }

  @Test func vxlanGPE() throws {
    func frame(_ flags: UInt8, _ next: UInt8, _ inside: [UInt8]) -> [UInt8] {
      Self.datagram(4790, [flags, 0, 0, next, 0, 1, 0, 0] + inside)
    }
    try expectInside(frame(0x0C, 1, Self.udp4), .vxlanGPE, 256)
    try expectInside(frame(0x0C, 2, Self.udp6), .vxlanGPE, 256, version6: true)
    try expectInside(frame(0x0C, 3, Self.frame4), .vxlanGPE, 256)
    try expectInside(frame(0x08, 0, Self.frame4), .vxlanGPE, 256)
    try expectInside(
      frame(0x0C, 5, DissectorTests.label(16, bottom: true) + Self.udp4), .vxlanGPE, 256)
    // Version 1, a message between the ends, no I, NSH.
    for (flags, next) in [(0x1C, 1), (0x0D, 1), (0x04, 1), (0x0C, 4)] as [(UInt8, UInt8)] {
      try expectOutside(frame(flags, next, Self.udp4))
    }
  }

  @Test func geneve() throws {
    func frame(
      _ options: [UInt8], _ type: UInt16 = 0x6558, _ inside: [UInt8] = Self.frame4, first: UInt8? = nil,
      flags: UInt8 = 0
    ) -> [UInt8] {
      let head: [UInt8] =
        [first ?? UInt8(options.count / 4), flags] + Build.word(type) + [0xAB, 0xCD, 0xEF, 0]
      return Self.datagram(6081, head + options + inside)
    }
    let option: [UInt8] = [1, 2, 3, 1, 9, 9, 9, 9]
    try expectInside(frame([]), .geneve, 0xABCDEF)
    try expectInside(frame(option), .geneve, 0xABCDEF)
    // An option without data, and one that is critical.
    try expectInside(frame(option + [1, 2, 0x83, 0], flags: 0x40), .geneve, 0xABCDEF)
    try expectInside(frame([], 0x0800, Self.udp4), .geneve, 0xABCDEF)
    try expectInside(frame([], 0x86DD, Self.udp6), .geneve, 0xABCDEF, version6: true)
    // Options beyond the packet, an option beyond the options, another version, a control message, another type.
    try expectOutside(frame([], first: 63))
    try expectOutside(frame([1, 2, 3, 2, 9, 9, 9, 9]))
    try expectOutside(frame([], first: 0x40))
    try expectOutside(frame([], flags: 0x80))
    try expectOutside(frame([], 0x88CC))
  }

  @Test func gtpu() throws {
    func frame(_ flags: UInt8, _ rest: [UInt8], type: UInt8 = 255, length: Int? = nil) -> [UInt8] {
      let head: [UInt8] = [flags, type] + Build.word(UInt16(length ?? rest.count))
      return Self.datagram(2152, head + [0xDE, 0xAD, 0xBE, 0xEF] + rest)
    }
    try expectInside(frame(0x30, Self.udp4), .gtpu, 0xDEAD_BEEF)
    try expectInside(frame(0x30, Self.udp6), .gtpu, 0xDEAD_BEEF, version6: true)
    // A sequence number; a PDU session container as N3 has it (TS 38.415), alone and behind another extension.
    try expectInside(frame(0x32, [0, 1, 0, 0] + Self.udp4), .gtpu, 0xDEAD_BEEF)
    try expectInside(frame(0x34, [0, 0, 0, 0x85, 1, 0x10, 9, 0] + Self.udp4), .gtpu, 0xDEAD_BEEF)
    try expectInside(
      frame(0x34, [0, 0, 0, 0x40, 1, 0, 0, 0x85, 2, 0, 0, 0, 0, 0, 0, 0] + Self.udp4), .gtpu, 0xDEAD_BEEF)
    // Not flagged, what stands there is none.
    try expectInside(frame(0x31, [0, 0, 5, 0x85] + Self.udp4), .gtpu, 0xDEAD_BEEF)
    // A length of 0, which would lead to the same header again and again; a chain beyond the packet, and one that is too long.
    try expectOutside(frame(0x34, [0, 0, 0, 0x85, 0, 0, 0, 0x85] + Self.udp4))
    try expectOutside(frame(0x34, [0, 0, 0, 0x85, 200, 0, 0, 0] + Self.udp4))
    try expectOutside(
      frame(0x34, [0, 0, 0, 0x85] + (0..<9).flatMap { _ in [1, 0, 0, 0x85] as [UInt8] } + Self.udp4))
    // An echo request, version 2, GTP', a length that ends before the packet begins.
    try expectOutside(frame(0x32, [0, 1, 0, 0], type: 1))
    try expectOutside(frame(0x50, Self.udp4))
    try expectOutside(frame(0x20, Self.udp4))
    try expectOutside(frame(0x34, [0, 0, 0, 0x85, 1, 0x10, 9, 0] + Self.udp4, length: 8))
    // One that ends within the packet: what lies behind it is not read.
    let cut = try packet(frame(0x30, Self.udp4, length: 30))
    #expect(cut.payloadLength == 10 && cut.payload == Array(Self.payload.prefix(2)))
  }

  @Test func teredo() throws {
    let authentication: [UInt8] = [0, 1, 2, 3] + [UInt8](repeating: 7, count: 2 + 3 + 8) + [0]
    let origin: [UInt8] = [0, 0] + [0xFF, 1] + [1, 2, 3, 4]
    for before in [[], origin, authentication, authentication + origin] as [[UInt8]] {
      try expectInside(Self.datagram(3544, before + Self.udp6), .teredo, nil, version6: true)
    }
    try expectInside(Self.datagram(40_000, Self.udp6, from: 3544), .teredo, nil, version6: true)
    try expectOutside(Self.datagram(3544, Self.udp4))
    try expectOutside(Self.datagram(3544, [0, 1, 255, 255] + Self.udp6))
    // A nonce trailer and one of random ports (RFC 6081 section 4); what is no trailer.
    let trailers: [UInt8] = [1, 4, 9, 9, 9, 9] + [5, 2, 0, 1]
    try expectInside(Self.datagram(3544, Self.udp6 + trailers), .teredo, nil, version6: true)
    try expectOutside(Self.datagram(3544, Self.udp6 + [1]))
    try expectOutside(Self.datagram(3544, Self.udp6 + [1, 9, 0]))
  }

  @Test func l2tpv3() throws {
    let session: [UInt8] = [0, 0, 0x12, 0x34]
    for cookie in [0, 4, 8, 12] {
      let rest = session + [UInt8](repeating: 0, count: cookie) + Self.frame4
      try expectInside(Self.outer(115, rest), .l2tpv3, 0x1234)
      try expectInside(Self.datagram(1701, [0, 3, 0, 0] + rest), .l2tpv3, 0x1234)
      try expectInside(Self.datagram(5000, [0, 3, 0, 0] + rest, from: 1701), .l2tpv3, 0x1234)
    }
    // A control message, version 2, no frame.
    try expectOutside(Self.outer(115, [0, 0, 0, 0] + Self.frame4))
    try expectOutside(Self.datagram(1701, [0, 2, 0, 0] + session + Self.frame4))
    try expectOutside(Self.outer(115, session + Self.udp4))
  }

  // MARK: Without IP around

  @Test func layerTwo() throws {
    // I-SID 0x010203 with a priority.
    let tag: [UInt8] = [0xE0, 1, 2, 3]
    try expectInside(Build.ethernet(0x88E7, tag + Self.frame4), .providerBackbone, 0x010203)
    try expectInside(
      Build.ethernet(0x88A8, Build.vlan(5, 0x88E7, tag + Self.frame4)), .providerBackbone, 0x010203)
    try expectInside(
      Build.ethernet(0x8864, DissectorTests.pppoe(0x0021, Self.udp4)), .pppoe, 1)
    try expectInside(Build.ethernet(0x22F3, [0, 5, 0, 1, 0, 2] + Self.frame4), .trill, nil)
    let label = DissectorTests.label(77, bottom: true)
    try expectInside(Build.ethernet(0x8847, label + [0, 0, 0, 7] + Self.frame4), .mpls, 77)
    // Without a control word.
    try expectInside(Build.ethernet(0x8847, label + Self.frame4), .mpls, 77)
    // Labels around IP are tags, no tunnel.
    #expect(try packet(Build.ethernet(0x8847, label + Self.udp4)).tunnels == [])
    let none = TunnelSettings(kinds: [])
    for (type, payload) in [
      (0x88E7, tag + Self.frame4), (0x8864, DissectorTests.pppoe(0x0021, Self.udp4)),
      (0x22F3, [0, 5, 0, 1, 0, 2] + Self.frame4), (0x8847, label + [0, 0, 0, 7] + Self.frame4),
    ] as [(UInt16, [UInt8])] {
      #expect(
        DissectorBench(tunnels: none).dissect(Build.ethernet(type, payload)) == .discarded(.notIP))
    }
  }

  // MARK: Several

  @Test func fourAreOpened() throws {
    var inside = Self.udp4
    for depth in 1...7 {
      inside = Build.ipv4(4, inside, from: [10, 0, 0, UInt8(depth)], to: [10, 0, 1, UInt8(depth)])
      let bench = DissectorBench(tunnels: Self.all)
      guard case .packet(let packet) = bench.dissect(Build.ethernet(0x0800, inside)) else {
        throw NotAPacket()
      }
      #expect(packet.tunnels == Array(repeating: TunnelLevel(.ipip, identifier: nil), count: min(depth, 4)))
      #expect(packet.source == (depth <= 4 ? Build.client4 : [10, 0, 0, UInt8(depth - 4)]))
      #expect(bench.refused.unopened == 0)
      #expect(bench.refused.tooDeep == (depth > 4 ? 1 : 0))
    }
  }

  @Test func outermostFirst() throws {
    let vxlan: [UInt8] = [8, 0, 0, 0, 0, 0, 7, 0]
    let gre = Self.outer(47, Self.gre(0x2000, 0x0800, [9], Self.udp4))
    let packet = try packet(Self.datagram(4789, vxlan + gre))
    #expect(packet.tunnels == [TunnelLevel(.vxlan, identifier: 7), TunnelLevel(.gre, identifier: 9)])
    // What the outer tunnel carries is the flow where the inner one carries no IP.
    let broken = try self.packet(
      Self.datagram(4789, vxlan + Self.outer(47, Self.gre(0x2000, 0x0800, [9], [1, 2, 3]))))
    #expect(broken.tunnels == [TunnelLevel(.vxlan, identifier: 7)] && broken.source == [10, 0, 0, 1])
    #expect(broken.protocolNumber == 47)
  }

  /// What lies behind the end of the packet around it is not the packet's inside.
  @Test func theOuterLengthEndsTheInside() throws {
    let packet = Build.ipv4(4, Self.udp4, from: [10, 0, 0, 1], to: [10, 0, 0, 2], total: 20 + 30)
    let inside = try self.packet(Build.ethernet(0x0800, packet + [1, 2, 3, 4]))
    #expect(inside.payloadLength == 10 && inside.payload == Array(Self.payload.prefix(2)))
  }

  @Test func everyPrefixIsAPacketOrDiscarded() {
    let vxlan: [UInt8] = [8, 0, 0, 0, 0, 0, 7, 0]
    let frames = [
      Self.datagram(4789, vxlan + Self.outer(47, Self.gre(0xB000, 0x86DD, [1, 7, 2], Self.udp6))),
      Self.datagram(
        6081, [2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 1, 9, 9, 9, 9] + Self.frame4, version6: true),
      Self.datagram(2152, [0x34, 255, 0, 46, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0x10, 9, 0] + Self.udp4),
      Self.datagram(3544, [0, 0, 0xFF, 1, 1, 2, 3, 4] + Self.udp6),
      Self.outer(115, [0, 0, 0, 1] + Self.frame4),
      Build.ethernet(0x88E7, [0, 1, 2, 3] + Self.frame4),
    ]
    for frame in frames {
      for captured in 0...frame.count {
        _ = DissectorBench(tunnels: Self.all).dissect(frame, captured: captured)
      }
    }
  }

  // MARK: Outer packets, fragments

  @Test func outerRecords() throws {
    let settings = TunnelSettings(kinds: .all, records: .outer)
    let frame = Self.datagram(4789, [8, 0, 0, 0, 0, 0, 7, 0] + Self.frame4)
    let packet = try packet(frame, settings)
    #expect(packet.source == [10, 0, 0, 1] && packet.destinationPort == 4789)
    #expect(packet.tunnels == [TunnelLevel(.vxlan, identifier: 7)])
    #expect(packet.octets == frame.count - 14)
  }

  @Test(arguments: [false, true])
  func fragmentsOfTheOuterPacket(version6: Bool) throws {
    func fragment(_ offset: UInt16, more: Bool, _ payload: [UInt8], identification: UInt16 = 7) -> [UInt8] {
      guard version6 else {
        return Build.ethernet(
          0x0800,
          Build.ipv4(
            17, payload, from: [10, 0, 0, 1], to: [10, 0, 0, 2], identification: identification,
            fragment: offset | (more ? 0x2000 : 0)))
      }
      let header: [UInt8] =
        [17, 0] + Build.word(offset << 3 | (more ? 1 : 0)) + Build.word(UInt32(identification))
      return Build.ethernet(0x86DD, Build.ipv6(44, header + payload))
    }
    let bench = DissectorBench(tunnels: Self.all)
    let long = Build.ipv4(17, Build.udp(1024, 53, Self.payload), total: 1400)
    let inside = [8, 0, 0, 0, 0, 0, 7, 0] + Build.ethernet(0x0800, long)
    let first = Build.udp(50_000, 4789, inside, length: 1500)
    guard case .packet(let packet) = bench.dissect(fragment(0, more: true, first)) else { throw NotAPacket() }
    #expect(packet.source == Build.client4 && packet.octets == 1400)
    #expect(bench.dissect(fragment(9, more: false, Self.payload)) == .discarded(.tunnelFragment))
    // Of a packet whose first fragment was not seen, and of one that carries nothing.
    for identification: UInt16 in [8, 9] {
      if identification == 9 {
        _ = bench.dissect(
          fragment(0, more: true, Build.udp(50_000, 4789, [1, 2, 3], length: 1500), identification: 9))
      }
      let later = bench.dissect(fragment(9, more: false, Self.payload, identification: identification))
      guard case .packet(let outside) = later else { throw NotAPacket() }
      #expect(outside.destinationPort == (identification == 9 ? 4789 : 0) && outside.tunnels == [])
    }
  }

  // MARK: Words

  @Test func words() {
    #expect(TunnelKinds(words: "all") == .all && TunnelKinds(words: "none") == [])
    #expect(TunnelKinds(words: "gre,6in4")?.rawValue == 1 << 1 | 1 << 5)
    #expect(
      TunnelKinds(words: "vxlan,") == nil && TunnelKinds(words: "l2tp") == nil
        && TunnelKinds(words: "") == nil)
    #expect(TunnelKinds.usual == TunnelKinds(words: "gre,mpls,pppoe,trill"))
    #expect(Set(TunnelKind.allCases.map(\.name.description)).count == TunnelKind.allCases.count)
  }
}
