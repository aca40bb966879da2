// A table keeps its flows while it has room, whatever their keys; what leaves at the end says how it ended, in order; and
// jumps of time cost nothing.
import Glibc
import TestSupport
import Testing

@testable import FlowCore

@Suite struct FullTableTests {
  private static let second: UInt64 = 1_000_000_000
  private static let start: UInt64 = 1_700_000_000 * second

  /// What the keys of a run have in common.
  enum Keys: CaseIterable {
    case random, destinations, sourcePorts, version6

    func key(_ number: Int, _ random: inout SeededGenerator) -> ReferenceKey {
      var key = ReferenceKey(
        protocolNumber: 17, source: [10, 0, 0, 1], destination: [10, 0, 0, 2], sourcePort: 9,
        destinationPort: 53)
      func bytes(_ number: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
      }
      switch self {
      case .random:
        key.source = bytes(Int.random(in: 0..<1 << 32, using: &random))
        key.destination = bytes(Int.random(in: 0..<1 << 32, using: &random))
        key.sourcePort = UInt16.random(in: 0...(.max), using: &random)
      case .destinations: key.destination = bytes(0x0B00_0000 + number)
      case .sourcePorts:
        key.sourcePort = UInt16(truncatingIfNeeded: number)
        key.source = bytes(0x0B00_0000 + number >> 16)
      case .version6:
        key.isVersion6 = true
        // Equal in the last words, which is all that a record's key holds.
        key.source = [0x20, 1, 0, 0] + bytes(number) + [UInt8](repeating: 0, count: 8)
        key.destination = [0x20, 1] + [UInt8](repeating: 0, count: 13) + [1]
      }
      return key
    }
  }

  private static func frame(_ key: ReferenceKey, time: UInt64, flags: UInt8 = 0) -> CapturedFrame {
    var packet = ReferencePacket(key: key)
    packet.flags = flags
    let transport = FrameMaker.transport(packet, options: 0, payload: 0)
    return FrameMaker.frame(packet, nil, transport.bytes, nil, time: time).frame
  }

  /// As many flows as `--flows` says, two packets each: one record for each flow, none of reason 5. By Poisson's
  /// distribution two of 8192 buckets have more than eight of the flows.
  @Test(arguments: Keys.allCases, [1, 2])
  func noEvictionWhileThereIsRoom(keys: Keys, seed: UInt64) throws {
    let flows = 16384
    var random = SeededGenerator(seed: seed)
    var shape = RunShape()
    shape.configuration.flows = flows
    shape.configuration.seed = seed
    let all = (0..<flows).map { keys.key($0, &random) }
    let frames = (all + all.map(\.reversed)).map { Self.frame($0, time: Self.start) }
    let result = try runEngine(frames, shape)
    #expect(result.counters.ended[5] == 0)
    #expect(result.counters.tableFull == 0)
    #expect(result.records.count == flows)
    let isWhole = result.records.allSatisfy { $0.packets == [1, 1] }
    #expect(isWhole)
  }

  /// Keys that all belong into one bucket of a table for 1024 flows, by the seed that captures have.
  private static func aimed(_ count: Int) -> [ReferenceKey] {
    let hashing = FlowHash(seed: 0)
    var keys: [ReferenceKey] = []
    var number: UInt32 = 0
    while keys.count < count {
      number += 1
      let key = Key(
        addresses: 0x0A00_0001_0000_0000 | UInt64(number), sourcePort: 9, destinationPort: 53,
        protocolNumber: 17, vlan: 0, isVersion6: false)
      // 512 buckets, by the hash's upper half.
      guard hashing.hash(key) >> 55 == 5 else { continue }
      keys.append(
        ReferenceKey(
          protocolNumber: 17, source: [10, 0, 0, 1],
          destination: [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }, sourcePort: 9,
          destinationPort: 53))
    }
    return keys
  }

