// The burst pipeline: bytes in, finished records out. A burst goes through three passes, so that the memory that one
// packet waits for arrives while others are worked on:
//
//     dissect + hash, prefetch buckets  →  match signatures, prefetch records and states  →  compare keys, update, plugins
import CIntrinsics

/// One worker's engine: it owns all it touches, and no other thread touches it.
struct Engine<Registry: PluginRegistry>: ~Copyable {
  /// The most frames in one burst.
  static var burstSize: Int { 32 }
  /// Finished records that one call can hand out.
  static var outboxCapacity: Int { 1024 }
  /// The sweep visits every bucket within this time, so that with a tick a timeout is at most 0.64 s late.
  static var sweepPeriod: UInt64 { 500_000_000 }

  var dissector: Dissector
  var table: FlowTable
  let slab: UnsafeMutablePointer<Slab>
  let stage: PluginStage<Registry>
  let allSlots: UInt32
  let looksBeforeUpdate: UInt32
  let timeouts: Timeouts
  let worker: UInt64
  /// The most buckets that one call sweeps, and whether it may exceed that (offline, where time may jump).
  let sweepLimit: UInt64
  var clock = WorkerClock()
  private let packets: UnsafeMutablePointer<Packet>
  /// Records that ended: valid from 0 to `finished`, until the next call.
  let outbox: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  var finished = 0
  let counters: UnsafeMutablePointer<WorkerCounters>
  private var sweepBucket: UInt64 = 0
  private var sweptTo: UInt64 = 0
  private var flushBucket: UInt64 = 0
  /// When the last frame was received.
  private var lastTime: UInt64 = 0

  init(_ configuration: FlowConfiguration, layout: StateLayout<Registry>, worker: Int, memory: any FlowMemory)
    throws(FlowSetupError)
  {
    // What can fail comes first: a half-made engine cannot be taken apart.
    let table = try FlowTable(
      limit: configuration.flows, spare: configuration.recordsUnderWay + Self.outboxCapacity,
      stride: layout.stride,
      memory: memory)
    let slabStorage = try Slab(bytes: layout.slots.isEmpty ? 0 : configuration.slabBytes, memory: memory)
    self.table = table
    slab = .allocate(capacity: 1)
    slab.initialize(to: slabStorage)
    dissector = Dissector(
      hashing: FlowHash(seed: configuration.seed), fragments: FragmentTable(sets: configuration.fragmentSets))
    stage = PluginStage(slots: layout.slots.baseAddress ?? .allocate(capacity: 1))
    allSlots = layout.allSlots
    looksBeforeUpdate = layout.looksBeforeUpdate
    timeouts = Timeouts(inactive: configuration.inactiveTimeout, active: configuration.activeTimeout)
    self.worker = UInt64(worker)
    sweepLimit = configuration.isOffline ? .max : 512
    packets = .allocate(capacity: Self.burstSize)
    outbox = .allocate(capacity: Self.outboxCapacity)
    outbox.initialize(repeating: nil, count: Self.outboxCapacity)
    counters = .allocate(capacity: 1)
    counters.initialize(to: WorkerCounters())
  }

  deinit {
    slab.deinitialize(count: 1)
    slab.deallocate()
    packets.deallocate()
    outbox.deallocate()
    counters.deallocate()
  }

  /// Works through one burst: `count` frames, received at `times[0]`, `times[step]`, `times[2 * step]`, …
  mutating func process(_ frames: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>, step: Int) {
    precondition(count >= 0 && count <= Self.burstSize)
    finished = 0
    let dissected = dissectAll(frames, count, times, step)
    findCandidates(dissected)
    for index in 0..<dissected {
      let now = step == 0 ? clock.now : clock.advance(to: packets[index].time)
      account(packets + index, now: now)
    }
    // Frames that belong to no flow move the clock too, but only once the packets before them were accounted.
    if count > 0 {
      lastTime = times[(count &- 1) &* step]
      if step != 0 { _ = clock.advance(to: lastTime) }
    }
    sweep()
  }

