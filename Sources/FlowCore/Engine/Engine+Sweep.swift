// What time does to the table: the sweep that ends idle and long flows, and the end of the program.

extension Engine {
  // MARK: Sweep

  /// Nothing was received: the clock moves on to `now`, and timeouts are looked for.
  mutating func idle(now: UInt64) {
    finished = 0
    _ = clock.advance(to: now)
    sweep()
  }

  /// Sweeps when the time that passed asks for one bucket or more.
  @inline(__always)
  mutating func sweep() {
    if clock.now &- sweptTo >= sweepStep >> 20 { sweepBuckets(now: clock.now) }
  }

  /// Visits as many buckets as the time that passed asks for, and ends the flows that timed out.
  @inline(never)
  private mutating func sweepBuckets(now: UInt64) {
    // What a limited sweep did not serve is owed, but never more than one round.
    if now &- sweptTo >= Self.sweepPeriod {
      if now &- sweptTo > FlowTable.longestRest { sweepBlind = table.bucketCount }
      sweptTo = now &- min(now, Self.sweepPeriod)
    }
    let passed = now &- sweptTo
    let wanted =
      passed >= Self.sweepPeriod
      ? table.bucketCount : min(table.bucketCount, passed << 20 / max(1, sweepStep))
    let end = min(wanted, sweepLimit)
    let tick = UInt16(truncatingIfNeeded: now >> FlowTable.tickShift)
    var visited: UInt64 = 0
    // A bucket can end eight flows: what finds no room in the outbox is looked at in the next call.
    while visited < end, finished &+ FlowTable.ways <= Self.outboxCapacity {
      let bucket = table.bucket(sweepBucket)
      var lanes = bucket.lanes(dueAt: tick)
      if sweepBlind > 0 {
        sweepBlind &-= 1
        lanes = ~bucket.lanes(matching: 0) & 0xFF
      }
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        let record = table.record(bucket.recordIndex(lane))
        let due = dueTime(record)
        if now >= due {
          self.end(record, bucket, lane: lane, reason: timeouts.reason(record.pointee))
        } else {
          bucket.setDue(lane, FlowTable.due(due, clock: now))
        }
        lanes &= lanes &- 1
      }
      sweepBucket = sweepBucket &+ 1 == table.bucketCount ? 0 : sweepBucket &+ 1
      visited &+= 1
    }
    sweptTo = visited == table.bucketCount ? now : sweptTo &+ (visited &* sweepStep) >> 20
  }

  /// Ends flows for the end of the program, as many as the outbox holds; false when the table is empty.
  mutating func flush() -> Bool {
    finished = 0
    // What timed out already, but found no room in the outbox, keeps its own reason.
    sweep()
    if finished > 0 { return true }
    while flushBucket < table.bucketCount, finished &+ FlowTable.ways <= Self.outboxCapacity {
      let bucket = table.bucket(flushBucket)
      var lanes = ~bucket.lanes(matching: 0) & 0xFF
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        let record = table.record(bucket.recordIndex(lane))
        // A capture may end before its clock believed the last jump: what has timed out by then says so.
        let hasExpired = timeouts.hasExpired(record.pointee, time: lastTime, clock: clock.now)
        end(record, bucket, lane: lane, reason: hasExpired ? timeouts.reason(record.pointee) : .forced)
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

  /// Takes back a record that was exported, with its blocks.
  @inline(__always)
  mutating func recycle(_ record: UnsafeMutableRawPointer) {
    let record = record.assumingMemoryBound(to: FlowRecord.self)
    slab.pointee.giveBack(&record.pointee.blocks)
    table.giveBack(record.pointee.index)
  }
}
