// The hash table that finds a packet's record, in buckets of one cache line, and the pool its records come from.
import CIntrinsics

/// Eight places in one cache line.
///
///      0  signature 2 × 8      16 bits of the hash, 0 where the place is free: compared with one SIMD instruction
///     16  record    4 × 8      numbers of the records
///     48  due       2 × 8      when the sweep has to look at the record, in ticks of 2^27 ns (134 ms), modulo 2^16
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
  /// The farthest a `due` may lie ahead: half of its range, less a margin for a late sweep.
  static let farthestTicks: UInt64 = 0x7000
  /// The longest time between two sweeps of a bucket after which its `due` can still be told from the next round's.
  static let longestRest: UInt64 = (0x8000 - farthestTicks - 1) << tickShift - 1_000_000_000

  /// Twice as many places as records and more: with two flows for eight places a bucket overflows once in 4000.
  let bucketCount: UInt64
  /// A quarter of the buckets.
  let groupCount: UInt64
  /// For each group the first tick in which the sweep has to look at one of its buckets.
  private let earliest: UnsafeMutablePointer<UInt16>
  private let buckets: UnsafeMutableRawPointer
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
    self.limit = limit
    self.stride = stride
    self.memory = memory
    capacity = limit + spare
    groupCount = UInt64(max(2, (limit + 7) / 8))
    bucketCount = groupCount * UInt64(FlowTable.groupSize)
    earliestBytes = (Int(groupCount) + 8) * 2
    let bucketBytes = Int(bucketCount) * FlowTable.bucketSize
    let recordBytes = (capacity + 1) * stride
    guard let buckets = memory.allocate(bucketBytes), let records = memory.allocate(recordBytes),
      let free = memory.allocate(capacity * 4), let earliest = memory.allocate(earliestBytes)
    else { throw .noMemory(bytes: bucketBytes + recordBytes + capacity * 4, flows: limit) }
    self.buckets = buckets
    self.earliest = earliest.assumingMemoryBound(to: UInt16.self)
    self.records = records
    self.free = free.bindMemory(to: UInt32.self, capacity: capacity)
    // The lowest numbers lie on top, so that a small working set stays in few pages.
    for index in 0..<capacity { self.free[index] = UInt32(capacity - index) }
    freeCount = capacity
  }

  deinit {
    memory.free(earliest, earliestBytes)
    memory.free(buckets, Int(bucketCount) * FlowTable.bucketSize)
    memory.free(records, (capacity + 1) * stride)
    memory.free(free, capacity * 4)
  }

  /// The bucket of `hash`: a multiplication maps its upper half to the buckets, which need be no power of two.
  @inline(__always)
  func bucketIndex(_ hash: UInt64) -> UInt64 { (hash >> 32 &* bucketCount) >> 32 }

  @inline(__always)
  func bucket(_ index: UInt64) -> Bucket { Bucket(line: buckets + Int(truncatingIfNeeded: index &* 64)) }

  /// The number of the bucket behind bucket `index`; the first is behind the last.
  @inline(__always)
  func bucket(after index: UInt64) -> UInt64 { index &+ 1 == bucketCount ? 0 : index &+ 1 }

  /// The record with number `index`.
  @inline(__always)
  func record(_ index: UInt32) -> UnsafeMutablePointer<FlowRecord> {
    precondition(Int(index) <= capacity)
    // Safe: the number was checked; each record begins a cache line of the pool.
    return (records + Int(index) &* stride).assumingMemoryBound(to: FlowRecord.self)
  }

  /// Takes a free record, or nil when all are in use.
  @inline(__always)
  mutating func takeRecord() -> UInt32? {
    guard freeCount > 0 else { return nil }
    freeCount &-= 1
    return free[freeCount]
  }

  /// Gives a record back that nothing refers to any more.
  @inline(__always)
  mutating func giveBack(_ index: UInt32) {
    precondition(freeCount < capacity && index != 0 && Int(index) <= capacity)
    free[freeCount] = index
    freeCount &+= 1
  }

  /// Enters a record into a free place of its bucket.
  @inline(__always)
  mutating func insert(
    _ index: UInt32, in bucket: Bucket, lane: Int, signature: UInt16, deadline: UInt64, clock: UInt64
  ) {
    bucket.set(lane: lane, signature: signature, record: index)
    setDue(FlowTable.due(deadline, clock: clock), in: bucket, lane: lane)
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
    let group = (bucket.line - buckets) / (FlowTable.bucketSize * FlowTable.groupSize)
    if Int16(bitPattern: tick &- earliest[group]) < 0 { earliest[group] = tick }
  }

  // MARK: Groups

  /// The numbers of the buckets of `group`.
  @inline(__always)
  func buckets(of group: UInt64) -> Range<UInt64> {
    let size = UInt64(FlowTable.groupSize)
    return group &* size..<(group &+ 1) &* size
  }

  /// How many groups from `group` on, at most `limit`, have nothing due at `tick`.
  @inline(__always)
  func groupsWaiting(from group: UInt64, atMost limit: UInt64, tick: UInt16) -> UInt64 {
    precondition(group <= groupCount && limit <= groupCount &- group)
    // Safe: the line above checked that the groups are the table's; eight more ticks lie behind them.
    return UInt64(
      martlet_count_waiting(earliest + Int(group), UInt32(truncatingIfNeeded: limit), tick))
  }

  /// Notes the first tick in which a bucket of `group` has something due, as the buckets' own say.
  func settle(group: UInt64, tick: UInt16) {
    var first = tick &+ UInt16(FlowTable.farthestTicks)
    for number in buckets(of: group) {
      let bucket = bucket(number)
      var lanes = bucket.occupied
      while lanes != 0 {
        let due = bucket.due(lanes.trailingZeroBitCount)
        if Int16(bitPattern: due &- first) < 0 { first = due }
        lanes &= lanes &- 1
      }
    }
    earliest[Int(group)] = first
  }

  // MARK: New flows

  /// Asks for what the `number`th new flow from here on will touch when it is put into bucket `index`: the record, the
  /// group, and where the table is full the records of the bucket, one of which has to go.
  @inline(__always)
  func prefetchNew(_ number: Int, in index: UInt64) {
    martlet_prefetch(earliest + Int(truncatingIfNeeded: index) / FlowTable.groupSize)
    if number < freeCount {
      let record = UnsafeRawPointer(record(free[freeCount &- 1 &- number]))
      martlet_prefetch(record)
      martlet_prefetch(record + 64)
      if stride > FlowRecord.size { martlet_prefetch(record + 128) }
    }
    if count &+ number >= limit {
      let bucket = bucket(index)
      prefetchRecords(of: bucket, lanes: bucket.occupied)
    }
  }

  /// Asks for the hot lines of the records at `lanes` of `bucket`.
  @inline(__always)
  func prefetchRecords(of bucket: Bucket, lanes: UInt32) {
    var lanes = lanes
    while lanes != 0 {
      martlet_prefetch(record(bucket.recordIndex(lanes.trailingZeroBitCount)))
      lanes &= lanes &- 1
    }
  }

  /// The tick in which a record whose deadline is `deadline` is looked at.
  @inline(__always)
  static func due(_ deadline: UInt64, clock: UInt64) -> UInt16 {
    let now = clock >> tickShift
    let tick = max(now, (deadline >> tickShift) &+ 1)
    return UInt16(truncatingIfNeeded: min(tick, now &+ farthestTicks))
  }

  /// The 16 bits by which a bucket tells its records apart; never 0.
  @inline(__always)
  static func signature(_ hash: UInt64) -> UInt16 {
    let bits = UInt16(truncatingIfNeeded: hash)
    return bits == 0 ? 1 : bits
  }
}

