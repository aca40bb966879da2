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
  let packets: UnsafeMutablePointer<Packet>
  /// Records that ended: valid from 0 to `finished`, until the next call.
  let outbox: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  var finished = 0
  let counters: UnsafeMutablePointer<WorkerCounters>
  var sweepBucket: UInt64 = 0
  /// The time for which one bucket is swept, in 2^-20 ns.
  let sweepStep: UInt64
  /// Buckets still to be swept without regard to `due`, which counts modulo 2^16 and is wrong after a jump of time.
  var sweepBlind: UInt64 = 0
  var sweptTo: UInt64 = 0
  var flushBucket: UInt64 = 0
  /// When the last frame was received.
  var lastTime: UInt64 = 0

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
    sweepStep = Self.sweepPeriod << 20 / self.table.bucketCount
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
    if count > 0 { lastTime = times[(count &- 1) &* step] }
    let dissected = dissectAll(frames, count, times, step)
    findCandidates(dissected)
    for index in 0..<dissected { account(packets + index, now: packets[index].clock) }
    sweep()
  }

  // MARK: First pass

  /// Dissects and hashes the frames and prefetches their buckets; returns how many are packets of flows.
  @inline(__always)
  private mutating func dissectAll(
    _ frames: UnsafePointer<Frame>, _ count: Int, _ times: UnsafePointer<UInt64>, _ step: Int
  ) -> Int {
    // Every frame moves the clock, in order, also those that belong to no flow: what a packet ends must not depend on
    // the frames behind it in the burst.
    var now = step == 0 && count > 0 ? clock.advance(to: times[0]) : clock.now
    var dissected = 0
    var bytes: UInt64 = 0
    for index in 0..<count {
      let frame = frames[index]
      bytes &+= UInt64(frame.wire)
      if step != 0 { now = clock.advance(to: times[index]) }
      packets[dissected].clock = now
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
    // Before the SYN: a flow that timed out ends for that reason whether a sweep comes first or a packet.
    if max(now, packet.pointee.time) >= timeouts.deadline(record.pointee),
      timeouts.hasExpired(record.pointee, time: packet.pointee.time, clock: now)
    {
      restart(packet, record, reason: timeouts.reason(record.pointee), now: now)
      return
    }
    let flags = packet.pointee.tcpFlags
    if flags & TCPFlags.syn != 0 {
      let seen = isForward ? record.pointee.forwardFlags : record.pointee.reverseFlags
      if seen & TCPFlags.finOrReset != 0 {
        restart(packet, record, reason: .endOfFlow, now: now)
        return
      }
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
      noteLag(packet, record, now: now)
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
  func run(
    _ hook: Hook, mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView
  ) -> Verdict {
    stage.run(hook, mask: mask, record, view, slab: slab, slabMisses: slabMisses)
  }

  @inline(__always)
  private var slabMisses: UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(counters).advanced(by: MemoryLayout<WorkerCounters>.offset(of: \.slabFull)!)
      .assumingMemoryBound(to: UInt64.self)
  }
}
