// A table without room: which flow goes, and that the limit holds.
import Testing

@testable import FlowCore

private typealias Summary = FlowContract.Summary
private typealias Bench = FlowContract.Bench

private let second = FlowContract.second
private let start = FlowContract.start

extension FlowContractTests {
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
}
