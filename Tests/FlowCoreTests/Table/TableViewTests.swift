// A table as other threads see it: the flows with the most octets, each as it stands in its record, and nothing that has left.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct TableViewTests {
  /// Fills a table with flows of random octets, which are returned.
  private func fill(_ table: inout FlowTable, _ random: inout SeededGenerator) -> [UInt64] {
    var octets: [UInt64] = []
    for _ in 0..<table.limit {
      let bucket = table.bucket(UInt64.random(in: 0..<table.bucketCount, using: &random))
      let free = bucket.lanes(matching: 0)
      guard free != 0, let index = table.takeRecord() else { continue }
      var record = FlowRecord(
        key: Key(
          addresses: 0xC000_0201_C633_6402, sourcePort: UInt16(index & 0xFFFF), destinationPort: 443,
          protocolNumber: 6, vlan: 5, isVersion6: false))
      record.first = 1000
      record.last = 2000
      record.forwardPackets = 3
      record.reversePackets = 4
      record.forwardOctets = UInt64.random(in: 1...1 << 40, using: &random)
      record.reverseOctets = UInt64(index)
      table.record(index).pointee = record
      table.insert(
        index, in: bucket, lane: free.trailingZeroBitCount, signature: 7, deadline: 1 << 40, clock: 0)
      octets.append(record.forwardOctets + record.reverseOctets)
    }
    return octets
  }

  @Test(arguments: [8, 100, 3000])
  func theLargestAreFound(limit: Int) throws {
    var random = SeededGenerator(seed: UInt64(limit))
    var table = try FlowTable(limit: limit, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    let octets = fill(&table, &random)
    for count in [1, 10, 64] {
      var largest = LargestFlows(capacity: count)
      table.view(worker: 9).show(&largest) {}
      #expect(largest.flows.map(\.octets) == octets.sorted(by: >).prefix(count).map { $0 })
      for flow in largest.flows {
        #expect(flow.source.low == 0xC000_0201 && flow.destination.low == 0xC633_6402)
        #expect(flow.packets == 7 && flow.first == 1000 && flow.last == 2000 && flow.worker == 9)
        #expect(flow.destinationPort == 443 && flow.protocolNumber == 6 && flow.vlan == 5 && !flow.isVersion6)
      }
    }
  }

  /// A record whose key says that it has left, and places whose numbers are none of the table's, are no flows.
  @Test func whatIsOnItsWayIsPassedOver() throws {
    var table = try FlowTable(limit: 8, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    let bucket = table.bucket(0)
    let taken = table.takeRecord()
    let index = try #require(taken)
    table.record(index).pointee = .departed
    table.record(index).pointee.forwardOctets = 100
    bucket.set(lane: 0, signature: 1, record: index)
    bucket.set(lane: 1, signature: 1, record: 0)
    bucket.set(lane: 7, signature: 0xFFFF, record: .max)
    var largest = LargestFlows(capacity: 4)
    table.view(worker: 0).show(&largest) {}
    #expect(largest.flows.isEmpty)
  }

  @Test func version6AddressesAreWhole() throws {
    var table = try FlowTable(limit: 8, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    let taken = table.takeRecord()
    let index = try #require(taken)
    var record = FlowRecord(
      key: Key(
        addresses: 0x1_0000_0002, sourcePort: 1, destinationPort: 2, protocolNumber: 17, vlan: 0,
        isVersion6: true))
    (record.sourceHigh, record.sourceLow) = (0x2001_0DB8_0000_0000, 1)
    (record.destinationHigh, record.destinationLow) = (0xFE80_0000_0000_0000, 2)
    (record.first, record.last, record.forwardOctets) = (1, 1, 40)
    table.record(index).pointee = record
    table.bucket(3).set(lane: 5, signature: 1, record: index)
    var largest = LargestFlows(capacity: 4)
    table.view(worker: 0).show(&largest) {}
    let flow = try #require(largest.flows.first)
    #expect(
      flow.isVersion6 && flow.source == (0x2001_0DB8_0000_0000, 1)
        && flow.destination == (0xFE80_0000_0000_0000, 2))
  }
}
