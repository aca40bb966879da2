// The flow contract: what is one flow, when it ends and with which reason, and that time may do what it likes.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

private let second: UInt64 = 1_000_000_000
private let millisecond: UInt64 = 1_000_000
private let start: UInt64 = 1_700_000_000 * second

/// TCP's flags octet.
private enum Flag {
  static let fin: UInt8 = 0x01
  static let syn: UInt8 = 0x02
  static let reset: UInt8 = 0x04
  static let acknowledge: UInt8 = 0x10
}

/// What the contract says of a record.
private struct Summary: Hashable, CustomStringConvertible {
  var reason: Int
  var forward: Int
  var reverse: Int
  /// Nanoseconds, to the microsecond.
  var first: UInt64
  var last: UInt64

  /// Times in nanoseconds since `start`.
  init(_ reason: FlowEndReason, _ forward: Int, _ reverse: Int, from first: UInt64, to last: UInt64) {
    self.init(Int(reason.rawValue), forward, reverse, start + first, start + last)
  }

  init(_ reason: Int, _ forward: Int, _ reverse: Int, _ first: UInt64, _ last: UInt64) {
    (self.reason, self.forward, self.reverse, self.first, self.last) = (reason, forward, reverse, first, last)
  }

  var description: String {
    func seconds(_ time: UInt64) -> Double { Double(Int64(bitPattern: time &- start)) / 1e9 }
    return "reason \(reason), \(forward)+\(reverse) packets, \(seconds(first))…\(seconds(last)) s"
  }
}

extension Summary {
  fileprivate init(_ record: UnsafePointer<FlowRecord>) {
    let record = record.pointee
    self.init(
      Int(record.endReason.rawValue), Int(record.forwardPackets), Int(record.reversePackets), record.first,
      record.last)
  }
}

/// A worker that a test hands packets to one by one.
private final class Bench {
  let worker: FlowWorker
  /// The records that ended, oldest first, with the bytes of their heads.
  private(set) var records: [FlowRecord] = []

  init(_ configuration: FlowConfiguration = .small) throws {
    worker = try FlowWorker(configuration: configuration, schema: BuiltInSchema(plugins: []), number: 0)
  }

  var summaries: [Summary] {
    records.map { record in withUnsafePointer(to: record) { Summary($0) } }
  }

  /// Hands over one frame as a burst of its own.
  func receive(_ frame: [UInt8], at time: UInt64) {
    receive([CapturedFrame(bytes: frame, wire: frame.count, time: time)])
  }

  /// Hands over a burst.
  func receive(_ burst: some Collection<CapturedFrame>) {
    var bytes: [UInt8] = []
    for frame in burst { bytes += frame.bytes }
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      let frames = burst.map { frame in
        defer { offset += frame.bytes.count }
        return Frame(
          bytes: bytes.baseAddress! + offset, captured: UInt32(frame.bytes.count), wire: UInt32(frame.wire))
      }
      worker.process(frames, count: frames.count, times: burst.map(\.time))
    }
    collect()
  }

  func idle(until time: UInt64) {
    worker.idle(now: time)
    collect()
  }

  func flush() {
    while worker.flush() { collect() }
  }

  private func collect() {
    for index in 0..<worker.finished {
      records.append(worker.outbox[index]!.assumingMemoryBound(to: FlowRecord.self).pointee)
    }
    worker.recycle(worker.outbox, count: worker.finished)
  }
}

@Suite struct FlowContractTests {
  private static func udp(
    _ sourcePort: UInt16 = 1024, _ destinationPort: UInt16 = 53, back: Bool = false
  ) -> [UInt8] {
    Build.ethernet(
      0x0800,
      back
        ? Build.ipv4(17, Build.udp(destinationPort, sourcePort, [0]), from: Build.server4, to: Build.client4)
        : Build.ipv4(17, Build.udp(sourcePort, destinationPort, [0])))
  }

  private static func tcp(_ flags: UInt8, back: Bool = false) -> [UInt8] {
    Build.ethernet(
      0x0800,
      back
        ? Build.ipv4(6, Build.tcp(80, 1024, flags: flags), from: Build.server4, to: Build.client4)
        : Build.ipv4(6, Build.tcp(1024, 80, flags: flags)))
  }

