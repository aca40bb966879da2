// Random traffic against a plain cache: the same records as a dictionary gives.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

private typealias Summary = FlowContract.Summary
private typealias Bench = FlowContract.Bench

private let second = FlowContract.second
private let millisecond = FlowContract.millisecond
private let start = FlowContract.start

extension FlowContractTests {
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
