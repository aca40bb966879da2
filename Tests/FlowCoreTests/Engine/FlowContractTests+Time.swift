// Packets' times may go back, jump ahead or be wild: timeouts hold, and no packet is lost.
import TestSupport
import Testing

@testable import FlowCore

private typealias Summary = FlowContract.Summary
private typealias Bench = FlowContract.Bench

private let second = FlowContract.second
private let millisecond = FlowContract.millisecond
private let start = FlowContract.start

extension FlowContractTests {
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
}
