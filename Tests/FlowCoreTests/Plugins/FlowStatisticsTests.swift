// flowstats by values calculated by hand, and against its definitions on whole arrays in two passes.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct FlowStatisticsTests {
  static let start: UInt64 = 1_700_000_000_000_000_000

  /// A packet with 40 bytes of headers and `length` of payload.
  private func packet(
    _ microseconds: Int, _ length: Int, forward: Bool = true, flags: UInt8 = 0x10, proto: UInt8 = 6
  ) -> TestPacket {
    TestPacket(
      time: UInt64(Int(Self.start) + microseconds * 1000), isForward: forward,
      payload: [UInt8](repeating: 0, count: length), protocolNumber: proto, flags: flags)
  }

  private func isClose(_ record: Record, _ name: String, _ value: Double) -> Bool {
    let found = record.number(name)
    let isSame = abs(found - value) <= max(1e-3, abs(value) * 1e-6)
    if !isSame { Issue.record("\(name): \(found), not \(value)") }
    return isSame
  }

  // MARK: By hand

  @Test func sizesAndGapsOfEachDirectionAndOfBoth() throws {
    let packets = [
      packet(0, 0), packet(1000, 100, forward: false), packet(3000, 20), packet(6000, 60),
      packet(7500, 0, forward: false),
    ]
    let record = try #require(try Capture.run(packets, "flowstats").first)
    // 40, 60, 100: (26.67² + 6.67² + 33.33²) / 2 = 933.33.
    #expect(isClose(record, "iana:minimumIpTotalLength", 40))
    #expect(isClose(record, "martlet:meanIpTotalLength", 66.66667))
    #expect(isClose(record, "martlet:deviationIpTotalLength", 30.55050))
    #expect(isClose(record, "iana:maximumIpTotalLength", 100))
    // 140, 40: 2 · 50² / 1 = 5000.
    #expect(isClose(record, "iana@reverse:minimumIpTotalLength", 40))
    #expect(isClose(record, "martlet@reverse:meanIpTotalLength", 90))
    #expect(isClose(record, "martlet@reverse:deviationIpTotalLength", 70.71068))
    #expect(isClose(record, "iana@reverse:maximumIpTotalLength", 140))
    // 40, 140, 60, 100, 40: (1296 + 4096 + 256 + 576 + 1296) / 4 = 1880.
    #expect(isClose(record, "martlet:biflowMinimumIpTotalLength", 40))
    #expect(isClose(record, "martlet:biflowMeanIpTotalLength", 76))
    #expect(isClose(record, "martlet:biflowDeviationIpTotalLength", 43.35897))
    #expect(isClose(record, "martlet:biflowMaximumIpTotalLength", 140))
    // 3000, 3000.
    #expect(isClose(record, "martlet:minimumPacketGap", 3000))
    #expect(isClose(record, "martlet:meanPacketGap", 3000))
    #expect(isClose(record, "martlet:deviationPacketGap", 0))
    #expect(isClose(record, "martlet:maximumPacketGap", 3000))
    // 6500 alone.
    #expect(isClose(record, "martlet@reverse:minimumPacketGap", 6500))
    #expect(isClose(record, "martlet@reverse:meanPacketGap", 6500))
    #expect(isClose(record, "martlet@reverse:deviationPacketGap", 0))
    #expect(isClose(record, "martlet@reverse:maximumPacketGap", 6500))
    // 1000, 2000, 3000, 1500: (875² + 125² + 1125² + 375²) / 3 = 729166.67.
    #expect(isClose(record, "martlet:biflowMinimumPacketGap", 1000))
    #expect(isClose(record, "martlet:biflowMeanPacketGap", 1875))
    #expect(isClose(record, "martlet:biflowDeviationPacketGap", 853.91256))
    #expect(isClose(record, "martlet:biflowMaximumPacketGap", 3000))
  }

  @Test func eachFlagIsCountedInEachDirection() throws {
    // FIN SYN RST PSH ACK URG ECE CWR.
    let packets: [(Bool, UInt8)] = [
      (true, 0x02), (false, 0x12), (true, 0x10), (true, 0x18), (false, 0xFF), (true, 0xC1), (true, 0x20),
      (false, 0x00),
    ]
    let record = try #require(
      try Capture.run(
        packets.enumerated().map { packet($0 * 10, 1, forward: $1.0, flags: $1.1) }, "flowstats"
      ).first)
    let expected: [(String, String, Double, Double)] = [
      ("iana", "Fin", 1, 1), ("iana", "Syn", 1, 2), ("iana", "Rst", 0, 1), ("iana", "Psh", 1, 1),
      ("iana", "Ack", 2, 2), ("iana", "Urg", 1, 1), ("martlet", "Ece", 1, 1), ("martlet", "Cwr", 1, 1),
    ]
    for (owner, flag, forward, reverse) in expected {
      #expect(record.number("\(owner):tcp\(flag)TotalCount") == forward, "\(flag)")
      #expect(record.number("\(owner)@reverse:tcp\(flag)TotalCount") == reverse, "\(flag)")
      #expect(record.number("martlet:biflowTcp\(flag)TotalCount") == forward + reverse, "\(flag)")
    }
  }

  @Test func onePacketHasASizeAndNoGap() throws {
    let record = try #require(try Capture.run([packet(0, 4, proto: 17)], "flowstats").first)
    #expect(record.number("iana:minimumIpTotalLength") == 32)
    #expect(record.number("martlet:biflowMaximumIpTotalLength") == 32)
    for name in [
      "martlet:deviationIpTotalLength", "martlet:meanPacketGap", "martlet:biflowMeanPacketGap",
      "iana@reverse:minimumIpTotalLength", "martlet@reverse:meanIpTotalLength", "iana:tcpSynTotalCount",
    ] { #expect(record.number(name) == 0, "\(name)") }
  }

  /// A gap is the time since the latest packet so far: where a capture goes back it is 0, and it does not count twice.
  @Test func timeThatGoesBackIsNoGap() throws {
    let packets = [packet(0, 0), packet(5000, 0), packet(3000, 0), packet(6000, 0)]
    let record = try #require(try Capture.run(packets, "flowstats").first)
    // 5000, 0, 1000.
    #expect(record.number("martlet:minimumPacketGap") == 0)
    #expect(record.number("martlet:meanPacketGap") == 2000)
    #expect(isClose(record, "martlet:deviationPacketGap", 2645.7513))
    #expect(record.number("martlet:maximumPacketGap") == 5000)
  }

  /// 10 million packets of 1500 bytes and one of 1499: what sums in single precision lose.
  @Test func aLongFlowsDeviationIsExact() {
    // The sample's variance of n equal values and one that is 1 less is 1 / (n + 1).
    let deviation = SampleDeviation.of(
      sum: 10_000_000 * 1500 + 1499, squares: 10_000_000 * 1500 * 1500 + 1499 * 1499, 10_000_001)
    #expect(abs(Double(deviation) - 0.000316227750) < 1e-10)
  }

  @Test func sumsStopAtTheirMaximum() {
    #expect(SampleDeviation.of(sum: .max, squares: .max, 3) == 0)
    var gaps = FlowStatistics.Gaps()
    for hour in 1...20 {
      gaps.add(from: 0, to: UInt64(hour) * 3_600_000_000)
    }
    #expect(gaps.longest == .max && gaps.shortest == 3_600_000_000 && gaps.squares == .max)
  }

  // MARK: Two passes

  @Test func randomFlowsAsTheirDefinitionsSay() throws {
    var generator = SeededGenerator(seed: 10)
    for _ in 0..<40 {
      var time = 0
      let packets = (0..<Int.random(in: 1...200, using: &generator)).map { _ in
        time += Int.random(in: 0...(generator.oneIn(8) ? 900_000 : 900), using: &generator)
        return packet(
          time, Int.random(in: 0...1460, using: &generator), forward: !generator.oneIn(3), flags: 0x10)
      }
      let record = try #require(try Capture.run(packets, "flowstats").first)
      // The first packet's sender is the source.
      let isForward = packets[0].isForward
      let sides: [(String, String, [TestPacket])] = [
        ("martlet:", "iana:", packets.filter { $0.isForward == isForward }),
        ("martlet@reverse:", "iana@reverse:", packets.filter { $0.isForward != isForward }),
        ("martlet:biflow", "martlet:biflow", packets),
      ]
      for (own, registered, side) in sides {
        func name(_ text: String) -> String {
          own.hasSuffix("biflow") ? own + text.prefix(1).uppercased() + text.dropFirst() : own + text
        }
        func first(_ text: String) -> String {
          own.hasSuffix("biflow") ? name(text) : registered + text
        }
        let sizes = side.map { Double($0.payload.count + 40) }
        let times = side.map { Double($0.time / 1000) }
        let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(isClose(record, first("minimumIpTotalLength"), sizes.min() ?? 0))
        #expect(isClose(record, first("maximumIpTotalLength"), sizes.max() ?? 0))
        #expect(isClose(record, name("meanIpTotalLength"), mean(sizes)))
        #expect(isClose(record, name("deviationIpTotalLength"), deviation(sizes)))
        #expect(isClose(record, name("minimumPacketGap"), gaps.min() ?? 0))
        #expect(isClose(record, name("maximumPacketGap"), gaps.max() ?? 0))
        #expect(isClose(record, name("meanPacketGap"), mean(gaps)))
        #expect(isClose(record, name("deviationPacketGap"), deviation(gaps)))
      }
    }
  }

  private func mean(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
  }

  private func deviation(_ values: [Double]) -> Double {
    guard values.count > 1 else { return 0 }
    let center = mean(values)
    return (values.reduce(0) { $0 + ($1 - center) * ($1 - center) } / Double(values.count - 1)).squareRoot()
  }
}