  // MARK: First pass

  /// Dissects and hashes the frames and prefetches their buckets; returns how many are packets of flows.
  @inline(__always)
  private mutating func dissectAll(
    _ frames: UnsafePointer<Frame>, _ count: Int, _ times: UnsafePointer<UInt64>, _ step: Int
  ) -> Int {
    if step == 0, count > 0 { _ = clock.advance(to: times[0]) }
    var dissected = 0
    var bytes: UInt64 = 0
    for index in 0..<count {
      let frame = frames[index]
      bytes &+= UInt64(frame.wire)
      if let reason = dissector.dissect(frame, time: times[index &* step], into: &packets[dissected]) {
        counters.pointee.discarded[Int(reason.rawValue)] &+= 1
      } else {
        table.bucket(table.bucketIndex(packets[dissected].hash)).prefetch()
        dissected &+= 1
      }
    }
    counters.pointee.packets &+= UInt64(count)
    counters.pointee.bytes &+= bytes
    return dissected
  }

  // MARK: Second pass

  /// Looks for each packet's signature in its bucket and prefetches the record that is probably its own.
  @inline(__always)
  private func findCandidates(_ count: Int) {
    for index in 0..<count {
      let hash = packets[index].hash
      let bucket = table.bucket(table.bucketIndex(hash))
      let lanes = bucket.lanes(matching: FlowTable.signature(hash))
      guard lanes != 0 else {
        packets[index].candidate = 0
        continue
      }
      let candidate = bucket.recordIndex(lanes.trailingZeroBitCount)
      packets[index].candidate = candidate
      let record = UnsafeRawPointer(table.record(candidate))
      martlet_prefetch(record)
      if packets[index].key.isVersion6 { martlet_prefetch(record + 64) }
      // The states of the plugins, up to four lines: more would only push other packets' lines out.
      var offset = FlowRecord.size
      while offset < table.stride, offset < FlowRecord.size + 256 {
        martlet_prefetch(record + offset)
        offset &+= 64
      }
    }
  }

  // MARK: Third pass

  /// Counts one packet in its flow, which is found, made, or ended and made anew.
  @inline(__always)
  private mutating func account(_ packet: UnsafeMutablePointer<Packet>, now: UInt64) {
    let key = packet.pointee.key
    let candidate = packet.pointee.candidate
    if candidate != 0 {
      let record = table.record(candidate)
      if let isForward = direction(of: packet, key, in: record) {
        countKnown(packet, record, isForward: isForward, now: now)
        return
      }
    }
    accountBySearch(packet, now: now)
  }

  /// Whether `record` is the packet's flow, and then whether the packet goes forward.
  @inline(__always)
  private func direction(
    of packet: UnsafeMutablePointer<Packet>, _ key: Key, in record: UnsafeMutablePointer<FlowRecord>
  ) -> Bool? {
    if record.pointee.key == key {
      guard !key.isVersion6 || hasAddresses(packet, record, isForward: true) else {
        return record.pointee.key == key.reversed && hasAddresses(packet, record, isForward: false)
          ? false : nil
      }
      return true
    }
    guard record.pointee.key == key.reversed else { return nil }
    return !key.isVersion6 || hasAddresses(packet, record, isForward: false) ? false : nil
  }

  /// Compares full IPv6 addresses; the keys hold only their last words.
  private func hasAddresses(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, isForward: Bool
  ) -> Bool {
    let source = packet.pointee.sourceAddress6
    let destination = packet.pointee.destinationAddress6
    let (first, second) = isForward ? (source, destination) : (destination, source)
    return record.pointee.sourceHigh == first.high && record.pointee.sourceLow == first.low
      && record.pointee.destinationHigh == second.high && record.pointee.destinationLow == second.low
  }

