// What time does to the table: the sweep that ends idle and long flows, and the end of the program.
import CIntrinsics
import Wire

extension Engine {
  // MARK: Sweep

  /// Nothing was received: the clock moves on to `now`, and timeouts are looked for.
  mutating func idle(now: UInt64) {
    finished = 0
    _ = clock.advance(to: now)
    beginSweep()
    sweep()
  }

  /// Where the table is empty and has been left alone for long, the sweep begins here and now. Before the packets of a burst,
  /// which fill it.
  @inline(__always)
  mutating func beginSweep() {
    if clock.now &- sweptTo > FlowTable.longestRest, table.count == 0 { restartSweep() }
  }

  @inline(never)
  private mutating func restartSweep() {
    table.settleAll(tick: FlowTable.tick(clock.now))
    sweepBlind = 0
    sweptTo = clock.now
  }

  /// Sweeps when the time that passed asks for a batch of groups or more.
  @inline(__always)
  mutating func sweep() {
    if clock.now &- sweptTo >= sweepDelay { sweepGroups(now: clock.now) }
  }

  /// Passes as many groups of buckets as the time asks for, and ends the flows that timed out.
  @inline(never)
  private mutating func sweepGroups(now: UInt64) {
    // What a limited sweep did not serve is owed, but never more than one round of the table.
    if now &- sweptTo >= Self.sweepPeriod {
      if now &- sweptTo > FlowTable.longestRest { sweepBlind = table.groupCount }
      sweptTo = now &- min(now, Self.sweepPeriod)
    }
    let owed = now &- sweptTo
    // A capture whose time jumps owes a whole round for each packet, mostly of nothing.
    if owed >= Self.sweepPeriod, sweepLimit == .max, table.isSparse { return sweepOccupied(now: now) }
    let wanted =
      owed >= Self.sweepPeriod
      ? table.groupCount : min(table.groupCount, owed &<< 20 / max(1, sweepStep))
    let end = min(wanted, sweepLimit)
    var passed: UInt64 = 0
    var handfuls = 0
    // A bucket can end eight flows: what finds no room in the outbox is looked at in the next call.
    while passed < end, handfuls < handfulLimit,
      finished &+ Self.handful &* FlowTable.groupSize &* FlowTable.ways <= Self.outboxCapacity
    {
      passed &+= sweepHandful(atMost: end &- passed, now: now)
      handfuls &+= 1
    }
    sweptTo = passed == table.groupCount ? now : sweptTo &+ (passed &* sweepStep) >> 20
  }

  /// A whole round of the groups that have flows; it ends early where the outbox is full, and begins again in the next call.
  private mutating func sweepOccupied(now: UInt64) {
    let tick = FlowTable.tick(now)
    let isBlind = sweepBlind > 0
    var next = table.occupiedGroup(from: 0)
    while let group = next {
      guard finished &+ FlowTable.groupSize &* FlowTable.ways <= Self.outboxCapacity else { return }
      if isBlind || table.hasDue(group: group, tick: tick) {
        look(at: group, lanes: lanes(of: group, tick: tick, isBlind: isBlind), tick: tick, now: now)
      }
      next = table.occupiedGroup(from: group &+ 1)
    }
    sweepBlind = 0
    sweptTo = now
  }

