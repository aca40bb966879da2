// pstats and its options.
import Testing

@testable import FlowCore

@Suite struct PacketSequenceTests {
  static let start: UInt64 = 1_700_000_000_000_000_000

  private func packet(
    _ milliseconds: UInt64, _ length: Int, forward: Bool = true, flags: UInt8 = 0x18, sequence: UInt32 = 0,
    acknowledgement: UInt32 = 0
  ) -> TestPacket {
    TestPacket(
      time: Self.start + milliseconds * 1_000_000 + 1_999, isForward: forward,
      payload: [UInt8](repeating: 0, count: length), flags: flags, sequence: sequence,
      acknowledgement: acknowledgement)
  }

  @Test func packetsWithPayloadAreNoted() throws {
    let record = try #require(
      try Capture.run(
        [
          packet(0, 0, flags: 0x02), packet(1, 0, forward: false, flags: 0x12), packet(2, 5),
          packet(30, 1460, forward: false, flags: 0x10), packet(31, 0, flags: 0x10),
        ], "pstats"
      ).first)
    #expect(record["cesnet:packetLength"] == .numbers([5, 1460]))
    #expect(record["cesnet:packetFlag"] == .numbers([0x18, 0x10]))
    #expect(record["cesnet:packetDirection"] == .numbers([1, -1]))
    #expect(record["cesnet:packetTime"] == .times([Self.start + 2_001_000, Self.start + 30_001_000]))
  }

  @Test func emptyPacketsAreNotedOnRequest() throws {
    let packets = [packet(0, 0, flags: 0x02), packet(1, 0, forward: false, flags: 0x12), packet(2, 5)]
    let record = try #require(try Capture.run(packets, "pstats:includezeroes").first)
    #expect(record["cesnet:packetLength"] == .numbers([0, 0, 5]))
    #expect(record["cesnet:packetFlag"] == .numbers([0x02, 0x12, 0x18]))
    #expect(record["cesnet:packetDirection"] == .numbers([1, -1, 1]))
  }

  @Test func aLoneSYNHasNoFields() throws {
    #expect(try Capture.run([packet(0, 0, flags: 0x02)], "pstats")[0]["cesnet:packetLength"] == nil)
    #expect(
      try Capture.run([packet(0, 0, flags: 0x10)], "pstats")[0]["cesnet:packetLength"] == .numbers([]))
  }

  @Test(arguments: [("pstats", 30), ("pstats:packets=1", 1), ("pstats:packets=255", 255)])
  func noMoreThanTheLimitAreNoted(plugin: String, limit: Int) throws {
    let packets = (0..<300).map { packet(UInt64($0), $0 + 1) }
    let record = try #require(try Capture.run(packets, plugin).first)
    #expect(record["cesnet:packetLength"] == .numbers(Array(1...limit)))
    #expect(record["iana:packetDeltaCount"] == .number(300))
  }

  @Test func microsecondsAreAnElementOfTheirOwn() throws {
    let record = try #require(try Capture.run([packet(0, 1), packet(7, 1)], "pstats:time=us").first)
    #expect(record["cesnet:packetTime"] == nil)
    #expect(
      record["martlet:packetTimeMicroseconds"] == .times([Self.start + 1_000, Self.start + 7_001_000]))
    #expect(PacketSequence.packetTime.type == .dateTimeMilliseconds)
    #expect(PacketSequence.packetTimeMicroseconds.type == .dateTimeMicroseconds)
  }

  @Test func retransmissionsAreLeftOutOnRequest() throws {
    let packets = [
      packet(0, 10, sequence: 100, acknowledgement: 7),
      packet(1, 10, sequence: 100, acknowledgement: 7),  // the same again
      packet(2, 10, sequence: 90, acknowledgement: 7),  // older, same length
      packet(3, 11, sequence: 100, acknowledgement: 7),  // another length
      packet(4, 11, flags: 0x10, sequence: 100, acknowledgement: 7),  // other flags
      packet(5, 11, flags: 0x10, sequence: 100, acknowledgement: 8),  // acknowledges more
      packet(6, 11, flags: 0x10, sequence: 111, acknowledgement: 8),  // goes on
      packet(7, 12, forward: false, flags: 0x10, sequence: 5, acknowledgement: 5),  // reverse
      packet(8, 12, forward: false, flags: 0x10, sequence: 5, acknowledgement: 5),
    ]
    let record = try #require(try Capture.run(packets, "pstats:skipdup").first)
    #expect(record["cesnet:packetLength"] == .numbers([10, 11, 11, 11, 11, 12]))
    let all = try #require(try Capture.run(packets, "pstats").first)
    #expect(all["cesnet:packetLength"] == .numbers([10, 10, 10, 11, 11, 11, 11, 12, 12]))
  }

  /// A packet is compared with the one before it in its direction (plugins.md), be that one empty and not noted.
  @Test func duplicatesAreNotSoughtBehindEmptyPackets() throws {
    let packets = [
      packet(0, 10, sequence: 100), packet(1, 0, sequence: 110), packet(2, 10, sequence: 100),
      packet(3, 10, sequence: 100),
    ]
    let record = try #require(try Capture.run(packets, "pstats:skipdup").first)
    #expect(record["cesnet:packetLength"] == .numbers([10, 10]))
  }

  @Test func sequenceNumbersWrapRound() throws {
    let packets = [
      packet(0, 10, sequence: 0xFFFF_FFFA), packet(1, 10, sequence: 4),
      packet(2, 10, sequence: 0xFFFF_FFFA),
    ]
    // The second is 10 bytes on; the third would be an old one, but is numerically higher: ipfixprobe keeps it.
    let record = try #require(try Capture.run(packets, "pstats:skipdup").first)
    #expect(record["cesnet:packetDirection"] == .numbers([1, 1, 1]))
  }
}
