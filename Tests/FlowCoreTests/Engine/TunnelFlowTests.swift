// Flows inside of tunnels: told apart by the tunnels they are in, and counted as often as was asked for.
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

@Suite struct TunnelFlowTests {
  /// A frame in Geneve, of the client or of the server, IPv4 or IPv6 inside.
  static func geneve(_ network: UInt32, byClient: Bool = true, version6: Bool = false) -> [UInt8] {
    datagram(
      6081, [0, 0, 0x65, 0x58] + Build.word(network << 8) + inside(byClient, version6).frame, byClient)
  }

  /// A packet in GTP-U.
  static func gtpu(_ teid: UInt32, byClient: Bool = true, version6: Bool = false, port: UInt16 = 1024)
    -> [UInt8]
  {
    let packet = inside(byClient, version6, port: port).packet
    return datagram(
      2152, [0x30, 255] + Build.word(UInt16(packet.count)) + Build.word(teid) + packet, byClient)
  }

  private static func inside(_ byClient: Bool, _ version6: Bool, port: UInt16 = 1024)
    -> (packet: [UInt8], frame: [UInt8])
  {
    let udp = byClient ? Build.udp(port, 53, [1]) : Build.udp(53, port, [1])
    if version6 {
      let packet = Build.ipv6(
        17, udp, from: byClient ? Build.client6 : Build.server6, to: byClient ? Build.server6 : Build.client6)
      return (packet, Build.ethernet(0x86DD, packet))
    }
    let packet = Build.ipv4(
      17, udp, from: byClient ? Build.client4 : Build.server4, to: byClient ? Build.server4 : Build.client4)
    return (packet, Build.ethernet(0x0800, packet))
  }

  private static func datagram(_ port: UInt16, _ payload: [UInt8], _ byClient: Bool) -> [UInt8] {
    let ends: ([UInt8], [UInt8]) =
      byClient ? ([10, 0, 0, 1], [10, 0, 0, 2]) : ([10, 0, 0, 2], [10, 0, 0, 1])
    return Build.ethernet(0x0800, Build.ipv4(17, Build.udp(50_000, port, payload), from: ends.0, to: ends.1))
  }

  private func run(
    _ frames: [[UInt8]], _ settings: TunnelSettings = TunnelSettings(kinds: .all), plugins: [String] = [],
    isUniflow: Bool = false, burst: Int = 32
  ) throws -> (records: [Record], counters: WorkerCounters) {
    let capture = Capture(
      frames: frames.enumerated().map { number, frame in
        CapturedFrame(
          bytes: frame, wire: frame.count, time: 1_700_000_000_000_000_000 + UInt64(number) * 1_000_000)
      })
    return try capture.run(
      plugins: plugins, configuration: .small, burst: burst, tunnels: settings, isUniflow: isUniflow)
  }

  @Test(arguments: [false, true], [1, 32])
  func alikeButForTheNetwork(version6: Bool, burst: Int) throws {
    let frames = [1, 2, 1, 2, 3].map { Self.geneve($0, version6: version6) }
    let answers = [2, 1, 1].map { Self.geneve($0, byClient: false, version6: version6) }
    let (records, counters) = try run(frames + answers, burst: burst)
    let seen = records.map {
      [
        $0.number("martlet:tunnelIdentifier"), $0.number("iana:packetDeltaCount"),
        $0.number("iana@reverse:packetDeltaCount"),
      ]
    }.sorted { $0[0] < $1[0] }
    #expect(seen == [[1, 2, 2], [2, 2, 1], [3, 1, 0]])
    #expect(records.allSatisfy { $0.text("martlet:tunnelType") == "geneve" })
    #expect(counters.tunnelled == 8 && counters.endedPackets == 8)
    // Without the option these are datagrams between the tunnel's ends.
    let outside = try run(frames + answers, .usual).records
    #expect(outside.count == 2 && outside.allSatisfy { $0["martlet:tunnelType"] == nil })
  }

