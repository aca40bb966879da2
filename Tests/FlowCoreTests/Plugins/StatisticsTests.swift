// phists, bstats and nettisa by values calculated by hand.
import Testing

@testable import FlowCore

@Suite struct StatisticsTests {
  static let start: UInt64 = 1_700_000_000_000_000_000

  private func packet(_ microseconds: Int, _ length: Int, forward: Bool = true, flags: UInt8 = 0x10)
    -> TestPacket
  {
    TestPacket(
      time: UInt64(Int(Self.start) + microseconds * 1000), isForward: forward,
      payload: [UInt8](repeating: 0, count: length), flags: flags)
  }

  // MARK: phists

  @Test func histogramsCountByDirection() throws {
    let packets = [
      packet(0, 10), packet(5_000, 16), packet(6_000, 0), packet(25_000, 1024),
      packet(30_000, 1023, forward: false), packet(20_000, 63, forward: false),
      packet(1_044_000, 512, forward: false),
    ]
    let record = try #require(try Capture.run(packets, "phists").first)
    #expect(record["cesnet:phistSrcSizes"] == .numbers([1, 1, 0, 0, 0, 0, 0, 1]))
    #expect(record["cesnet:phistDstSizes"] == .numbers([0, 0, 1, 0, 0, 0, 2, 0]))
    // 5 ms and 20 ms; back by 10 ms, which counts as 0, and 1024 ms.
    #expect(record["cesnet:phistSrcInterPacketTime"] == .numbers([1, 1, 0, 0, 0, 0, 0, 0]))
    #expect(record["cesnet:phistDstInterPacketTime"] == .numbers([1, 0, 0, 0, 0, 0, 0, 1]))

    let all = try #require(try Capture.run(packets, "phists:includezeroes").first)
    #expect(all["cesnet:phistSrcSizes"] == .numbers([2, 1, 0, 0, 0, 0, 0, 1]))
    // 5, 1 and 19 ms.
    #expect(all["cesnet:phistSrcInterPacketTime"] == .numbers([2, 1, 0, 0, 0, 0, 0, 0]))
  }

  @Test func gapsAreDifferencesOfTruncatedMilliseconds() throws {
    // 0.999 ms and 16.001 ms are 0 and 16 ms.
    let record = try #require(try Capture.run([packet(999, 1), packet(16_001, 1)], "phists").first)
    #expect(record["cesnet:phistSrcInterPacketTime"] == .numbers([0, 1, 0, 0, 0, 0, 0, 0]))
  }

  @Test func histogramBinsBeginAtPowersOfTwoAndCountersStop() {
    var histogram = PayloadHistograms.Histogram()
    let counted: [(value: UInt32, bin: Int)] = [
      (0, 0), (15, 0), (16, 1), (31, 1), (32, 2), (63, 2), (64, 3), (127, 3), (128, 4), (255, 4), (256, 5),
      (511, 5), (512, 6), (1023, 6), (1024, 7), (65535, 7), (.max, 7),
    ]
    for (value, bin) in counted {
      let before = histogram.bins[bin]
      histogram.count(value)
      #expect(histogram.bins[bin] == before + 1, "\(value)")
    }
    histogram.bins[3] = .max
    histogram.count(64)
    #expect(histogram.bins[3] == .max)
  }

  @Test func aLoneSYNHasNoHistograms() throws {
    #expect(try Capture.run([packet(0, 5, flags: 0x02)], "phists")[0]["cesnet:phistSrcSizes"] == nil)
    #expect(try Capture.run([packet(0, 5)], "phists")[0]["cesnet:phistSrcSizes"] != nil)
  }

  // MARK: bstats

  /// 75 minutes are more than 31 bits of microseconds.
  @Test func burstsMayBeLong() throws {
    var configuration = FlowConfiguration()
    configuration.activeTimeout = 7200 * 1_000_000_000
    let packets = (0...5000).map { packet($0 * 900_000, 1) }
    let record = try #require(try Capture.run(packets, "bstats", configuration: configuration).first)
    #expect(record["cesnet:burstSrcPackets"] == .numbers([5001]))
    #expect(record["cesnet:burstSrcTimeStart"] == .times([Self.start]))
    #expect(record["cesnet:burstSrcTimeStop"] == .times([Self.start + 4_500_000_000_000]))
  }