  /// A packet whose signature was not in its bucket, or only by chance, or whose flow began or ended in this burst.
  @inline(never)
  private mutating func accountBySearch(_ packet: UnsafeMutablePointer<Packet>, now: UInt64) {
    let hash = packet.pointee.hash
    let key = packet.pointee.key
    let bucket = table.bucket(table.bucketIndex(hash))
    var lanes = bucket.lanes(matching: FlowTable.signature(hash))
    while lanes != 0 {
      let record = table.record(bucket.recordIndex(lanes.trailingZeroBitCount))
      if let isForward = direction(of: packet, key, in: record) {
        countKnown(packet, record, isForward: isForward, now: now)
        return
      }
      lanes &= lanes &- 1
    }
    makeFlow(packet, now: now)
  }

  /// A packet of a flow that is in the table: counted, unless it ends the flow and begins another.
  @inline(__always)
  private mutating func countKnown(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, isForward: Bool,
    now: UInt64
  ) {
    let flags = packet.pointee.tcpFlags
    if flags & TCPFlags.syn != 0 {
      let seen = isForward ? record.pointee.forwardFlags : record.pointee.reverseFlags
      if seen & TCPFlags.finOrReset != 0 {
        restart(packet, record, reason: .endOfFlow, now: now)
        return
      }
    }
    if max(now, packet.pointee.time) >= timeouts.deadline(record.pointee),
      timeouts.hasExpired(record.pointee, time: packet.pointee.time, clock: now)
    {
      restart(packet, record, reason: timeouts.reason(record.pointee), now: now)
      return
    }
    let interest = record.pointee.interest
    let view = PacketView(packet: UnsafePointer(packet), isForward: isForward)
    if interest & looksBeforeUpdate != 0 {
      let verdict = run(.beforeUpdate, mask: interest & looksBeforeUpdate, record, view)
      if verdict.contains(.startNewRecord) {
        continueInNewRecord(packet, record, isForward: isForward, now: now)
        return
      }
    }
    record.pointee.count(packet.pointee, isForward: isForward)
    if now != packet.pointee.time || record.pointee.isLagging {
      record.pointee.setLag(clock: now, time: packet.pointee.time)
    }
    if record.pointee.interest != 0,
      run(.update, mask: record.pointee.interest, record, view).contains(.flush)
    {
      endFlow(record, hash: packet.pointee.hash, reason: .forced)
      return
    }
    // Far below the counter's end, and tested by one instruction: the record ends as if it had grown too old.
    if record.pointee.forwardPackets | record.pointee.reversePackets >= 1 << 31 {
      endFlow(record, hash: packet.pointee.hash, reason: .activeTimeout)
    }
  }

  @inline(__always)
  private func run(
    _ hook: Hook, mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView
  ) -> Verdict {
    stage.run(hook, mask: mask, record, view, slab: slab, slabMisses: slabMisses)
  }