  /// Flows of one bucket, of which all but eight are guests elsewhere: found again, timed out, and made again, for many
  /// rounds. If a bucket forgot a guest, its flow would have two records; if it counted one too many, in the end no more
  /// would be let in.
  @Test func guestsComeAndGo() throws {
    var shape = RunShape()
    shape.configuration.flows = 1024
    var random = SeededGenerator(seed: 11)
    let keys = Self.aimed(200)
    var frames: [CapturedFrame] = []
    var expected = 0
    for round in 0..<40 {
      let time = Self.start + UInt64(round) * 40 * Self.second
      let chosen = keys.shuffled(using: &random).prefix(Int.random(in: 1...200, using: &random))
      let answers = chosen.shuffled(using: &random).map(\.reversed)
      frames += (Array(chosen) + answers).map { Self.frame($0, time: time) }
      expected += chosen.count
    }
    let result = try runEngine(frames, shape)
    #expect(result.counters.ended[5] == 0)
    #expect(result.records.count == expected)
    let isWhole = result.records.allSatisfy { $0.packets == [1, 1] }
    #expect(isWhole)
  }

  /// More flows of one bucket than it may have elsewhere, as only one who knows the seed can send: some are evicted, and no
  /// packet is lost.
  @Test func anAimedFloodLosesNothing() throws {
    var shape = RunShape()
    shape.configuration.flows = 1024
    let keys = Self.aimed(300)
    let frames = (keys + keys + keys).map { Self.frame($0, time: Self.start) }
    let result = try runEngine(frames, shape)
    #expect(result.records.reduce(0) { $0 + $1.packets[0] } == 900)
    #expect(result.counters.ended[5] > 0)
    #expect(result.counters.tableFull == 0)
    #expect(result.counters.parserFaults[0] == 0)
  }

  /// At the end of a capture: in order of the start, closed flows with reason 3, the others with 4.
  @Test func theEndIsInOrderAndSaysWhatWasClosed() throws {
    var shape = RunShape()
    shape.endsInOrder = true
    var random = SeededGenerator(seed: 5)
    var frames: [CapturedFrame] = []
    for number in 0..<3000 {
      var key = Keys.random.key(number, &random)
      key.protocolNumber = 6
      let flags: UInt8 = [0x02, 0x11, 0x14][number % 3]
      frames.append(Self.frame(key, time: Self.start + UInt64(number / 2) * 1000, flags: flags))
    }
    let result = try runEngine(frames, shape)
    #expect(result.records.count == 3000)
    #expect(result.records.map(\.first) == frames.map(\.time))
    let reasons = result.records.map { Int($0.reason) }
    let expected = result.records.map { $0.flags[0] & 0x05 != 0 ? 3 : 4 }
    #expect(reasons == expected)
    #expect(reasons.count { $0 == 3 } == 2000)
    // The end that is not in order says the same.
    shape.endsInOrder = false
    let other = try runEngine(frames, shape)
    #expect(Set(other.records) == Set(result.records))
  }

  /// A large, nearly empty table is not read as a whole for each packet: a million buckets 400 times take far longer than
  /// the limit, the flows that there are a small part of it.
  @Test func jumpsOfTimeCostNothing() throws {
    var shape = RunShape()
    shape.configuration.flows = 2_000_000
    shape.burst = { 1 }
    var random = SeededGenerator(seed: 9)
    let keys = (0..<400).map { Keys.random.key($0, &random) }
    /// CPU time of this thread, whatever else the machine does.
    func used() -> Duration {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
    func run(_ step: UInt64) throws -> (Duration, RunResult) {
      let frames = keys.enumerated().map { Self.frame($1, time: Self.start + UInt64($0) * step) }
      let start = used()
      let result = try runEngine(frames, shape)
      return (used() - start, result)
    }
    let jumping = try run(3000 * Self.second)
    #expect(jumping.0 < .seconds(5))
    // Each but the last ends before the next begins.
    #expect(jumping.1.counters.ended[1] == 399)
    #expect(jumping.1.records.map(\.first) == jumping.1.records.map(\.first).sorted())
  }

  // MARK: Limits

  /// A machine without memory.
  private struct NoMemory: FlowMemory {
    func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? { nil }
    func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {}
  }

  /// 256 GiB and more, and no table of so many flows: an error, not a trap.
  @Test func whatIsTooMuchIsRefused() {
    #expect(throws: FlowSetupError.self) { _ = try Slab(bytes: 268_435_456 * 1024, memory: NoMemory()) }
    #expect(throws: FlowSetupError.self) { _ = try Slab(bytes: .max, memory: NoMemory()) }
    for limit in [268_435_456, 1 << 40, Int.max, 0] {
      #expect(throws: FlowSetupError.self) {
        _ = try FlowTable(limit: limit, spare: 1, stride: FlowRecord.size, memory: NoMemory())
      }
    }
  }
}
