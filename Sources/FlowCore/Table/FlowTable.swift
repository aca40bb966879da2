// The hash table that finds a packet's record, in buckets of one cache line, and the pool its records come from.
import CIntrinsics
import Wire

/// Eight places in one cache line.
///
///      0  signature 2 × 8      16 bits of the hash, 0 where the place is free: compared with one SIMD instruction
///     16  record    4 × 8      numbers of the records
///     48  due       2 × 8      when the sweep has to look at the record, in ticks of 2^27 ns (134 ms), modulo 2^15, in the
///                              upper 15 bits; the eight lowest bits are a number: how many of the bucket's flows are
///                              guests elsewhere
///
/// A flow whose bucket is full is a guest in another bucket: in the first with room of the four of the group that other
/// bits of the hash choose. A lookup reads these only where the flow's own bucket says that it has guests elsewhere; a
/// guest's record is marked, so that the number goes down again when it ends. The number is exact: at 255 nothing more is
/// spilled. Both full, forty flows in their places, is no chance but aim (the hash's seed is known offline): then the
/// least recently seen flow of the bucket goes.
///
/// `due` is written when the flow is made and when the sweep finds that packets came since: never by a packet, so that a
/// hit leaves the line clean. The sweep itself need not read most buckets: for each group of four `earliest` holds the
/// first tick in which one of them has something due. A flow is due once in an inactive timeout, a round of the sweep
/// takes half a second: nearly all groups of a table have to wait, and one instruction passes eight of them.
struct FlowTable: ~Copyable {
  static let ways = 8
  static let bucketSize = 64
  /// Buckets that share an `earliest`: fewer, and new flows of a large table would miss the cache for it; more, and some
  /// flow of nearly every group would be due in each round.
  static let groupSize = 4
  /// log2 of a tick in nanoseconds.
  static let tickShift: UInt64 = 27
  /// The farthest a `due` may lie ahead, in ticks: half of its range, less a margin for a late sweep.
  static let farthestTicks: UInt64 = 0x3000
  /// The longest time between two sweeps of a bucket after which its `due` can still be told from the next round's.
  static let longestRest: UInt64 = (0x4000 - farthestTicks - 1) << tickShift - 1_000_000_000
  /// The most of a bucket's flows that are guests elsewhere: the eight bits' range.
  static let mostGuests: UInt32 = 255
  /// The most flows a table can be made for: their records' numbers have 32 bits, and some are for those under way.
  static let mostFlows = 1 << 31

  /// Four times as many places as records: with two flows for eight places one bucket in 4000 spills.
  let bucketCount: UInt64
  /// A quarter of the buckets.
  let groupCount: UInt64
  /// For each group the first tick in which the sweep has to look at one of its buckets.
  let earliest: UnsafeMutablePointer<UInt16>
  /// A bit for each group that may have flows: set by the first, cleared when the sweep finds none. Behind these words
  /// are others with a bit for each of them.
  let occupancy: UnsafeMutablePointer<UInt64>
  /// Where the words lie that have a bit for each word of `occupancy`.
  let occupancyTop: Int
  let buckets: UnsafeMutableRawPointer
  /// The records' memory; number 0 is not used, so that 0 means none.
  private let records: UnsafeMutableRawPointer
  /// Bytes from one record to the next, a multiple of 64.
  let stride: Int
  /// Numbers of free records, a stack.
  private let free: UnsafeMutablePointer<UInt32>
  private(set) var freeCount: Int
  /// Records that exist, in the table or on their way through export.
  let capacity: Int
  /// Records in the table.
  private(set) var count = 0
  /// The most records the table holds.
  let limit: Int
  private let memory: any FlowMemory
  private let earliestBytes: Int