  @inline(__always)
  private var slabMisses: UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(counters).advanced(by: MemoryLayout<WorkerCounters>.offset(of: \.slabFull)!)
      .assumingMemoryBound(to: UInt64.self)
  }

  // MARK: Beginning of flows

  /// Makes the flow whose first packet this is.
  @inline(never)
  private mutating func makeFlow(_ packet: UnsafeMutablePointer<Packet>, now: UInt64) {
    let hash = packet.pointee.hash
    let bucket = table.bucket(table.bucketIndex(hash))
    var freeLanes = bucket.lanes(matching: 0)
    if freeLanes == 0 || table.count >= table.limit {
      evict(from: table.bucketIndex(hash))
      freeLanes = bucket.lanes(matching: 0)
    }
    guard freeLanes != 0, finished < Self.outboxCapacity, let index = table.takeRecord() else {
      counters.pointee.tableFull &+= 1
      return
    }
    let record = table.record(index)
    record.pointee = FlowRecord(key: packet.pointee.key)
    record.pointee.index = index
    record.pointee.first = packet.pointee.time
    record.pointee.noteAddresses(packet.pointee, worker: worker)
    record.pointee.count(packet.pointee, isForward: true)
    if now != packet.pointee.time { record.pointee.setLag(clock: now, time: packet.pointee.time) }
    table.insert(
      index, in: bucket, lane: freeLanes.trailingZeroBitCount, signature: FlowTable.signature(hash),
      deadline: dueTime(record), clock: now)
    counters.pointee.flowsMade &+= 1
    startPlugins(record, PacketView(packet: UnsafePointer(packet), isForward: true), hash: hash)
  }

  /// When the sweep has to look at `record`, on the worker's clock.
  @inline(__always)
  private func dueTime(_ record: UnsafeMutablePointer<FlowRecord>) -> UInt64 {
    timeouts.deadline(record.pointee) &+ record.pointee.lagNanoseconds
  }

  /// Zeroes the plugins' states and calls their `create`.
  @inline(__always)
  private mutating func startPlugins(
    _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView, hash: UInt64
  ) {
    guard allSlots != 0 else { return }
    var rest = allSlots
    while rest != 0 {
      let slot = stage.slots[rest.trailingZeroBitCount]
      (UnsafeMutableRawPointer(record) + Int(slot.stateOffset)).initializeMemory(
        as: UInt8.self, repeating: 0, count: Int(slot.stateSize))
      rest &= rest &- 1
    }
    record.pointee.interest = allSlots
    if run(.create, mask: allSlots, record, view).contains(.flush) {
      endFlow(record, hash: hash, reason: .forced)
    }
  }

  /// Ends `record` for `reason` and makes a new flow of the packet.
  @inline(never)
  private mutating func restart(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, reason: FlowEndReason,
    now: UInt64
  ) {
    endFlow(record, hash: packet.pointee.hash, reason: reason)
    makeFlow(packet, now: now)
  }

  /// A plugin wants the packet in a record of its own: the old one is exported, and a new one of the same flow and
  /// direction, which begins where the old one ended, gets the packet.
  @inline(never)
  private mutating func continueInNewRecord(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, isForward: Bool,
    now: UInt64
  ) {
    var next = FlowRecord(key: record.pointee.key)
    next.first = record.pointee.last
    next.sourceHigh = record.pointee.sourceHigh
    next.sourceLow = record.pointee.sourceLow
    next.destinationHigh = record.pointee.destinationHigh
    next.destinationLow = record.pointee.destinationLow
    next.sourceMACAndWorker = record.pointee.sourceMACAndWorker
    next.destinationMAC = record.pointee.destinationMAC
    let hash = packet.pointee.hash
    endFlow(record, hash: hash, reason: .forced)
    let bucket = table.bucket(table.bucketIndex(hash))
    let freeLanes = bucket.lanes(matching: 0)
    guard freeLanes != 0, finished < Self.outboxCapacity, let index = table.takeRecord() else {
      counters.pointee.tableFull &+= 1
      return
    }
    next.index = index
    next.count(packet.pointee, isForward: isForward)
    if now != packet.pointee.time { next.setLag(clock: now, time: packet.pointee.time) }
    let newRecord = table.record(index)
    newRecord.pointee = next
    table.insert(
      index, in: bucket, lane: freeLanes.trailingZeroBitCount, signature: FlowTable.signature(hash),
      deadline: dueTime(newRecord), clock: now)
    counters.pointee.flowsMade &+= 1
    startPlugins(newRecord, PacketView(packet: UnsafePointer(packet), isForward: isForward), hash: hash)
  }

  // MARK: End of flows

  /// Takes `record` out of its bucket and hands it out.
  private mutating func endFlow(
    _ record: UnsafeMutablePointer<FlowRecord>, hash: UInt64, reason: FlowEndReason
  ) {
    let bucket = table.bucket(table.bucketIndex(hash))
    var lanes = bucket.lanes(matching: FlowTable.signature(hash))
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      if bucket.recordIndex(lane) == record.pointee.index {
        end(record, bucket, lane: lane, reason: reason)
        return
      }
      lanes &= lanes &- 1
    }
  }

  /// Takes the record at `lane` out of the table, finishes its plugins and puts it into the outbox.
  private mutating func end(
    _ record: UnsafeMutablePointer<FlowRecord>, _ bucket: Bucket, lane: Int, reason: FlowEndReason
  ) {
    table.remove(bucket, lane: lane)
    record.pointee.endReason = reason
    // No packet can match a key with this mark, should its number still stand in a packet as candidate.
    record.pointee.key.rest |= Key.departed
    var rest = allSlots
    while rest != 0 {
      let bit = rest & (0 &- rest)
      let view = PacketView(packet: UnsafePointer(packets), isForward: true)
      if run(.finish, mask: bit, record, view).contains(.done) { record.pointee.presence |= bit }
      rest &= rest &- 1
    }
    counters.pointee.ended[Int(reason.rawValue)] &+= 1
    counters.pointee.endedPackets &+=
      UInt64(record.pointee.forwardPackets) &+ UInt64(record.pointee.reversePackets)
    outbox[finished] = UnsafeMutableRawPointer(record)
    finished &+= 1
  }

  /// Ends the least recently seen flow of a bucket, or of the next one that has any.
  private mutating func evict(from index: UInt64) {
    guard finished < Self.outboxCapacity else { return }
    for step in 0..<64 {
      let bucket = table.bucket((index &+ UInt64(step)) % table.bucketCount)
      var lanes = ~bucket.lanes(matching: 0) & 0xFF
      var oldest: (lane: Int, last: UInt64)?
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        let last = table.record(bucket.recordIndex(lane)).pointee.last
        if oldest.map({ last < $0.last }) ?? true { oldest = (lane, last) }
        lanes &= lanes &- 1
      }
      guard let oldest else { continue }
      end(table.record(bucket.recordIndex(oldest.lane)), bucket, lane: oldest.lane, reason: .lackOfResources)
      return
    }
  }

  // MARK: Sweep

  /// Nothing was received: the clock moves on to `now`, and timeouts are looked for.
  mutating func idle(now: UInt64) {
    finished = 0
    _ = clock.advance(to: now)
    sweep()
  }

  /// Visits as many buckets as the time that passed asks for, and ends the flows that timed out.
  @inline(__always)
  private mutating func sweep() {
    let now = clock.now
    if sweptTo == 0 { sweptTo = now }
    let passed = now &- sweptTo
    let period = Self.sweepPeriod
    guard passed >= period / table.bucketCount else { return }
    var wanted = table.bucketCount
    if passed < period { wanted = UInt64(Double(passed) * Double(table.bucketCount) / Double(period)) }
    guard wanted > 0 else { return }
    wanted = min(wanted, sweepLimit)
    // Time that a limited sweep did not serve is owed, but never more than one round.
    sweptTo =
      passed >= period && wanted == table.bucketCount
      ? now : max(sweptTo &+ wanted &* period / table.bucketCount, now > period ? now &- period : 0)
    sweepBuckets(wanted, now: now)
  }

  @inline(never)
  private mutating func sweepBuckets(_ count: UInt64, now: UInt64) {
    let tick = UInt16(truncatingIfNeeded: now >> FlowTable.tickShift)
    for _ in 0..<count {
      // A bucket can end eight flows: what finds no room in the outbox is looked at in the next call.
      guard finished &+ FlowTable.ways <= Self.outboxCapacity else { return }
      let bucket = table.bucket(sweepBucket)
      var lanes = bucket.lanes(dueAt: tick)
      while lanes != 0 {
        let lane = lanes.trailingZeroBitCount
        let record = table.record(bucket.recordIndex(lane))
        let due = dueTime(record)
        if now >= due {
          end(record, bucket, lane: lane, reason: timeouts.reason(record.pointee))
        } else {
          bucket.setDue(lane, FlowTable.due(due, clock: now))
        }
        lanes &= lanes &- 1
      }
      sweepBucket = sweepBucket &+ 1 == table.bucketCount ? 0 : sweepBucket &+ 1
    }
  }

  /// Ends flows for the end of the program, as many as the outbox holds; false when the table is empty.
  mutating func flush() -> Bool {
    finished = 0
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
