// The burst engine and the plain reference give the same records, whatever comes in and however it is cut into bursts.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct EnginePropertyTests {
  /// Runs `frames` through the reference at the times that the engine was told.
  private func reference(_ frames: [TestFrame], _ times: [(time: UInt64, isNew: Bool)]) -> ReferenceEngine {
    var reference = ReferenceEngine()
    for (frame, time) in zip(frames, times) {
      reference.process(frame.packet, time: time.time, movesClock: time.isNew)
    }
    return reference
  }

  @Test(arguments: Seeds.list(80))
  func randomTrafficGivesTheReferencesRecords(seed: UInt64) throws {
    var generator = TrafficGenerator(seed: seed)
    let frames = generator.frames(1500)
    var shape = RunShape()
    shape.plugins = seed % 2 == 0 ? ["pstats"] : []
    shape.sharesTime = seed % 5 == 0
    var random = SeededGenerator(seed: ~seed)
    shape.burst = { Int.random(in: 1...32, using: &random) }
    let result = try runEngine(frames.map(\.frame), shape)
    let found = differences(
      result.records, reference(frames, result.times), withSequence: !shape.plugins.isEmpty)
    #expect(found == [], "MARTLET_SEED=\(seed) repeats this; mixture: \(generator.mixture)")
    #expect(result.counters.tableFull == 0)
  }

  @Test(arguments: 1...32)
  func everyBurstSizeGivesTheSame(size: Int) throws {
    for seed in UInt64(1000)...1003 {
      var generator = TrafficGenerator(seed: seed)
      let frames = generator.frames(600)
      var shape = RunShape()
      shape.plugins = ["pstats"]
      shape.burst = { size }
      let result = try runEngine(frames.map(\.frame), shape)
      let found = differences(result.records, reference(frames, result.times), withSequence: true)
      #expect(found == [], "seed \(seed)")
    }
  }

  /// The generator is worth something only if what it is for happens.
  @Test func theGeneratorReachesEveryEnd() {
    var restarts: [UInt8: Int] = [:]
    for seed in UInt64(1)...40 {
      var generator = TrafficGenerator(seed: seed)
      let frames = generator.frames(1500)
      restarts.merge(reference(frames, frames.map { ($0.frame.time, true) }).restarts, uniquingKeysWith: +)
    }
    for reason in UInt8(1)...3 { #expect(restarts[reason, default: 0] > 10, "\(restarts)") }
  }

  /// With too small a table records are cut in pieces, but no packet, octet or flag is lost.
  @Test(arguments: Seeds.list(10))
  func aFullTableLosesNothing(seed: UInt64) throws {
    var generator = TrafficGenerator(seed: seed)
    let frames = generator.frames(4000)
    var shape = RunShape()
    shape.configuration.flows = 16
    shape.configuration.recordsUnderWay = 0
    let result = try runEngine(frames.map(\.frame), shape)
    let large = try runEngine(frames.map(\.frame), RunShape())
    func sums(_ records: [ReferenceRecord]) -> [Set<ReferenceKey>: [UInt64]] {
      var sums: [Set<ReferenceKey>: [UInt64]] = [:]
      for record in records {
        var sum = sums[[record.key, record.key.reversed], default: [0, 0, 0]]
        sum[0] += record.packets[0] + record.packets[1]
        sum[1] += record.octets[0] + record.octets[1]
        sum[2] |= UInt64(record.flags[0] | record.flags[1])
        sums[[record.key, record.key.reversed]] = sum
      }
      return sums
    }
    #expect(result.counters.tableFull == 0)
    #expect(sums(result.records) == sums(large.records), "MARTLET_SEED=\(seed)")
  }
}
