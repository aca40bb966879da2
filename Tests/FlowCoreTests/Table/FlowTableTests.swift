// The table's groups: what the sweep skips is exactly what a look at every bucket would skip.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct FlowTableTests {
  /// One second in ticks of 2^27 ns.
  private static let second: UInt64 = 1_000_000_000

  /// Fills a table at random, moves the clock on, and compares the groups that wait with the buckets' own lanes. The
  /// clock begins where the 16-bit ticks wrap round in the middle of the run.
  @Test(arguments: [1, 8, 100, 3000])
  func waitingGroupsHaveNothingDue(limit: Int) throws {
    var table = try FlowTable(limit: limit, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    var random = SeededGenerator(seed: UInt64(limit))
    var clock: UInt64 = 0x7FE0 << FlowTable.tickShift
    for group in 0..<table.groupCount { table.settle(group: group, tick: tick(clock)) }
    for _ in 0..<40 {
      for _ in 0..<limit / 8 + 1 where table.count < limit {
        let bucket = table.bucket(UInt64.random(in: 0..<table.bucketCount, using: &random))
        let free = bucket.lanes(matching: 0)
        guard free != 0, let index = table.takeRecord() else { continue }
        table.insert(
          index, in: bucket, lane: free.trailingZeroBitCount,
          signature: UInt16.random(in: 1...0xFFFF, using: &random),
          deadline: clock + UInt64.random(in: 0...60 * Self.second, using: &random), clock: clock)
      }
      clock += UInt64.random(in: 0...5 * Self.second, using: &random)
      var group: UInt64 = 0
      var occupied = table.occupiedGroup(from: 0)
      while group < table.groupCount {
        // Every group with flows is among the occupied ones.
        if let next = occupied, next < group { occupied = table.occupiedGroup(from: group) }
        let mayBeMissed = occupied != group && hasFlows(group, in: table)
        #expect(!mayBeMissed)
        let waiting = table.groupsWaiting(from: group, atMost: table.groupCount - group, tick: tick(clock))
        for skipped in group..<group + waiting {
          let mustBeSeen = isDue(skipped, in: table, clock)
          #expect(!mustBeSeen)
        }
        group += waiting
        guard group < table.groupCount else { break }
        let mustBeSeen = isDue(group, in: table, clock)
        #expect(mustBeSeen)
        removeDue(from: group, of: &table, clock)
        table.settle(group: group, tick: tick(clock))
        group += 1
      }
    }
  }

  private func tick(_ clock: UInt64) -> UInt16 { FlowTable.tick(clock) }

  /// The lanes of a bucket that are in use and due, found one by one.
  private func dueLanes(_ bucket: Bucket, _ clock: UInt64) -> [Int] {
    (0..<FlowTable.ways).filter {
      bucket.occupied & 1 << UInt32($0) != 0 && Int16(bitPattern: bucket.due($0) &- tick(clock)) <= 0
    }
  }

  private func isDue(_ group: UInt64, in table: borrowing FlowTable, _ clock: UInt64) -> Bool {
    var lanes: UInt32 = 0
    for (place, number) in table.buckets(of: group).enumerated() {
      for lane in dueLanes(table.bucket(number), clock) { lanes |= 1 << UInt32(8 * place + lane) }
    }
    #expect(table.lanes(of: group, dueAt: tick(clock)) == lanes)
    return lanes != 0
  }

  private func hasFlows(_ group: UInt64, in table: borrowing FlowTable) -> Bool {
    for number in table.buckets(of: group) where table.bucket(number).occupied != 0 { return true }
    return false
  }

  private func removeDue(from group: UInt64, of table: inout FlowTable, _ clock: UInt64) {
    for number in table.buckets(of: group) {
      let bucket = table.bucket(number)
      for lane in dueLanes(bucket, clock) {
        table.giveBack(bucket.recordIndex(lane))
        table.remove(bucket, lane: lane)
      }
    }
  }
}