  /// A TEID names the receiver's end: the directions of a conversation have different ones.
  @Test(arguments: [false, true], [1, 32])
  func directionsWithNumbersOfTheirOwn(version6: Bool, burst: Int) throws {
    let frames = [
      Self.gtpu(1, version6: version6), Self.gtpu(11, byClient: false, version6: version6),
      Self.gtpu(2, version6: version6), Self.gtpu(12, byClient: false, version6: version6),
      Self.gtpu(11, byClient: false, version6: version6), Self.gtpu(2, version6: version6),
      // No flow waits for this one.
      Self.gtpu(13, byClient: false, version6: version6),
    ]
    let (records, _) = try run(frames, burst: burst)
    let seen = records.map {
      [
        $0.number("iana:gtpuTEid"), $0.number("iana@reverse:gtpuTEid"), $0.number("iana:packetDeltaCount"),
        $0.number("iana@reverse:packetDeltaCount"),
      ]
    }.sorted { $0[0] < $1[0] }
    #expect(seen == [[1, 11, 1, 2], [2, 12, 2, 1], [13, 0, 1, 0]])
  }

  @Test func bothPackets() throws {
    let frames = [Self.geneve(1), Self.geneve(1, byClient: false), Self.geneve(1)]
    let plain = Build.ethernet(0x0800, Build.ipv4(17, Build.udp(7, 9, [1])))
    let (records, counters) = try run(frames + [plain], TunnelSettings(kinds: .all, records: .both))
    #expect(counters.packets == 4 && counters.tunnelled == 3 && counters.tunnelsOutside == 3)
    #expect(counters.endedPackets == 7)
    let byPort = Dictionary(grouping: records) { $0.number("iana:destinationTransportPort") }
    #expect(byPort.mapValues(\.count) == [53: 1, 6081: 2, 9: 1])
    // Outer octets: 20 of IP, 8 of UDP, 8 of Geneve, 14 of Ethernet more than those inside.
    let inside = try #require(byPort[53]?.first)
    let outside = try #require(byPort[6081]).map { $0.number("iana:octetDeltaCount") }.reduce(0, +)
    let octets = inside.number("iana:octetDeltaCount") + inside.number("iana@reverse:octetDeltaCount")
    #expect(outside == octets + 3 * 50)
  }

  /// A datagram of VXLAN in three fragments, whose inner packet is in the first.
  static let fragments: [[UInt8]] = {
    let packet = Build.ipv4(17, Build.udp(1024, 53, [1]), total: 2950)
    let header: [UInt8] = [8, 0, 0, 0, 0, 0, 7, 0]
    let first = Build.udp(50_000, 4789, header + Build.ethernet(0x0800, packet), length: 2980)
    return [(0, 0x2000, first), (100, 0x2000, [1, 2]), (200, 0, [3])].map { offset, more, payload in
      Build.ethernet(
        0x0800,
        Build.ipv4(
          17, payload, from: [10, 0, 0, 1], to: [10, 0, 0, 2], identification: 7, fragment: offset | more))
    }
  }()

  /// Every fragment is in the flow between the tunnel's ends, which has the tunnel's number.
  @Test(arguments: [1, 32])
  func fragmentsOutside(burst: Int) throws {
    let (records, counters) = try run(
      Self.fragments, TunnelSettings(kinds: .all, records: .outer), burst: burst)
    #expect(records.count == 1 && counters.endedPackets == 3)
    let record = try #require(records.first)
    #expect(record.number("iana:packetDeltaCount") == 3)
    #expect(record.number("iana:destinationTransportPort") == 4789)
    #expect(record.text("martlet:tunnelType") == "vxlan" && counters.fragments == 3)
  }

  @Test(arguments: [1, 32])
  func fragmentsOfBoth(burst: Int) throws {
    let (records, counters) = try run(
      Self.fragments, TunnelSettings(kinds: .all, records: .both), burst: burst)
    let packets = Dictionary(
      uniqueKeysWithValues: records.map {
        ($0.number("iana:destinationTransportPort"), $0.number("iana:packetDeltaCount"))
      })
    #expect(packets == [53: 1, 4789: 3])
    #expect(counters.discarded[Int(DiscardReason.tunnelFragment.rawValue)] == 2)
    #expect(counters.tunnelsOutside == 3 && counters.endedPackets == 4 && counters.fragments == 3)
  }