  /// A table for `limit` flows with `spare` more records for those on their way through export.
  init(limit: Int, spare: Int, stride: Int, memory: any FlowMemory) throws(FlowSetupError) {
    precondition(MemoryLayout<FlowRecord>.size <= FlowRecord.size && stride % 64 == 0)
    guard limit > 0, limit <= FlowTable.mostFlows else {
      throw .tooManyFlows(limit, most: FlowTable.mostFlows)
    }
    let capacity = limit + spare
    let groups = max(2, (limit + 7) / 8)
    let occupancyTop = groups / 64 + 1
    let bucketBytes = groups * FlowTable.groupSize * FlowTable.bucketSize
    let recordBytes = (capacity + 1) * stride
    let earliestBytes = (groups + 8) * 2
    let occupancyBytes = (occupancyTop + occupancyTop / 64 + 1) * 8
    let taken = [bucketBytes, recordBytes, capacity * 4, earliestBytes, occupancyBytes]
    let parts = taken.map { memory.allocate($0) }
    guard let buckets = parts[0], let records = parts[1], let free = parts[2], let earliest = parts[3],
      let occupancy = parts[4]
    else {
      for (part, bytes) in zip(parts, taken) { if let part { memory.free(part, bytes) } }
      throw .noMemory(bytes: taken.reduce(0, +), flows: limit)
    }
    self.limit = limit
    self.stride = stride
    self.memory = memory
    self.capacity = capacity
    self.occupancyTop = occupancyTop
    self.earliestBytes = earliestBytes
    groupCount = UInt64(groups)
    bucketCount = UInt64(groups * FlowTable.groupSize)
    // Safe: each of these is zeroed memory of the length that was asked for, for values of one plain type.
    self.buckets = buckets
    self.occupancy = occupancy.assumingMemoryBound(to: UInt64.self)
    self.earliest = earliest.assumingMemoryBound(to: UInt16.self)
    self.records = records
    self.free = free.bindMemory(to: UInt32.self, capacity: capacity)
    // The lowest numbers lie on top, so that a small working set stays in few pages.
    for index in 0..<capacity { self.free[index] = UInt32(capacity - index) }
    freeCount = capacity
  }

  deinit {
    memory.free(earliest, earliestBytes)
    memory.free(occupancy, (occupancyTop + occupancyTop / 64 + 1) * 8)
    memory.free(buckets, Int(bucketCount) * FlowTable.bucketSize)
    memory.free(records, (capacity + 1) * stride)
    memory.free(free, capacity * 4)
  }

  /// The table for threads that look while its worker, whose number is given, goes on.
  func view(worker: Int) -> TableView {
    TableView(
      buckets: buckets, bucketCount: Int(bucketCount), records: records, stride: stride, capacity: capacity,
      worker: worker)
  }

  /// The bucket of `hash`: a multiplication maps its upper half to the buckets, which need be no power of two.
  @inline(__always)
  func bucketIndex(_ hash: UInt64) -> UInt64 { (hash >> 32 &* bucketCount) >> 32 }

  @inline(__always)
  func bucket(_ index: UInt64) -> Bucket { Bucket(line: buckets + Int(truncatingIfNeeded: index &* 64)) }

  /// The number of the bucket behind bucket `index`; the first is behind the last.
  @inline(__always)
  func bucket(after index: UInt64) -> UInt64 { index &+ 1 == bucketCount ? 0 : index &+ 1 }

  /// The bucket in which flows of `hash` are guests after `step` others, 0 to 3: the four are one group, and other bits
  /// of the hash choose it than their own bucket. It begins anywhere in the group.
  @inline(__always)
  func guestBucket(_ hash: UInt64, step: UInt64) -> Bucket {
    let start = ((hash & 0xFFFF_FFFF) &* bucketCount) >> 32
    return bucket(start & ~3 | (start &+ step) & 3)
  }

  /// The record with number `index`; with a fault, where there is none, that which no flow has.
  @inline(__always)
  func record(_ index: UInt32) -> UnsafeMutablePointer<FlowRecord> {
    guard Int(index) <= capacity else {
      noteFault()
      return records.flowRecord
    }
    // Safe: the number was checked; each record begins a cache line of the pool.
    return (records + Int(index) &* stride).flowRecord
  }

  /// Takes a free record, or nil when all are in use.
  @inline(__always)
  mutating func takeRecord() -> UInt32? {
    guard freeCount > 0 else { return nil }
    freeCount &-= 1
    // Safe: `freeCount` is from 0 to `capacity`, which is how many there is room for; here and below.
    return free[freeCount]
  }

  /// Gives a record back that nothing refers to any more.
  @inline(__always)
  mutating func giveBack(_ index: UInt32) {
    guard freeCount < capacity, index != 0, Int(index) <= capacity else { return noteFault() }
    free[freeCount] = index
    freeCount &+= 1
  }