/// One line of the table.
struct Bucket: BitwiseCopyable {
  fileprivate let line: UnsafeMutableRawPointer

  @inline(__always) func prefetch() { martlet_prefetch(line) }

  /// The places (bit = lane) whose signature is `signature`; 0 gives the free ones.
  @inline(__always)
  func lanes(matching signature: UInt16) -> UInt32 { martlet_match_signatures(line, signature) }

  /// The places (bit = lane) that are in use.
  @inline(__always) var occupied: UInt32 { ~lanes(matching: 0) & 0xFF }

  /// The places (bit = lane) that are in use and due at `tick`.
  @inline(__always)
  func lanes(dueAt tick: UInt16) -> UInt32 { martlet_match_due(line, tick) }

  @inline(__always)
  func recordIndex(_ lane: Int) -> UInt32 {
    (line + 16).assumingMemoryBound(to: UInt32.self)[lane & 7]
  }

  @inline(__always)
  fileprivate func set(lane: Int, signature: UInt16, record: UInt32) {
    line.assumingMemoryBound(to: UInt16.self)[lane & 7] = signature
    (line + 16).assumingMemoryBound(to: UInt32.self)[lane & 7] = record
  }

  @inline(__always)
  fileprivate func due(_ lane: Int) -> UInt16 {
    (line + 48).assumingMemoryBound(to: UInt16.self)[lane & 7]
  }

  @inline(__always)
  fileprivate func setDue(_ lane: Int, _ tick: UInt16) {
    (line + 48).assumingMemoryBound(to: UInt16.self)[lane & 7] = tick
  }

  @inline(__always)
  fileprivate func clear(lane: Int) {
    line.assumingMemoryBound(to: UInt16.self)[lane & 7] = 0
  }
}
