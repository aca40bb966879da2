// The flow contract: what is one flow, when it ends and with which reason. A full table, time that does what it likes and
// a comparison with a plain cache are in the files beside this one.
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

private typealias Summary = FlowContract.Summary
private typealias Bench = FlowContract.Bench
private typealias Flag = FlowContract.Flag

private let second = FlowContract.second
private let millisecond = FlowContract.millisecond
private let start = FlowContract.start

@Suite struct FlowContractTests {
  static func udp(
    _ sourcePort: UInt16 = 1024, _ destinationPort: UInt16 = 53, back: Bool = false
  ) -> [UInt8] {
    Build.ethernet(
      0x0800,
      back
        ? Build.ipv4(17, Build.udp(destinationPort, sourcePort, [0]), from: Build.server4, to: Build.client4)
        : Build.ipv4(17, Build.udp(sourcePort, destinationPort, [0])))
  }

  static func tcp(_ flags: UInt8, back: Bool = false) -> [UInt8] {
    Build.ethernet(
      0x0800,
      back
        ? Build.ipv4(6, Build.tcp(80, 1024, flags: flags), from: Build.server4, to: Build.client4)
        : Build.ipv4(6, Build.tcp(1024, 80, flags: flags)))
  }

  /// The records of frames received at nanoseconds after `start`, ordered by their end in the table.
  func run(_ frames: [(at: UInt64, frame: [UInt8])]) throws -> [FlowContract.Summary] {
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
}
