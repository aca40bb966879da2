// idpcontent, basicplus, icmp, vlan, mpls and flowhash by values calculated by hand.
import IPFIXDecoding
import Testing

@testable import FlowCore

@Suite struct HeaderPluginTests {
  static let start: UInt64 = 1_700_000_000_000_000_000

  // MARK: idpcontent

  private func hex(_ bytes: some Sequence<Int>) -> FieldValue {
    .text("0x" + bytes.map { String(0x100 + $0 % 256, radix: 16).dropFirst() }.joined())
  }

  @Test(arguments: [("idpcontent", 100), ("idpcontent:length=1", 1), ("idpcontent:length=1000", 1000)])
  func contentsAreTheFirstBytesOfEachDirection(plugin: String, length: Int) throws {
    let packets = [
      TestPacket(flags: 0x02),
      TestPacket(payload: (0..<1200).map { UInt8($0 % 256) }),
      TestPacket(payload: [9, 9, 9]),
      TestPacket(isForward: false, payload: [0xA1]),
      TestPacket(isForward: false, payload: [0xB1, 0xB2]),
    ]
    let record = try #require(try Capture.run(packets, plugin).first)
    #expect(record["cesnet:IDPContent"] == hex(0..<length))
    #expect(record["cesnet:IDPContentRev"] == .text("0xa1"))
  }

  @Test func contentsAreWhatWasCaptured() throws {
    let packets = [TestPacket(payload: [1, 2, 3, 4, 5, 6], captured: 14 + 20 + 20 + 4)]
    let record = try #require(try Capture.run(packets, "idpcontent").first)
    #expect(record["cesnet:IDPContent"] == .text("0x01020304"))
    #expect(record["cesnet:IDPContentRev"] == .text("0x"))
  }

  @Test func contentsAreEmptyWhereTheSlabIsUsedUp() throws {
    var configuration = FlowConfiguration()
    // One block of 128 bytes, besides the unit that stands for no block.
    configuration.slabBytes = 64 * 3
    let packets = (0..<3).map { TestPacket(payload: [UInt8($0)], port: 1000 + UInt16($0)) }
    let (records, counters) = try Capture(frames: packets.map(\.frame))
      .run(plugins: ["idpcontent"], configuration: configuration)
    #expect(records.count { $0["cesnet:IDPContent"] == .text("0x") } == 2)
    #expect(counters.slabFull == 2)
  }

  @Test func blocksAreUsedAgainAfterExport() throws {
    var configuration = FlowConfiguration()
    // Four blocks: a flow takes two, and the one before it is swept after its first packets.
    configuration.slabBytes = 64 * 9
    let packets = (0..<200).flatMap { flow in
      [true, false].map {
        TestPacket(
          time: Self.start + UInt64(flow) * 60_000_000_000, isForward: $0, payload: [UInt8(flow)],
          port: 1000 + UInt16(flow))
      }
    }
    let (records, counters) = try Capture(frames: packets.map(\.frame))
      .run(plugins: ["idpcontent"], configuration: configuration, burst: 2)
    #expect(records.count == 200)
    #expect(counters.slabFull == 0)
  }

  // MARK: basicplus

  @Test func headersOfBothDirections() throws {
    // MSS 1460, NOP, window scale, SACK permitted, end, padding.
    let options: [UInt8] = [2, 4, 0x05, 0xB4, 1, 3, 3, 7, 4, 2, 0, 0]
    let packets = [
      TestPacket(flags: 0x02, window: 64_240, options: options, timeToLive: 64, fragmentFlags: 2),
      TestPacket(
        isForward: false, flags: 0x12, window: 28_960, options: [2, 4, 0x05, 0x78], timeToLive: 57),
      TestPacket(
        flags: 0x10, window: 502, options: [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], timeToLive: 70),
      TestPacket(isForward: false, flags: 0x10, window: 5, options: [2, 4, 1, 1], timeToLive: 56),
    ]
    let record = try #require(try Capture.run(packets, "basicplus").first)
    #expect(record["iana:ipTTL"] == .number(70))
    #expect(record["iana@reverse:ipTTL"] == .number(57))
    #expect(record["iana:fragmentFlags"] == .number(2))
    #expect(record["iana@reverse:fragmentFlags"] == .number(0))
    #expect(record["iana:tcpWindowSize"] == .number(64_240))
    #expect(record["iana@reverse:tcpWindowSize"] == .number(28_960))
    // Kinds 0, 1, 2, 3, 4 are bits 7, 6, 5, 4, 3; kind 8 is bit 15.
    #expect(record["iana:tcpOptions"] == .number(0x80F8))
    #expect(record["iana@reverse:tcpOptions"] == .number(0x20))
    #expect(record["cesnet:tcpMss"] == .number(1460))
    #expect(record["cesnet:tcpMssRev"] == .number(1400))
    #expect(record["cesnet:tcpSynSize"] == .number(20 + 20 + 12))
  }

