// The statistical plugins against a plain reimplementation, over random flows.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct StatisticsPropertyTests {
  /// Flows of random packets, in order of arrival; the ports tell the flows apart.
  static func randomPackets(seed: UInt64) -> [TestPacket] {
    var random = SeededGenerator(seed: seed)
    // What a flow looks like: how its lengths and gaps are drawn, and how often it turns.
    struct Habit {
      var lengths: [Int]
      var longestGap: UInt64
      var turns: Int
      var isTCP: Bool
      var isVersion6: Bool
    }
    let habits = (0..<Int.random(in: 1...24, using: &random)).map { _ in
      Habit(
        lengths: [[0, 0, 1460], [7], [0], [15, 16, 31, 32, 1023, 1024], [1459, 1460]].randomElement(
          using: &random)! + (Bool.random(using: &random) ? [Int.random(in: 0...9000, using: &random)] : []),
        longestGap: [0, 1_000_000, 400_000_000, 1_500_000_000].randomElement(using: &random)!,
        turns: [1, 2, 5, 100].randomElement(using: &random)!, isTCP: Bool.random(using: &random),
        isVersion6: Bool.random(using: &random))
    }
    var direction = habits.map { _ in true }
    var isNew = habits.map { _ in true }
    var now: UInt64 = 1_700_000_000_123_456_789
    var packets: [TestPacket] = []
    for _ in 0..<Int.random(in: 1...1500, using: &random) {
      let flow = Int.random(in: 0..<habits.count, using: &random)
      let habit = habits[flow]
      now += UInt64.random(in: 0...habit.longestGap, using: &random)
      if Int.random(in: 0..<50, using: &random) == 0 {
        now -= UInt64.random(in: 0...2_000_000_000, using: &random)
      }
      if !isNew[flow], Int.random(in: 0..<habit.turns, using: &random) == 0 { direction[flow].toggle() }
      packets.append(
        TestPacket(
          time: now, isForward: direction[flow],
          payload: [UInt8](repeating: 0x41, count: habit.lengths.randomElement(using: &random)!),
          protocolNumber: habit.isTCP ? 6 : 17, port: 10_000 + UInt16(flow),
          flags: isNew[flow] && Bool.random(using: &random)
            ? 0x02 : [0x10, 0x18].randomElement(using: &random)!,
          isVersion6: habit.isVersion6))
      isNew[flow] = false
    }
    return packets
  }

  private func compare(_ plain: Record?, _ record: Record, _ note: String) {
    for (key, expected) in plain ?? [:] {
      if case .number(let expected) = expected, case .number(let value)? = record[key] {
        // Values are single precision on the wire; sums of a thousand doubles differ far less.
        #expect(abs(value - expected) <= 1e-6 * max(1, abs(expected)), "\(note): \(key)")
      } else {
        #expect(record[key] == expected, "\(note): \(key)")
      }
    }
  }

  /// Each pair of plugin and plain function, by an element that is present when the plugin has something to export.
  static let pairs: [(plugin: String, element: String, plain: @Sendable ([TestPacket]) -> Record?)] = [
    ("pstats", "cesnet:packetLength", { PlainStatistics.sequence($0) }),
    (
      "pstats:includezeroes,packets=255,time=us", "cesnet:packetLength",
      { PlainStatistics.sequence($0, includesEmpty: true, limit: 255, microseconds: true) }
    ),
    ("pstats:packets=1", "cesnet:packetLength", { PlainStatistics.sequence($0, limit: 1) }),
    ("phists", "cesnet:phistSrcSizes", { PlainStatistics.histograms($0) }),
    ("phists:includezeroes", "cesnet:phistSrcSizes", { PlainStatistics.histograms($0, includesEmpty: true) }),
    ("bstats", "cesnet:burstSrcPackets", PlainStatistics.bursts),
    ("nettisa", "cesnet:ntsMeanPacketPayload", PlainStatistics.timeSeries),
  ]

  @Test(arguments: 1...16 as ClosedRange<UInt64>)
  func recordsEqualThePlainOnes(seed: UInt64) throws {
    let packets = Self.randomPackets(seed: seed)
    let flows = Dictionary(grouping: packets, by: \.port)
    var configuration = FlowConfiguration()
    configuration.flows = 64
    // No flow ends before its last packet.
    configuration.inactiveTimeout = 1_000_000_000_000_000
    configuration.activeTimeout = 1_000_000_000_000_000
    for pair in Self.pairs {
      let records = try Capture(frames: packets.map(\.frame))
        .run(plugins: [pair.plugin], configuration: configuration).records
      #expect(records.count == flows.count)
      for record in records {
        guard case .number(let port)? = record["iana:sourceTransportPort"],
          let flow = flows[UInt16(port)]
        else {
          Issue.record("a record of no flow")
          continue
        }
        let plain = pair.plain(flow)
        #expect((record[pair.element] != nil) == (plain != nil), "\(pair.plugin) \(port)")
        compare(plain, record, "\(pair.plugin) \(port)")
      }
    }
  }
}