  /// The records of frames received at nanoseconds after `start`, ordered by their end in the table.
  private func run(_ frames: [(at: UInt64, frame: [UInt8])]) throws -> [Summary] {
    let bench = try Bench()
    for (time, frame) in frames { bench.receive(frame, at: start + time) }
    bench.flush()
    return bench.summaries
  }

  // MARK: Timeouts

  @Test func inactiveTimeoutIsExact() throws {
    for gap in [29_999 * millisecond, 30 * second - 1] {
      #expect(
        try run([(0, Self.udp()), (gap, Self.udp(back: true))])
          == [Summary(.forced, 1, 1, from: 0, to: gap)])
    }
    for gap in [30 * second, 30 * second + 1, 31 * second, 4000 * second] {
      #expect(
        try run([(0, Self.udp()), (gap, Self.udp(back: true))]) == [
          Summary(.idleTimeout, 1, 0, from: 0, to: 0), Summary(.forced, 1, 0, from: gap, to: gap),
        ])
    }
  }

  @Test func inactiveTimeoutCountsFromTheLastPacket() throws {
    let frames = (0..<10).map { (at: UInt64($0) * 29 * second, frame: Self.udp(back: $0 % 2 == 1)) }
    #expect(try run(frames) == [Summary(.forced, 5, 5, from: 0, to: 261 * second)])
  }

  @Test func activeTimeoutIsExact() throws {
    let beat = (0..<30).map { (at: UInt64($0) * 10 * second, frame: Self.udp()) }
    for last in [299_999 * millisecond, 300 * second - 1] {
      #expect(try run(beat + [(last, Self.udp())]) == [Summary(.forced, 31, 0, from: 0, to: last)])
    }
    for last in [300 * second, 300 * second + 1, 310 * second] {
      #expect(
        try run(beat + [(last, Self.udp())]) == [
          Summary(.activeTimeout, 30, 0, from: 0, to: 290 * second),
          Summary(.forced, 1, 0, from: last, to: last),
        ])
    }
  }

  @Test func activeTimeoutHasNoRegardForTheEndOfConnections() throws {
    let beat = (0..<30).map { (at: UInt64($0) * 10 * second, frame: Self.tcp(Flag.fin)) }
    #expect(
      try run(beat + [(300 * second, Self.tcp(Flag.acknowledge))]).map(\.reason)
        == [Int(FlowEndReason.activeTimeout.rawValue), Int(FlowEndReason.forced.rawValue)])
  }

  @Test func timeoutsCanBeChosen() throws {
    var configuration = FlowConfiguration.small
    configuration.inactiveTimeout = 500 * millisecond
    configuration.activeTimeout = 2 * second
    let bench = try Bench(configuration)
    for time in [0, 499, 998, 1498, 1900, 2000, 2500] as [UInt64] {
      bench.receive(Self.udp(1), at: start + time * millisecond)
    }
    for time in stride(from: 3000, through: 5000, by: 400) as StrideThrough<UInt64> {
      bench.receive(Self.udp(2), at: start + time * millisecond)
    }
    bench.flush()
    #expect(
      bench.summaries == [
        Summary(.idleTimeout, 3, 0, from: 0, to: 998 * millisecond),
        Summary(.idleTimeout, 3, 0, from: 1498 * millisecond, to: 2000 * millisecond),
        Summary(.idleTimeout, 1, 0, from: 2500 * millisecond, to: 2500 * millisecond),
        Summary(.activeTimeout, 5, 0, from: 3000 * millisecond, to: 4600 * millisecond),
        Summary(.forced, 1, 0, from: 5000 * millisecond, to: 5000 * millisecond),
      ])
  }

  /// Without any packet of its own, a flow ends on time because others' packets, or the idle loop, move the clock.
  @Test(arguments: [true, false])
  func theSweepIsOnTime(isIdle: Bool) throws {
    for (frames, reason, deadline) in [
      ([Self.udp()], .idleTimeout, 30 * second), ([Self.tcp(Flag.fin)], .endOfFlow, 30 * second),
      ([Self.tcp(Flag.reset, back: true)], .endOfFlow, 30 * second),
      ((0..<30).map { _ in Self.udp() }, .activeTimeout, 300 * second),
    ] as [([[UInt8]], FlowEndReason, UInt64)] {
      var configuration = FlowConfiguration.small
      configuration.isOffline = !isIdle
      let bench = try Bench(configuration)
      for (number, frame) in frames.enumerated() {
        bench.receive(frame, at: start + UInt64(number) * 10 * second)
      }
      var time = UInt64(frames.count - 1) * 10 * second
      while bench.records.isEmpty, time < 400 * second {
        time += 5 * millisecond
        if isIdle {
          bench.idle(until: start + time)
        } else {
          bench.receive(Self.udp(9, 9), at: start + time)
        }
      }
      #expect(bench.summaries.first?.reason == Int(reason.rawValue))
      #expect(time >= deadline && time <= deadline + second, "\(Double(time) / 1e9)")
    }
  }

  /// The full-sized table, and a poll of the idle loop each millisecond.
  @Test func aLargeTableIsSweptOnTime() throws {
    var configuration = FlowConfiguration()
    configuration.isOffline = false
    let bench = try Bench(configuration)
    for port in 0..<2000 { bench.receive(Self.udp(UInt16(1 + port)), at: start) }
    for step in 1..<30_000 where step % 10 == 0 { bench.idle(until: start + UInt64(step) * millisecond) }
    #expect(bench.records.isEmpty)
    for step in 30_000...31_000 { bench.idle(until: start + UInt64(step) * millisecond) }
    #expect(bench.records.count == 2000)
    #expect(bench.summaries.allSatisfy { $0.reason == 1 })
  }

  // MARK: End reasons

  @Test func finishedConnectionsEndWithReason3() throws {
    for flags in [Flag.fin, Flag.reset, Flag.fin | Flag.acknowledge] {
      for back in [false, true] {
        let frames = [
          (UInt64(0), Self.tcp(Flag.syn)), (second, Self.tcp(flags, back: back)),
          (31 * second, Self.tcp(Flag.acknowledge)),
        ]
        #expect(
          try run(frames) == [
            Summary(.endOfFlow, back ? 1 : 2, back ? 1 : 0, from: 0, to: second),
            Summary(.forced, 1, 0, from: 31 * second, to: 31 * second),
          ])
      }
    }
  }

  /// Reason 4, but 3 where the flow was closed.
  @Test func theEndOfInputIsReason4() throws {
    #expect(try run([(0, Self.tcp(Flag.fin))]).map(\.reason) == [3])
    #expect(try run([(0, Self.tcp(Flag.syn)), (1, Self.tcp(Flag.reset, back: true))]).map(\.reason) == [3])
    #expect(try run([(0, Self.tcp(Flag.syn))]).map(\.reason) == [4])
    #expect(try run([(0, Self.udp())]).map(\.reason) == [4])
  }

  @Test func aSYNAfterTheEndBeginsAFlow() throws {
    for end in [Flag.fin, Flag.reset] {
      // The same direction.
      #expect(
        try run([
          (0, Self.tcp(Flag.syn)), (1, Self.tcp(Flag.syn | Flag.acknowledge, back: true)),
          (2, Self.tcp(end | Flag.acknowledge)), (1000, Self.tcp(Flag.syn)),
        ]) == [
          Summary(.endOfFlow, 2, 1, from: 0, to: 2), Summary(.forced, 1, 0, from: 1000, to: 1000),
        ])
      // The other one: the connection's end in one direction says nothing of the other.
      #expect(
        try run([
          (0, Self.tcp(Flag.syn)), (1, Self.tcp(end | Flag.acknowledge, back: true)), (2, Self.tcp(Flag.syn)),
        ]) == [Summary(.endOfFlow, 2, 1, from: 0, to: 2)])
      // Both in reverse: the new flow's source is the sender of the SYN.
      let bench = try Bench()
      for (time, frame) in [
        Self.tcp(Flag.syn), Self.tcp(end, back: true), Self.tcp(Flag.syn | Flag.acknowledge, back: true),
        Self.tcp(Flag.acknowledge),
      ].enumerated() {
        bench.receive(frame, at: start + UInt64(time))
      }
      bench.flush()
      #expect(
        bench.summaries == [
          Summary(.endOfFlow, 1, 1, from: 0, to: 1), Summary(.forced, 1, 1, from: 2, to: 3),
        ])
      #expect(bench.records[1].key.sourcePort == 80 && bench.records[1].key.destinationPort == 1024)
    }
  }

  @Test func aSYNAloneEndsNothing() throws {
    #expect(
      try run([(0, Self.tcp(Flag.syn)), (1, Self.tcp(Flag.syn)), (2, Self.tcp(Flag.syn | Flag.reset))])
        == [Summary(.endOfFlow, 3, 0, from: 0, to: 2)])
    // A scan's SYN+FIN ends the flow for its next SYN, not for itself.
    #expect(
      try run([(0, Self.tcp(Flag.syn | Flag.fin)), (1, Self.tcp(Flag.syn | Flag.fin))]).map(\.reason) == [
        3, 3,
      ])
  }

  // MARK: Keys

  @Test func bothDirectionsAreOneFlow() throws {
    let bench = try Bench()
    bench.receive(Self.udp(back: true), at: start)
    for time in 1...3 { bench.receive(Self.udp(), at: start + UInt64(time)) }
    bench.flush()
    #expect(bench.summaries == [Summary(.forced, 1, 3, from: 0, to: 3)])
    let record = bench.records[0]
    #expect(record.key.sourcePort == 53 && record.key.addresses >> 32 == 0xC633_6402)
    #expect(record.forwardOctets == 29 && record.reverseOctets == 87)
    #expect(record.sourceMAC == 0x0200_0000_0001)
  }

  @Test func whatTellsFlowsApart() throws {
    let inner = Build.ipv4(17, Build.udp(1024, 53, [0]))
    let frames = [
      Build.ethernet(0x0800, inner), Build.ethernet(0x8100, Build.vlan(5, 0x0800, inner)),
      Build.ethernet(0x8100, Build.vlan(6, 0x0800, inner)),
      Build.ethernet(0x0800, Build.ipv4(136, Build.udp(1024, 53, [0]))),
      Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1024, 53, [0]))),
      Build.ethernet(0x0800, Build.ipv4(1, Build.udp(1024, 53, [0]))),
      Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1024, 53, [0]))), Self.udp(1025), Self.udp(1024, 54),
      // The same ports with the addresses exchanged: not the other direction, which exchanges both.
      Build.ethernet(
        0x0800, Build.ipv4(17, Build.udp(1024, 53, [0]), from: Build.server4, to: Build.client4)),
      Build.ethernet(
        0x0800, Build.ipv4(17, Build.udp(1024, 53, [0]), from: [192, 0, 2, 9], to: Build.server4)),
    ]
    let bench = try Bench()
    for round in 0..<3 { for frame in frames { bench.receive(frame, at: start + UInt64(round)) } }
    bench.flush()
    #expect(bench.summaries == frames.map { _ in Summary(.forced, 3, 0, from: 0, to: 2) })
    // Neither the tag of priority (id 0) nor the priority of a tag does.
    let tagged = try Bench()
    tagged.receive(frames[0], at: start)
    tagged.receive(Build.ethernet(0x8100, Build.vlan(0, 0x0800, inner, priority: 3)), at: start)
    tagged.receive(frames[1], at: start)
    tagged.receive(Build.ethernet(0x8100, Build.vlan(5, 0x0800, inner, priority: 3)), at: start)
    tagged.receive(Build.ethernet(0x88A8, Build.vlan(5, 0x8100, Build.vlan(9, 0x0800, inner))), at: start)
    tagged.flush()
    #expect(Set(tagged.summaries.map(\.forward)) == [2, 3])
  }

  /// The key holds only the last 32 bits of IPv6 addresses; the record all of them.
  @Test func ipv6AddressesAreComparedWhole() throws {
    func address(_ network: UInt8) -> [UInt8] {
      [0x20, 0x01, 0x0D, 0xB8, network] + [UInt8](repeating: 0, count: 10) + [1]
    }
    func frame(_ from: UInt8, _ to: UInt8) -> [UInt8] {
      Build.ethernet(
        0x86DD, Build.ipv6(17, Build.udp(500, 500, [0]), from: address(from), to: address(to)))
    }
    let bench = try Bench()
    for (from, to) in [(1, 2), (2, 1), (1, 2), (1, 3), (3, 1), (3, 2), (1, 1), (1, 1)] as [(UInt8, UInt8)] {
      bench.receive(frame(from, to), at: start)
    }
    bench.flush()
    let packets = bench.summaries.map { [$0.forward, $0.reverse] }.sorted { $0.lexicographicallyPrecedes($1) }
    #expect(packets == [[1, 0], [1, 1], [2, 0], [2, 1]])
  }

  @Test func aPacketToItselfGoesForward() throws {
    let frame = Build.ethernet(
      0x0800, Build.ipv4(17, Build.udp(7, 7, [0]), from: Build.client4, to: Build.client4))
    #expect(
      try run([(0, frame), (1, frame), (2, frame)]) == [Summary(.forced, 3, 0, from: 0, to: 2)])
  }

  @Test func fragmentsAreOneFlow() throws {
    let first = Build.ipv4(
      17, Build.udp(1024, 53, [UInt8](repeating: 0, count: 16)), identification: 9, fragment: 0x2000)
    let later = Build.ipv4(17, [UInt8](repeating: 1, count: 24), identification: 9, fragment: 0x0003)
    let frames = [first, later].map { Build.ethernet(0x0800, $0) }
    #expect(
      try run([(0, frames[0]), (1, frames[1])]) == [Summary(.forced, 2, 0, from: 0, to: 1)])
    // Before its first fragment, and three seconds after: a flow with ports of 0.
    #expect(
      try run([(0, frames[1]), (1, frames[0]), (2, frames[1])]).map(\.forward).sorted() == [1, 2])
    #expect(
      try run([(0, frames[0]), (3 * second, frames[1]), (3 * second + 1, frames[1])]).map(\.forward).sorted()
        == [1, 2])
  }

  // MARK: A full table

  /// Ports whose flows all lie in the bucket of the first one.
  private func collidingPorts(_ count: Int, _ configuration: FlowConfiguration) throws -> [UInt16] {
    let table = try FlowTable(
      limit: configuration.flows, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    let hashing = FlowHash(seed: configuration.seed)
    func bucket(_ port: UInt16) -> UInt64 {
      table.bucketIndex(
        hashing.hash(
          Key(
            addresses: 0xC000_0201_C633_6402, sourcePort: port, destinationPort: 53, protocolNumber: 17,
            vlan: 0, isVersion6: false)))
    }
    let ports = (1...65535 as ClosedRange<UInt16>).filter { bucket($0) == bucket(1) }
    try #require(ports.count >= count)
    return Array(ports.prefix(count))
  }

  /// Room for the flows of one bucket: the ninth exceeds the limit.
  private static var forEight: FlowConfiguration {
    var configuration = FlowConfiguration.small
    configuration.flows = 8
    return configuration
  }

  @Test func aFullTableEvictsTheLeastRecentlySeenOfTheBucket() throws {
    let ports = try collidingPorts(9, Self.forEight)
    let bench = try Bench(Self.forEight)
    for (time, port) in ports.prefix(8).enumerated() {
      bench.receive(Self.udp(port), at: start + UInt64(time))
    }
    // The oldest two are seen again, one of them in reverse: the third is the least recent one now.
    bench.receive(Self.udp(ports[0]), at: start + 100)
    bench.receive(Self.udp(ports[1], back: true), at: start + 101)
    #expect(bench.records.isEmpty)
    bench.receive(Self.udp(ports[8]), at: start + 200)
    try #require(bench.summaries == [Summary(.lackOfResources, 1, 0, from: 2, to: 2)])
    #expect(bench.records[0].key.sourcePort == ports[2])
    // What was evicted is a new flow when it comes back, and evicts the next one.
    bench.receive(Self.udp(ports[2]), at: start + 300)
    #expect(bench.records.map(\.key.sourcePort) == [ports[2], ports[3]])
    bench.flush()
    #expect(bench.summaries.map(\.reason) == [5, 5, 4, 4, 4, 4, 4, 4, 4, 4])
    #expect(bench.summaries.reduce(0) { $0 + $1.forward + $1.reverse } == 12)
  }

  /// "Least recently seen" goes by arrival, also where the packets' own times step back.
  @Test func evictionGoesByArrival() throws {
    let ports = try collidingPorts(9, Self.forEight)
    let bench = try Bench(Self.forEight)
    for (time, port) in ports.prefix(7).enumerated() {
      bench.receive(Self.udp(port), at: start + UInt64(time))
    }
    bench.receive(Self.udp(ports[7]), at: start - 3600 * second)
    bench.receive(Self.udp(ports[8]), at: start - 3600 * second)
    #expect(bench.records.map(\.key.sourcePort) == [ports[0]])
  }

  @Test func theLimitHolds() throws {
    var configuration = FlowConfiguration.small
    configuration.flows = 100
    let bench = try Bench(configuration)
    for port in 1...1000 as ClosedRange<UInt16> {
      bench.receive(Self.udp(port), at: start + UInt64(port))
      #expect(bench.worker.counters.inTable <= 100)
    }
    let counters = bench.worker.counters
    #expect(counters.inTable == 100 && counters.tableFull == 0)
    #expect(bench.records.count == 900 && bench.summaries.allSatisfy { $0.reason == 5 })
    bench.flush()
    #expect(bench.records.count == 1000)
  }

  // MARK: Time

  @Test func aFlowMayEndBeforeItBegan() throws {
    #expect(
      try run([(second, Self.udp()), (600 * millisecond, Self.udp(back: true))])
        == [Summary(.forced, 1, 1, from: second, to: 600 * millisecond)])
    #expect(
      try run([(5 * second, Self.udp()), (9 * second, Self.udp()), (3 * second, Self.udp())])
        == [Summary(.forced, 3, 0, from: 5 * second, to: 3 * second)])
  }

  @Test func aStepBackwardsEndsNothing() throws {
    let hour = 3600 * second
    let bench = try Bench()
    bench.receive(Self.udp(1), at: start + hour)
    bench.receive(Self.udp(2), at: start + hour)
    // An hour back: a flow goes on, another one begins, and both outlast the clock's patience.
    for step in 0..<200 as Range<UInt64> {
      bench.receive(Self.udp(1), at: start + step * second)
      bench.receive(Self.udp(3), at: start + step * second)
    }
    let ended = bench.summaries
    bench.flush()
    // Flow 2 is idle: it ends by the clock, which begins to move again with the 64th packet.
    #expect(ended == [Summary(.idleTimeout, 1, 0, from: hour, to: hour)])
    #expect(
      Set(bench.summaries.dropFirst()) == [
        Summary(.forced, 201, 0, from: hour, to: 199 * second),
        Summary(.forced, 200, 0, from: 0, to: 199 * second),
      ])
  }

  @Test func timeoutsHoldAfterAStepBackwards() throws {
    let hour = 3600 * second
    let bench = try Bench()
    bench.receive(Self.udp(9), at: start + hour)
    for step in 0..<100 as Range<UInt64> { bench.receive(Self.udp(1), at: start + step * millisecond) }
    let last = 99 * millisecond
    // By packets: 30 s less a nanosecond, and 30 s after that.
    bench.receive(Self.udp(1), at: start + last + 30 * second - 1)
    bench.receive(Self.udp(1), at: start + last + 60 * second - 1)
    bench.flush()
    #expect(
      bench.summaries.filter { $0.forward > 1 } == [
        Summary(.idleTimeout, 101, 0, from: 0, to: last + 30 * second - 1)
      ])
    #expect(bench.summaries.count == 3)
  }

  /// Right after the step, while the clock still stands.
  @Test func timeoutsHoldWhileTheClockStands() throws {
    let hour = 3600 * second
    #expect(
      try run([(hour, Self.udp()), (0, Self.udp()), (29 * second, Self.udp()), (59 * second, Self.udp())])
        == [
          Summary(.idleTimeout, 3, 0, from: hour, to: 29 * second),
          Summary(.forced, 1, 0, from: 59 * second, to: 59 * second),
        ])
  }

  /// A damaged time neither ends other flows nor moves their timeouts.
  @Test func onePacketFromTheFutureChangesNothing() throws {
    let day = 86_400 * second
    let bench = try Bench()
    for step in 0..<50 as Range<UInt64> { bench.receive(Self.udp(1), at: start + step * second) }
    bench.receive(Self.udp(2), at: start + day)
    for step in 50..<400 as Range<UInt64> { bench.receive(Self.udp(1), at: start + step * second) }
    let ended = bench.summaries
    bench.flush()
    #expect(ended == [Summary(.activeTimeout, 300, 0, from: 0, to: 299 * second)])
    #expect(
      Set(bench.summaries.dropFirst()) == [
        Summary(.forced, 100, 0, from: 300 * second, to: 399 * second),
        Summary(.forced, 1, 0, from: day, to: day),
      ])
  }

  /// Many packets of the new time are believed: what was before has timed out then, also without packets of its own.
  @Test func aJumpAheadIsBelievedAfterAWhile() throws {
    let day = 86_400 * second
    let bench = try Bench()
    bench.receive(Self.udp(1), at: start)
    bench.receive(Self.udp(2), at: start)
    // A flow's own packet shows its timeout at once.
    bench.receive(Self.udp(2), at: start + day)
    #expect(bench.summaries == [Summary(.idleTimeout, 1, 0, from: 0, to: 0)])
    for step in 1...200 as ClosedRange<UInt64> {
      bench.receive(Self.udp(3), at: start + day + step * 10 * millisecond)
    }
    let old = Summary(.idleTimeout, 1, 0, from: 0, to: 0)
    let afterTheJump = bench.summaries
    // A flow that began before the jump was believed times out as any other.
    for step in 0...64 as ClosedRange<UInt64> {
      bench.receive(Self.udp(3), at: start + day + 2 * second + step * second / 2)
    }
    #expect(afterTheJump == [old, old])
    #expect(bench.summaries == [old, old, Summary(.idleTimeout, 1, 0, from: day, to: day)])
  }

  @Test func wildTimesLoseNoPacket() throws {
    var random = SeededGenerator(seed: 10)
    let bench = try Bench()
    var time = start
    for _ in 0..<20_000 {
      switch Int.random(in: 0..<100, using: &random) {
      case 0: time = .random(in: 0...UInt64.max / 4, using: &random)
      case 1: time = [0, 1, UInt64.max / 2, start].randomElement(using: &random)!
      case 2...10: time &-= .random(in: 0...min(time, 100 * second), using: &random)
      default: time = min(time + .random(in: 0...second, using: &random), .max / 2)
      }
      bench.receive(
        Bool.random(using: &random)
          ? Self.udp(.random(in: 1...3000, using: &random), back: .random(using: &random))
          : Self.tcp(.random(in: 0...31, using: &random), back: .random(using: &random)), at: time)
    }
    bench.flush()
    let counters = bench.worker.counters
    #expect(counters.packets == 20_000 && counters.inTable == 0)
    #expect(counters.endedPackets + counters.tableFull == 20_000)
    #expect(bench.summaries.reduce(0) { $0 + $1.forward + $1.reverse } == Int(counters.endedPackets))
  }

  // MARK: Against a plain cache

  /// What tells the flows of the random traffic apart.
  private struct Endpoints: Hashable {
    /// Ports of the host with the lower address and the other one.
    var low: UInt16
    var high: UInt16
    var isVersion6: Bool
    var isTCP: Bool

    /// A packet between them without payload.
    func frame(upward: Bool, flags: UInt8) -> [UInt8] {
      let ports = upward ? (low, high) : (high, low)
      let segment = isTCP ? Build.tcp(ports.0, ports.1, flags: flags) : Build.udp(ports.0, ports.1, [])
      let proto: UInt8 = isTCP ? 6 : 17
      if isVersion6 {
        let (from, to) = upward ? (Build.client6, Build.server6) : (Build.server6, Build.client6)
        return Build.ethernet(0x86DD, Build.ipv6(proto, segment, from: from, to: to))
      }
      let (from, to) = upward ? (Build.client4, Build.server4) : (Build.server4, Build.client4)
      return Build.ethernet(0x0800, Build.ipv4(proto, segment, from: from, to: to))
    }
  }

  /// A record without its reason.
  private struct Entry: Hashable {
    var endpoints: Endpoints
    var upward: Bool
    var summary: Summary
  }

  /// A flow of the plain cache.
  private struct Plain {
    var entry: Entry
    var flags: (forward: UInt8, reverse: UInt8)

    var deadline: UInt64 { min(entry.summary.last + 30 * second, entry.summary.first + 300 * second) }
    var timeoutReason: Int {
      if entry.summary.last + 30 * second > entry.summary.first + 300 * second { return 2 }
      return (flags.forward | flags.reverse) & 5 != 0 ? 3 : 1
    }
  }

  /// Random traffic of few hosts in bursts, whose time only goes forward: the same records as a dictionary gives.
  @Test(arguments: [11, 12, 13] as [UInt64])
  func randomTrafficMatchesAPlainCache(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var flows: [Endpoints: Plain] = [:]
    var expected: [Entry: [Set<Int>]] = [:]
    var frames: [CapturedFrame] = []
    var time = start
    for _ in 0..<20_000 {
      time += [0, 1, millisecond, 10 * millisecond, 100 * millisecond, 2 * second].randomElement(
        using: &random)!
      let endpoints = Endpoints(
        low: .random(in: 1...5, using: &random), high: .random(in: 6...9, using: &random),
        isVersion6: .random(using: &random), isTCP: .random(using: &random))
      let upward = Bool.random(using: &random)
      let flags: UInt8 =
        endpoints.isTCP ? [0x02, 0x10, 0x10, 0x10, 0x10, 0x11, 0x04].randomElement(using: &random)! : 0
      let frame = endpoints.frame(upward: upward, flags: flags)
      frames.append(CapturedFrame(bytes: frame, wire: frame.count, time: time))

      if var flow = flows[endpoints] {
        let isForward = upward == flow.entry.upward
        let restarts = flags & 2 != 0 && (isForward ? flow.flags.forward : flow.flags.reverse) & 5 != 0
        let expires = time >= flow.deadline
        if !restarts, !expires {
          if isForward {
            flow.entry.summary.forward += 1
            flow.flags.forward |= flags
          } else {
            flow.entry.summary.reverse += 1
            flow.flags.reverse |= flags
          }
          flow.entry.summary.last = time
          flows[endpoints] = flow
          continue
        }
        // Where both hold, it depends on whether the sweep was there before the packet.
        let reasons = (restarts ? [3] : []) + (expires ? [flow.timeoutReason] : [])
        expected[flow.entry, default: []].append(Set(reasons))
      }
      flows[endpoints] = Plain(
        entry: Entry(endpoints: endpoints, upward: upward, summary: Summary(0, 1, 0, time, time)),
        flags: (flags, 0))
    }
    for flow in flows.values {
      let final = (flow.flags.forward | flow.flags.reverse) & 5 != 0 ? 3 : 4
      expected[flow.entry, default: []].append(time >= flow.deadline ? [final, flow.timeoutReason] : [final])
    }

    let bench = try Bench()
    var next = 0
    while next < frames.count {
      let end = min(frames.count, next + .random(in: 1...32, using: &random))
      bench.receive(frames[next..<end])
      next = end
    }
    bench.flush()
    var reasons: Set<Int> = []
    for (record, summary) in zip(bench.records, bench.summaries) {
      let upward = record.key.sourcePort < 6
      let (source, destination) = (record.key.sourcePort, record.key.destinationPort)
      var entry = Entry(
        endpoints: Endpoints(
          low: upward ? source : destination, high: upward ? destination : source,
          isVersion6: record.key.isVersion6, isTCP: record.key.protocolNumber == 6),
        upward: upward, summary: summary)
      entry.summary.reason = 0
      reasons.insert(summary.reason)
      guard let index = expected[entry]?.firstIndex(where: { $0.contains(summary.reason) }) else {
        Issue.record("not expected: \(summary) of \(entry.endpoints)")
        return
      }
      expected[entry]?.remove(at: index)
    }
    #expect(expected.values.allSatisfy { $0.isEmpty })
    #expect(reasons == [1, 2, 3, 4])
  }
}