  /// Enters a record into a free place of its bucket.
  @inline(__always)
  mutating func insert(
    _ index: UInt32, in bucket: Bucket, lane: Int, signature: UInt16, deadline: UInt64, clock: UInt64
  ) {
    bucket.set(lane: lane, signature: signature, record: index)
    let tick = FlowTable.due(deadline, clock: clock)
    bucket.setDue(lane, tick)
    let group = group(of: bucket)
    // Safe: a bucket's group is below `groupCount`, and there is a bit for each.
    let word = occupancy + group >> 6
    let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: group & 63)
    if word.pointee & bit == 0 {
      // What stands there is of a time long ago perhaps, which modulo 2^15 looks like any.
      word.pointee |= bit
      occupancy[occupancyTop &+ group >> 12] |= 1 &<< UInt64(truncatingIfNeeded: group >> 6 & 63)
      earliest[group] = tick
    } else if Int16(bitPattern: tick &- earliest[group]) < 0 {
      earliest[group] = tick
    }
    count &+= 1
  }

  /// Takes the record at `lane` out of the table; it stays in use until `giveBack`.
  @inline(__always)
  mutating func remove(_ bucket: Bucket, lane: Int) {
    bucket.clear(lane: lane)
    count &-= 1
  }

  /// Has the sweep look at `lane` at `tick`.
  @inline(__always)
  func setDue(_ tick: UInt16, in bucket: Bucket, lane: Int) {
    bucket.setDue(lane, tick)
    let group = group(of: bucket)
    if Int16(bitPattern: tick &- earliest[group]) < 0 { earliest[group] = tick }
  }

  // MARK: Order

  /// Puts the numbers of all records in the table, in order of `first`, then number, into the unused end of the stack of
  /// free ones; returns where they begin. What is given back while they are read from there never reaches the unread.
  /// Nil when there is no memory for the sort, 16 bytes for each record.
  func sortRecords() -> Int? {
    let bytes = count &* MemoryLayout<(UInt64, UInt32)>.stride
    guard count > 0, let memory = memory.allocate(bytes) else { return nil }
    defer { self.memory.free(memory, bytes) }
    // Safe: as many pairs as there are records in the table, which the buckets hold once each; checked as they are filled.
    let pairs = memory.bindMemory(to: (UInt64, UInt32).self, capacity: count)
    var filled = 0
    var group = occupiedGroup(from: 0)
    while let current = group {
      for number in buckets(of: current) {
        var lanes = bucket(number).occupied
        while lanes != 0, filled < count {
          let index = bucket(number).recordIndex(lanes.trailingZeroBitCount)
          pairs[filled] = (record(index).pointee.first, index)
          filled &+= 1
          lanes &= lanes &- 1
        }
      }
      group = occupiedGroup(from: current &+ 1)
    }
    // Safe: so many were filled.
    var sorted = UnsafeMutableBufferPointer(start: pairs, count: filled)
    sorted.sort { $0 < $1 }
    let start = capacity &- filled
    guard start >= freeCount else { return nil }
    var index = 0
    while index < filled {
      free[start &+ index] = pairs[index].1
      index &+= 1
    }
    return start
  }

  /// The record number at `place` of what `sortRecords` left.
  func sortedRecord(_ place: Int) -> UInt32 { place >= freeCount && place < capacity ? free[place] : 0 }

  // MARK: New flows

  /// Prefetches what the `number`th new flow from here on will touch when it is put into bucket `index`: the record, the
  /// group, where the table is full the records of the bucket, one of which has to go, and where it has guests elsewhere
  /// the bucket where it may be found.
  @inline(__always)
  func prefetchNew(_ number: Int, in index: UInt64, hash: UInt64) {
    martlet_prefetch(earliest + Int(truncatingIfNeeded: index) / FlowTable.groupSize)
    if number < freeCount {
      let record = UnsafeRawPointer(record(free[freeCount &- 1 &- number]))
      martlet_prefetch(record)
      martlet_prefetch(record + 64)
      if stride > FlowRecord.size { martlet_prefetch(record + 128) }
    }
    let bucket = bucket(index)
    if count &+ number >= limit { prefetchRecords(of: bucket, lanes: bucket.occupied) }
    if bucket.guests != 0 { guestBucket(hash, step: 0).prefetch() }
  }

  /// Prefetches the hot lines of the records at `lanes` of `bucket`.
  @inline(__always)
  func prefetchRecords(of bucket: Bucket, lanes: UInt32) {
    var lanes = lanes
    while lanes != 0 {
      martlet_prefetch(record(bucket.recordIndex(lanes.trailingZeroBitCount)))
      lanes &= lanes &- 1
    }
  }

  /// The tick in which a record whose deadline is `deadline` is looked at, as it stands in `due`: in the upper 15 bits.
  @inline(__always)
  static func due(_ deadline: UInt64, clock: UInt64) -> UInt16 {
    let now = clock >> tickShift
    let tick = max(now, (deadline >> tickShift) &+ 1)
    return UInt16(truncatingIfNeeded: min(tick, now &+ farthestTicks)) &<< 1
  }

  /// The tick of `clock` as `due` is compared with: behind what is due in it, whatever the lowest bit, before the next.
  @inline(__always)
  static func tick(_ clock: UInt64) -> UInt16 {
    UInt16(truncatingIfNeeded: clock >> tickShift) &<< 1 | 1
  }

  /// The 16 bits by which a bucket tells its records apart; never 0.
  @inline(__always)
  static func signature(_ hash: UInt64) -> UInt16 {
    let bits = UInt16(truncatingIfNeeded: hash)
    return bits == 0 ? 1 : bits
  }
}