  @Test func burstsEndAfterASecond() throws {
    let packets = [
      packet(0, 1), packet(999_999, 2), packet(1_500_000, 0), packet(1_999_998, 4),
      // A second later: another run, but of two packets only.
      packet(2_999_998, 8), packet(3_000_000, 16),
      packet(8_000_500, 32), packet(8_000_400, 64), packet(8_000_600, 128), packet(8_900_900, 256),
      packet(8_901_000, 3, forward: false), packet(8_902_000, 3, forward: false),
    ]
    let record = try #require(try Capture.run(packets, "bstats").first)
    #expect(record["cesnet:burstSrcPackets"] == .numbers([3, 4]))
    #expect(record["cesnet:burstSrcBytes"] == .numbers([7, 480]))
    let microseconds: UInt64 = 1000
    #expect(
      record["cesnet:burstSrcTimeStart"] == .times([Self.start, Self.start + 8_000_500 * microseconds]))
    #expect(
      record["cesnet:burstSrcTimeStop"]
        == .times([Self.start + 1_999_998 * microseconds, Self.start + 8_900_900 * microseconds]))
    #expect(record["cesnet:burstDstPackets"] == .numbers([]))
    #expect(record["cesnet:burstDstTimeStop"] == .times([]))
  }

  /// Seconds since 1970 at which counters of 32 bits (2106), of 52 bits of microseconds (2112) and of a signed 63 bits of
  /// nanoseconds (2262) end, and a second of the year 2500.
  @Test(arguments: [4_294_967_296, 4_503_599_627, 4_600_000_000, 9_223_372_036, 16_725_225_600] as [UInt64])
  func burstsHaveTimesInEveryCentury(_ second: UInt64) throws {
    let begin = second * 1_000_000_000 + 999_999_000
    let packets = [0, 400_000, 700_001, 5_000_000, 5_000_001, 5_000_003].map { (microseconds: UInt64) in
      TestPacket(time: begin + microseconds * 1000, payload: [1])
    }
    let record = try #require(try Capture.run(packets, "bstats").first)
    #expect(record["cesnet:burstSrcPackets"] == .numbers([3, 3]))
    #expect(record["cesnet:burstSrcTimeStart"] == .times([begin, begin + 5_000_000_000]))
    #expect(record["cesnet:burstSrcTimeStop"] == .times([begin + 700_001_000, begin + 5_000_003_000]))
  }

  /// All that nanoseconds in 64 bits hold, and 12 days from it: 2^40 microseconds.
  @Test func aBurstHoldsEveryTime() {
    let most: Int64 = 1 << 40 - 1
    let cases: [(UInt64, Int64)] = [
      (0, 0), (1_000, -1), ((1 << 52) * 1000, most), (.max / 1000 * 1000, -most - 1),
    ]
    for (start, duration) in cases {
      var burst = BurstStatistics.Burst(start: start)
      burst.duration = duration
      #expect(burst.start == start && burst.duration == duration)
      burst.duration = 0
      #expect(burst.start == start && burst.duration == 0)
    }
    var burst = BurstStatistics.Burst(start: 999)
    burst.duration = .max
    #expect(burst.start == 0 && burst.duration == most)
    burst.duration = .min
    #expect(burst.duration == -most - 1)
  }

  @Test func noMoreThanFifteenBurstsAreKept() throws {
    let packets = (0..<20).flatMap { burst in
      (0..<3).flatMap {
        [packet(burst * 2_000_000 + $0, burst + 1), packet(burst * 2_000_000 + $0, 100, forward: false)]
      }
    }
    let record = try #require(try Capture.run(packets, "bstats").first)
    #expect(record["cesnet:burstSrcBytes"] == .numbers((1...15).map { 3 * $0 }))
    #expect(record["cesnet:burstDstBytes"] == .numbers([Int](repeating: 300, count: 15)))
  }

  @Test func threePacketsAreTooFewForBursts() throws {
    #expect(
      try Capture.run((0..<3).map { packet($0, 1) }, "bstats")[0]["cesnet:burstSrcPackets"] == nil)
  }

  // MARK: nettisa

  private func expect(_ record: Record, _ values: [String: Double]) {
    for (name, expected) in values {
      guard case .number(let value)? = record["cesnet:nts\(name)"] else {
        Issue.record("no \(name)")
        continue
      }
      #expect(abs(value - expected) <= 1e-6 * max(1, abs(expected)), "\(name)")
    }
  }

  @Test func timeSeriesOfThreePackets() throws {
    // Lengths 0, 10, 20; gaps 0, 100, 300 µs.
    let record = try #require(
      try Capture.run([packet(0, 0), packet(100, 10, forward: false), packet(400, 20)], "nettisa").first)
    expect(
      record,
      [
        "MeanPacketPayload": 10, "MinPacketPayload": 0, "MaxPacketPayload": 20,
        // √((100 + 0 + 100) / 3)
        "StdevPacketPayload": 8.164_965_809,
        // (10⁴ + 0 + 10⁴) / 3 / (200 / 3)²
        "KurtosisPacketPayload": 1.5,
        // √(500 / 3)
        "RootMeanSquarePacketPayload": 12.909_944_487,
        // (|0 - 0| + |10 - 0| + |20 - 5|) / 3
        "AverageDispersionPacketPayload": 8.333_333_333,
        "MeanScaledTime": 166.666_666_667, "MeanDifftimes": 133.333_333_333, "MinDifftimes": 0,
        "MaxDifftimes": 300,
        // (|0 - 0| + |50 - 100| + |133.3 - 300|) / 2 / 300
        "TimeDistribution": 0.361_111_111,
        "SwitchingRatio": 1,
      ])
  }

  @Test func meanIsNotRoundedDown() throws {
    // Lengths 1 and 2: ipfixprobe's mean in the deviation is 1, and √(5/2 - 1) is 1.22.
    let record = try #require(try Capture.run([packet(0, 1), packet(10, 2)], "nettisa").first)
    expect(record, ["MeanPacketPayload": 1.5, "StdevPacketPayload": 0.5, "KurtosisPacketPayload": 1])
  }

  @Test func nothingIsDividedByZero() throws {
    let record = try #require(try Capture.run([packet(0, 100), packet(0, 100)], "nettisa").first)
    expect(
      record,
      [
        "MeanPacketPayload": 100, "StdevPacketPayload": 0, "KurtosisPacketPayload": 0,
        "RootMeanSquarePacketPayload": 100, "AverageDispersionPacketPayload": 50, "MeanScaledTime": 0,
        "MeanDifftimes": 0, "MaxDifftimes": 0, "TimeDistribution": 0, "SwitchingRatio": 0.5,
      ])
  }

  @Test func timeThatGoesBackwardsIsAGapOfZero() throws {
    let record = try #require(
      try Capture.run([packet(1_000_000, 1), packet(0, 2), packet(500_000, 3)], "nettisa").first)
    expect(
      record,
      [
        // 0, -1 s, -0.5 s since the first; gaps 0, 0, 0.5 s.
        "MeanScaledTime": -500_000, "MeanDifftimes": 166_666.666_667, "MinDifftimes": 0,
        "MaxDifftimes": 500_000,
        // (0 + 0 + 333 333.3) / 2 / 500 000
        "TimeDistribution": 0.333_333_333,
      ])
  }

  @Test func longFlowsLoseNoPrecision() throws {
    let packets = (0..<20_000).map { packet($0, $0 % 2 == 0 ? 1459 : 1460) }
    let record = try #require(try Capture.run(packets, "nettisa").first)
    expect(
      record, ["MeanPacketPayload": 1459.5, "StdevPacketPayload": 0.5, "KurtosisPacketPayload": 1])
  }

  @Test func onePacketIsNoSeries() throws {
    #expect(try Capture.run([packet(0, 100)], "nettisa")[0]["cesnet:ntsMeanPacketPayload"] == nil)
  }
}