  static let optionMasks: [(options: [UInt8], mask: UInt64)] = [
    // A NOP or end in the last byte is not noted; one before it is.
    ([3, 3, 7, 0], 0x10), ([3, 3, 7, 1], 0x10), ([1, 3, 3, 7], 0x50), ([1, 1, 1, 1], 0x40),
    ([0, 0, 0, 0], 0x80), ([5, 2, 0, 2], 0x84),
    // Kinds 16, 63 and, without a bit, 64 and 254.
    ([16, 4, 0, 0], 0x80_0000), ([63, 4, 0, 0], 0x0100_0000_0000_0000), ([64, 4, 0, 0], 0),
    ([254, 4, 0, 0], 0), ([], 0),
  ]

  @Test(arguments: optionMasks)
  func optionKindsAreBits(options: [UInt8], mask: UInt64) throws {
    let record = try #require(try Capture.run([TestPacket(options: options)], "basicplus").first)
    #expect(record["iana:tcpOptions"] == .number(Double(mask)))
  }

  @Test func headersWithoutTCP() throws {
    let record = try #require(
      try Capture.run(
        [TestPacket(payload: [1], protocolNumber: 17, timeToLive: 3, isVersion6: true)], "basicplus"
      ).first)
    #expect(record["iana:ipTTL"] == .number(3))
    #expect(record["iana@reverse:ipTTL"] == .number(0))
    #expect(record["iana:tcpWindowSize"] == .number(0))
    #expect(record["cesnet:tcpMss"] == .number(0))
    #expect(record["cesnet:tcpSynSize"] == .number(0))
  }

  @Test func aLaterFragmentHasNoTCPHeader() throws {
    let packets = [
      TestPacket(
        payload: [UInt8](repeating: 0xFF, count: 64), fragmentFlags: 1, fragmentOffset: 10)
    ]
    let record = try #require(try Capture.run(packets, "basicplus").first)
    #expect(record["iana:fragmentFlags"] == .number(1))
    #expect(record["iana:tcpWindowSize"] == .number(0))
    #expect(record["iana:tcpOptions"] == .number(0))
  }

  // MARK: icmp

  @Test func typeAndCodeOfTheFirstMessage() throws {
    func value(_ packets: [TestPacket]) throws -> FieldValue? {
      try Capture.run(packets, "icmp").first?["iana:icmpTypeCodeIPv4"]
    }
    let echo = TestPacket(payload: [8, 0, 0, 0, 0, 1, 0, 1], protocolNumber: 1)
    let reply = TestPacket(isForward: false, payload: [0, 0, 0, 0, 0, 1, 0, 1], protocolNumber: 1)
    #expect(try value([echo, reply]) == .number(0x0800))
    #expect(try value([TestPacket(payload: [3, 1], protocolNumber: 1)]) == .number(0x0301))
    #expect(
      try value([TestPacket(payload: [128, 0, 0, 0], protocolNumber: 58, isVersion6: true)])
        == .number(0x8000))
    #expect(try value([TestPacket(payload: [8], protocolNumber: 1)]) == nil)
    #expect(try value([TestPacket(payload: [8, 0, 0, 0], protocolNumber: 17)]) == nil)
  }

  /// RFC 791 section 3.2: fragments may arrive in any order, and only the first (offset 0) has the message's header.
  @Test func laterFragmentsHaveNoICMPHeader() throws {
    let first = TestPacket(
      payload: [8, 0, 0, 0, 0, 1, 0, 1], protocolNumber: 1, fragmentFlags: 1)
    let last = TestPacket(
      payload: [UInt8](repeating: 0x61, count: 8), protocolNumber: 1, fragmentOffset: 1)
    func values(_ packets: [TestPacket]) throws -> [FieldValue?] {
      try Capture.run(packets, "icmp").map { $0["iana:icmpTypeCodeIPv4"] }
    }
    #expect(try values([last]) == [nil])
    #expect(try values([first, last]) == [.number(0x0800)])
    #expect(try values([last, first]) == [.number(0x0800)])
    // IPv6: a fragment header (RFC 8200 section 4.5) with offset 1, the last one, of an ICMPv6 message; then with offset 0.
    func version6(_ offsetAndMore: UInt16, _ payload: [UInt8]) -> CapturedFrame {
      let fragment: [UInt8] = [58, 0] + FrameBuilder.word(offsetAndMore) + [0, 0, 0, 1] + payload
      let frame = FrameBuilder.ethernet(0x86DD, FrameBuilder.ipv6(44, fragment))
      return CapturedFrame(bytes: frame, wire: frame.count, time: Self.start)
    }
    let end = version6(1 << 3, [UInt8](repeating: 0x61, count: 8))
    let beginning = version6(1, [128, 0, 0, 0, 0, 1, 0, 1])
    func value(_ frames: [CapturedFrame]) throws -> FieldValue? {
      try Capture(frames: frames).run(plugins: ["icmp"]).records.first?["iana:icmpTypeCodeIPv4"]
    }
    #expect(try value([end]) == nil)
    #expect(try value([end, beginning]) == .number(0x8000))
  }

  // MARK: vlan and mpls

  @Test func outermostTag() throws {
    #expect(try Capture.run([TestPacket(vlans: [0xE064, 200])], "vlan")[0]["iana:vlanId"] == .number(100))
    #expect(try Capture.run([TestPacket()], "vlan")[0]["iana:vlanId"] == .number(0))
    let two = try Capture.run([TestPacket(vlans: [1]), TestPacket(vlans: [2])], "vlan")
    #expect(Set(two.map { "\($0["iana:vlanId"]!)" }).count == 2)
  }

  @Test func topOfTheLabelStack() throws {
    //  label 20 | class 3 | bottom 1 | TTL 8
    let (top, bottom): (UInt32, UInt32) = (0xABCDE << 12 | 5 << 9 | 64, 16 << 12 | 1 << 8 | 63)
    func section(_ labels: [UInt32]) throws -> FieldValue? {
      try Capture.run([TestPacket(labels: labels)], "mpls").first?["iana:mplsTopLabelStackSection"]
    }
    #expect(try section([top, bottom]) == .text("0xabcdea"))
    #expect(try section([bottom]) == .text("0x000101"))
    #expect(try section([]) == nil)
  }

  // MARK: flowhash

  @Test(arguments: [false, true])
  func hashIsOfTheKeyAlone(isVersion6: Bool) throws {
    func hash(_ packets: [TestPacket], seed: UInt64) throws -> FieldValue? {
      var configuration = FlowConfiguration()
      configuration.seed = seed
      return try Capture.run(packets, "flowhash", configuration: configuration).first?["iana:flowId"]
    }
    let forward = TestPacket(isVersion6: isVersion6)
    let reverse = TestPacket(isForward: false, isVersion6: isVersion6)
    let value = try #require(try hash([forward], seed: 1))
    #expect(try hash([forward, reverse], seed: 2) == value)
    #expect(try hash([reverse], seed: 3) == value)
    #expect(try hash([TestPacket(port: 50_001, isVersion6: isVersion6)], seed: 1) != value)
    #expect(try hash([TestPacket(isVersion6: isVersion6, vlans: [1])], seed: 1) != value)
    // A record that was exported for another reason than the end has the same.
    let later = TestPacket(time: Self.start + 60_000_000_000, isVersion6: isVersion6)
    let records = try Capture.run([forward, later], "flowhash")
    #expect(records.map { $0["iana:flowId"] } == [value, value])
  }

  // MARK: Being done

  /// Which plugins still want the flow's packets after these, as a mask.
  private func interest(_ plugins: [String], after packets: [TestPacket]) throws -> UInt32 {
    let layout = try StateLayout<BuiltInPlugins>(plugins.map { PluginSelection($0) })
    var configuration = FlowConfiguration()
    configuration.flows = 8
    var engine = try Engine(configuration, layout: layout, worker: 0, memory: PlainMemory())
    for packet in packets {
      let frame = packet.frame
      var time = frame.time
      frame.bytes.withUnsafeBytes {
        var view = Frame(
          bytes: $0.baseAddress!, captured: UInt32($0.count), wire: UInt32(frame.wire))
        engine.process(&view, count: 1, times: &time, step: 1)
      }
    }
    return engine.table.record(1).pointee.interest
  }

  /// Plugin model stands behind 32 others: it wants packets by the bit of one that is shown none.
  @Test func aModelBorrowsTheBitOfOneThatIsShownNoPackets() throws {
    let others = PluginCatalogue.names.filter { $0 != "model" }
    try #require(others.count == 32)
    let shownNone = try #require(others.firstIndex { ["flowhash", "osquery", "vlan"].contains($0) })
    let bit = UInt32(1) << UInt32(shownNone)
    let packets = [TestPacket(flags: 0x02), TestPacket(payload: [1])]
    for (model, wants) in [("model", false), ("model:after=3", true), ("model:after=2", false)] {
      let left = try interest([model] + others, after: packets)
      #expect((left & bit != 0) == wants, "\(model)")
      #expect(left & ~bit == (try interest(others, after: packets)))
    }
    let layout = try StateLayout<BuiltInPlugins>((["model"] + others).map { PluginSelection($0) })
    withExtendedLifetime(layout) {
      #expect(
        layout.lent == bit && layout.allSlots == 0x1_FFFF_FFFF && layout.slots[32].registration == .model)
      #expect(layout.slots[32].index == 32 && layout.takers[shownNone].registration == .model)
    }
  }

  @Test func pluginsAreDoneAsSoonAsTheyCan() throws {
    let packets = [
      TestPacket(flags: 0x02), TestPacket(payload: [1]), TestPacket(isForward: false, payload: [2]),
    ]
    #expect(try interest(["vlan", "icmp", "mpls", "flowhash"], after: [packets[0]]) == 0)
    #expect(try interest(["idpcontent", "pstats:packets=2"], after: [packets[0], packets[1]]) == 0b11)
    #expect(try interest(["idpcontent", "pstats:packets=2"], after: packets) == 0)
    #expect(try interest(["phists", "bstats", "nettisa", "basicplus"], after: packets) == 0b1111)
  }
}