  /// A packet inside that no flow takes leaves the one around it.
  @Test func bothWithoutTheInside() throws {
    // A TCP header of 12 bytes, as its offset says.
    let broken = Build.ipv4(
      6, [0, 80, 0, 81] + [UInt8](repeating: 0, count: 8) + [0x30] + [0, 0, 0, 0, 0, 0, 0])
    let frame = Build.ethernet(
      0x0800, Build.ipv4(4, broken, from: [10, 0, 0, 1], to: [10, 0, 0, 2]))
    let (records, counters) = try run(
      [frame, Self.geneve(1)], TunnelSettings(kinds: .all, records: .both))
    #expect(counters.discarded[Int(DiscardReason.tcpHeaderInvalid.rawValue)] == 1)
    #expect(counters.tunnelsOutside == 2 && counters.endedPackets == 3 && records.count == 3)
    #expect(records.contains { $0.text("martlet:tunnelType") == "ipip" })
  }

  /// A flow that has timed out takes no answer: the one that lives gets it.
  @Test func answersAreOfLivingFlows() throws {
    let frames = [
      (0, Self.gtpu(1)), (90, Self.gtpu(3)), (91, Self.gtpu(4, byClient: false)),
    ]
    let capture = Capture(
      frames: frames.map { second, frame in
        CapturedFrame(
          bytes: frame, wire: frame.count, time: (1_700_000_000 + UInt64(second)) * 1_000_000_000)
      })
    let (records, _) = try capture.run(
      plugins: [], configuration: .small, burst: 1, tunnels: TunnelSettings(kinds: .all), isUniflow: false)
    let seen = records.map {
      [
        $0.number("iana:gtpuTEid"), $0.number("iana@reverse:gtpuTEid"),
        $0.number("iana@reverse:packetDeltaCount"),
      ]
    }.sorted { $0[0] < $1[0] }
    #expect(seen == [[1, 0, 0], [3, 4, 1]])
  }

  /// The most packets that a burst can have.
  @Test func aBurstOfTwiceAsMany() throws {
    let frames = (0..<64).map { Self.gtpu(UInt32($0), port: UInt16(2000 + $0)) }
    let (records, counters) = try run(frames, TunnelSettings(kinds: .all, records: .both))
    #expect(counters.tunnelsOutside == 64 && counters.endedPackets == 128 && counters.parserFaults[0] == 0)
    #expect(records.count == 128)
  }

  @Test func outerAddresses() throws {
    let (records, _) = try run([Self.geneve(1)], plugins: ["tunnel"])
    let record = try #require(records.first)
    #expect(record.text("martlet:tunnelSourceAddress") == "10.0.0.1")
    #expect(record.text("martlet:tunnelDestinationAddress") == "10.0.0.2")
    #expect(record.number("martlet:tunnelDestinationTransportPort") == 6081)
    #expect(record.number("martlet:tunnelProtocolIdentifier") == 17)
    #expect(record.number("martlet:tunnelDepth") == 1)
    let plain = Build.ethernet(0x0800, Build.ipv4(17, Build.udp(7, 9, [1])))
    let other = try #require(try run([plain], plugins: ["tunnel"]).records.first)
    #expect(other["martlet:tunnelDepth"] == nil && other["martlet:tunnelType"] == nil)
  }

  /// flowId is that of the flow: with its tunnel, and the same for both directions.
  @Test func identifiersOfFlows() throws {
    func identifier(_ frame: [UInt8]) throws -> Double {
      try #require(try run([frame], plugins: ["flowhash"]).records.first).number("iana:flowId")
    }
    #expect(try identifier(Self.geneve(1)) == identifier(Self.geneve(1, byClient: false)))
    #expect(try identifier(Self.geneve(1)) != identifier(Self.geneve(2)))
    #expect(try identifier(Self.gtpu(1)) == identifier(Self.gtpu(2, byClient: false)))
  }
}