  /// Passes at most `limit` groups and works on a handful of them at most: like a burst in passes, so that the buckets
  /// and records of all are on their way while the first is looked at. Returns how many groups were passed.
  @inline(__always)
  private mutating func sweepHandful(atMost limit: UInt64, now: UInt64) -> UInt64 {
    let tick = FlowTable.tick(now)
    let isBlind = sweepBlind > 0
    let limit = isBlind ? min(limit, sweepBlind) : limit
    var groups = InlineArray<8, UInt64>(repeating: 0)
    var count = 0
    var passed: UInt64 = 0
    while passed < limit, count < Self.handful {
      let ahead = min(limit &- passed, table.groupCount &- sweepGroup)
      let waiting = isBlind ? 0 : table.groupsWaiting(from: sweepGroup, atMost: ahead, tick: tick)
      passed &+= waiting
      sweepGroup &+= waiting
      if waiting < ahead {
        groups[total: count] = sweepGroup
        count &+= 1
        passed &+= 1
        sweepGroup &+= 1
      }
      if sweepGroup == table.groupCount { sweepGroup = 0 }
    }
    if isBlind { sweepBlind &-= passed }
    var index = 0
    while index < count {
      table.prefetch(group: groups[total: index])
      index &+= 1
    }
    var due = InlineArray<8, UInt32>(repeating: 0)
    index = 0
    while index < count {
      let group = groups[total: index]
      var lanes = lanes(of: group, tick: tick, isBlind: isBlind)
      // No other group's flows change what is due in this one, and none is here twice.
      due[total: index] = lanes
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        martlet_prefetch(table.record(table.bucket(of: group, lane: lane).recordIndex(lane)))
        lanes &= lanes &- 1
      }
      index &+= 1
    }
    index = 0
    while index < count {
      look(at: groups[total: index], lanes: due[total: index], tick: tick, now: now)
      index &+= 1
    }
    return passed
  }

  /// Looks at the places `lanes` of `group`, and notes when to look at it again.
  @inline(__always)
  private mutating func look(at group: UInt64, lanes: UInt32, tick: UInt16, now: UInt64) {
    var lanes = lanes
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      look(at: table.bucket(of: group, lane: lane), lane: lane & 7, now: now)
      lanes &= lanes &- 1
    }
    table.settle(group: group, tick: tick)
  }

  /// The places of `group` that have to be looked at.
  @inline(__always)
  private func lanes(of group: UInt64, tick: UInt16, isBlind: Bool) -> UInt32 {
    isBlind ? table.lanes(of: group) : table.lanes(of: group, dueAt: tick)
  }

  /// Ends the flow at `lane` if it has timed out, and else notes when to look again.
  @inline(__always)
  private mutating func look(at bucket: Bucket, lane: Int, now: UInt64) {
    let record = table.record(bucket.recordIndex(lane))
    let due = dueTime(record)
    if now >= due {
      end(record, bucket, lane: lane, reason: timeouts.reason(record.pointee))
    } else {
      table.setDue(FlowTable.due(due, clock: now), in: bucket, lane: lane)
    }
  }

  /// Ends flows for the end of the program, as many as the outbox holds; false when the table is empty.
  mutating func flush() -> Bool {
    finished = 0
    // What timed out already, but found no room in the outbox, keeps its own reason.
    sweep()
    if finished > 0 { return true }
    while flushBucket < table.bucketCount, finished &+ FlowTable.ways <= Self.outboxCapacity {
      let bucket = table.bucket(flushBucket)
      var lanes = bucket.occupied
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        let record = table.record(bucket.recordIndex(lane))
        end(record, bucket, lane: lane, reason: finalReason(record))
        lanes &= lanes &- 1
      }
      flushBucket &+= 1
    }
    if flushBucket == table.bucketCount, finished == 0 {
      flushBucket = 0
      return false
    }
    return true
  }

  /// The reason of a record that is in the table at the end. A capture may end before its clock believed the last jump.
  @inline(__always)
  private func finalReason(_ record: UnsafeMutablePointer<FlowRecord>) -> FlowEndReason {
    timeouts.finalReason(record.pointee, time: lastTime, clock: clock.now)
  }

  /// Ends flows for the end of a capture in order of their start, as many as the outbox holds; false when the table is
  /// empty. Nothing else may be called until then but `recycle`. Where there is no memory to sort it is as `flush`.
  mutating func flushInOrder() -> Bool {
    finished = 0
    if sortedPlace == nil { sortedPlace = table.sortRecords() }
    guard var place = sortedPlace else { return flush() }
    while place < table.capacity, finished < Self.outboxCapacity {
      if place &+ 8 < table.capacity { martlet_prefetch(table.record(table.sortedRecord(place &+ 8))) }
      let record = table.record(table.sortedRecord(place))
      endFlow(record, hash: hash(of: record), reason: finalReason(record))
      place &+= 1
    }
    sortedPlace = finished > 0 ? place : nil
    return finished > 0
  }

  /// Prefetches what `recycle` will read of the record's blocks.
  @inline(__always)
  func prefetchBlock(_ record: UnsafeMutableRawPointer) {
    slab.pointee.prefetch(record.flowRecord.pointee.blocks)
  }

  /// Takes back a record that was exported, with its blocks.
  @inline(__always)
  mutating func recycle(_ record: UnsafeMutableRawPointer) {
    let record = record.flowRecord
    slab.pointee.giveBack(&record.pointee.blocks)
    table.giveBack(record.pointee.index)
  }
}
