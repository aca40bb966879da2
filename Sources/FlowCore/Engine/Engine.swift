// The burst pipeline: bytes in, finished records out. A burst goes through three passes, so that the memory that one
// packet waits for arrives while others are worked on:
//
//     dissect + hash, prefetch buckets  →  match signatures, prefetch records and states  →  compare keys, update, plugins
import CIntrinsics
import Wire

/// One worker's engine: it owns all it touches, and no other thread touches it.
struct Engine<Registry: PluginRegistry>: ~Copyable {
  /// The most frames in one burst.
  static var burstSize: Int { FlowWorker.burstSize }
  /// Finished records that one call can hand out.
  static var outboxCapacity: Int { FlowWorker.outboxCapacity }
  /// Counters of parser faults: one for the engine itself and one for each slot.
  static var faultCount: Int { MARTLET_TRACE_SLOTS }
  /// The sweep visits every bucket within this time, so that with a tick a timeout is at most 0.64 s late.
  static var sweepPeriod: UInt64 { 500_000_000 }
  /// The shortest time from one call of the sweep to the next: 2 ms, for which a table of 131072 flows has 64 groups, so that
  /// a packet at low rates is not followed by a call for a group or two.
  static var shortestSweepDelay: UInt64 { sweepPeriod / 256 }
  /// Groups of buckets that the sweep prefetches at once.
  static var handful: Int { 8 }

  var dissector: Dissector
  var sampler: Sampler
  var table: FlowTable
  let slab: UnsafeMutablePointer<Slab>
  let stage: PluginStage<Registry>
  let allSlots: UInt64
  let looksBeforeUpdate: UInt32
  /// The slots whose plugin is shown packets, and those that flows of each protocol concern.
  let seesPackets: UInt64
  let slotsByProtocol: ProtocolSlots
  /// The slots whose plugin reads byte streams, and the bytes that streams, and streams and states, take in a record.
  let streamReaders: UInt32
  let streamsSize: Int
  let statesSize: UInt32
  /// What a segment added to its stream, while its readers make several records of it.
  var arrival = ByteStream.Arrival(bytes: Bytes(UnsafeRawBufferPointer(start: nil, count: 0)))
  /// Where in a record its tunnels lie.
  let tunnelsOffset: Int
  private let contexts: WorkerContexts<Registry>
  /// What `stage` reads: kept as long as this.
  private let layout: StateLayout<Registry>
  /// Cache lines behind the record's head that hold the streams and the plugins' states.
  let stateLines: Int
  let timeouts: Timeouts
  let worker: UInt64
  /// The number of the port that the packets at hand come from.
  var port: UInt64 = 0
  /// The cycles of each pass are taken.
  var timesPasses = false
  /// The most groups of buckets that one call of the sweep passes, and the most handfuls that it works on; without limit
  /// offline, where time may jump.
  let sweepLimit: UInt64
  let handfulLimit: Int
  var clock = WorkerClock()
  let packets: UnsafeMutablePointer<Packet>
  /// What the clock shows at each frame of the burst, where that is not the frame's time.
  private let clocks: UnsafeMutablePointer<UInt64>
  /// The times of frames that have one together.
  private let sameTimes: UnsafeMutablePointer<UInt64>
  /// Records that ended: valid from 0 to `finished`, until the next call.
  let outbox: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  var finished = 0
  let counters: UnsafeMutablePointer<WorkerCounters>
  /// Reads outside of their bytes: the engine's own, then each slot's.
  let faults: UnsafeMutablePointer<UInt64>
  /// What the plugins find of the worker's.
  let workerMemory: UnsafeMutablePointer<WorkerMemory>
  /// The next bucket from which a flow is evicted where the new flow's own is empty.
  var evictionHand: UInt64 = 0
  /// The candidate of a packet that has none: no key matches it.
  private let noRecord: UnsafeMutablePointer<FlowRecord>
  var sweepGroup: UInt64 = 0
  /// The time for which one group is swept, in 2^-20 ns.
  let sweepStep: UInt64
  /// The time, in nanoseconds, for which a sweep is worth the call.
  let sweepDelay: UInt64
  /// Groups still to be swept without regard to `due`, which counts modulo 2^16 and is wrong after a jump of time.
  var sweepBlind: UInt64 = 0
  var sweptTo: UInt64 = 0
  var flushBucket: UInt64 = 0
  /// Where the next record stands that leaves in order of its start, once the end has begun.
  var sortedPlace: Int?
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
    contexts = try WorkerContexts(layout.slots)
    self.layout = layout
    self.table = table
    slab = .allocate(capacity: 1)
    slab.initialize(to: slabStorage)
    dissector = Dissector(
      hashing: FlowHash(seed: configuration.seed), fragments: FragmentTable(sets: configuration.fragmentSets),
      tunnels: layout.tunnels)
    tunnelsOffset = layout.tunnelsOffset
    sampler = Sampler(configuration.sampling, burst: Self.burstSize, seed: configuration.seed)
    let positions = UnsafeMutablePointer<Int>.allocate(capacity: StateLayout<Registry>.maximumPlugins)
    positions.initialize(repeating: 0, count: StateLayout<Registry>.maximumPlugins)
    stage = PluginStage(
      slots: layout.slots.baseAddress ?? .allocate(capacity: 1), takers: layout.takers, lent: layout.lent,
      positions: positions, alwaysPresent: layout.alwaysPresent, readsRecords: layout.readsRecords)
    streamReaders = layout.readsStreams
    streamsSize = layout.streamsSize
    statesSize = UInt32(clamping: layout.statesSize)
    allSlots = layout.allSlots
    looksBeforeUpdate = layout.looksBeforeUpdate
    seesPackets = layout.seesPackets
    slotsByProtocol = layout.slotsByProtocol
    stateLines = layout.stateLines
    timeouts = Timeouts(inactive: configuration.inactiveTimeout, active: configuration.activeTimeout)
    self.worker = UInt64(truncatingIfNeeded: worker)
    sweepLimit = configuration.isOffline ? .max : 1024
    handfulLimit = configuration.isOffline ? .max : 4
    sweepStep = Self.sweepPeriod << 20 / self.table.groupCount
    sweepDelay = max(sweepStep >> 20, Self.shortestSweepDelay)
    // A frame that holds two packets of flows is two.
    packets = .allocate(capacity: 2 * Self.burstSize)
    clocks = .allocate(capacity: Self.burstSize)
    clocks.initialize(repeating: 0, count: Self.burstSize)
    sameTimes = .allocate(capacity: Self.burstSize)
    sameTimes.initialize(repeating: 0, count: Self.burstSize)
    outbox = .allocate(capacity: Self.outboxCapacity)
    outbox.initialize(repeating: nil, count: Self.outboxCapacity)
    counters = .allocate(capacity: 1)
    counters.initialize(to: WorkerCounters())
    faults = .allocate(capacity: Self.faultCount)
    faults.initialize(repeating: 0, count: Self.faultCount)
    guard let offset = MemoryLayout<WorkerCounters>.offset(of: \.shortfalls) else { preconditionFailure() }
    // Safe: at this offset of the counters, which are as old as the engine, lies a member of this type.
    let shortfalls = (UnsafeMutableRawPointer(counters) + offset)
      .assumingMemoryBound(to: PluginShortfalls.self)
    workerMemory = .allocate(capacity: 1)
    workerMemory.initialize(
      to: WorkerMemory(
        slab: slab, shortfalls: shortfalls, states: layout.states, contexts: contexts.memory))
    FlowRecord.checkLayout()
    noRecord = .allocate(capacity: 1)
    noRecord.initialize(to: .departed)
  }

  /// Gives the plugins another slab; no flow may have blocks of the old one.
  func replaceSlab(bytes: Int, memory: any FlowMemory) throws(FlowSetupError) {
    let made = try Slab(bytes: bytes, memory: memory)
    slab.pointee = made
  }

  deinit {
    contexts.free()
    stage.positions.deallocate()
    workerMemory.deallocate()
    slab.deinitialize(count: 1)
    slab.deallocate()
    packets.deallocate()
    clocks.deallocate()
    sameTimes.deallocate()
    outbox.deallocate()
    counters.deallocate()
    faults.deallocate()
    noRecord.deallocate()
  }

  /// Works through one burst: `count` frames, received at `times` (step 1), or all at `times[0]` (step 0).
  @inline(__always)
  mutating func process(_ frames: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>, step: Int) {
    let count = min(max(0, count), Self.burstSize)
    guard count > 0 else { return process(frames, count: 0, times: times, clocks: clocks) }
    // Every frame moves the clock, in order, also those that belong to no flow: what a packet ends must not depend on the
    // frames behind it in the burst.
    if step != 0 {
      let clocks = clock.advance(along: times, count: count, into: clocks)
      return process(frames, count: count, times: times, clocks: clocks)
    }
    let now = clock.advance(to: times[0])
    var index = 0
    while index < Self.burstSize {
      sameTimes[index] = times[0]
      clocks[index] = now
      index &+= 1
    }
    process(frames, count: count, times: sameTimes, clocks: clocks)
  }

  /// The same, when the clock shows `clocks` at each frame.
  @inline(never)
  private mutating func process(
    _ frames: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>, clocks: UnsafePointer<UInt64>
  ) {
    finished = 0
    var timer = PassTimer(isOn: timesPasses)
    if count > 0 {
      martlet_trace_burst(frames, UInt32(truncatingIfNeeded: count))
      // Safe: the caller has as many times as frames.
      lastTime = times[count &- 1]
      beginSweep()
      var (frames, count, times, clocks) = (frames, count, times, clocks)
      if sampler.sampling.isByPacket {
        count = select(frames, count, times: times, clocks: clocks)
        (frames, times) = (UnsafePointer(sampler.frames), UnsafePointer(sampler.times))
        clocks = UnsafePointer(sampler.clocks)
      }
      var end = dissectAll(frames, count, times: times, clocks: clocks)
      if sampler.sampling.isByFlow { end = selectFlows(to: end) }
      timer.end(.dissect, counters)
      findCandidates(to: end)
      timer.end(.find, counters)
      if allSlots != 0 {
        prefetchStates(to: end)
        timer.end(.states, counters)
      }
      accountAll(to: end)
      timer.end(.account, counters)
    }
    sweep()
    timer.end(.sweep, counters)
  }

  // MARK: First pass

  /// Dissects and hashes the frames and prefetches their buckets; returns the end of those that are packets of flows.
  @inline(__always)
  private mutating func dissectAll(
    _ frames: UnsafePointer<Frame>, _ count: Int, times: UnsafePointer<UInt64>, clocks: UnsafePointer<UInt64>
  ) -> UnsafeMutablePointer<Packet> {
    let isEthernet = dissector.linkType == .ethernet
    var packet = packets
    var bytes: UInt64 = 0
    var index = 0
    while index < count {
      let frame = frames[index]
      bytes &+= UInt64(frame.wire)
      packet.pointee.clock = clocks[index]
      if let reason = dissector.dissect(
        frame, time: times[index], isEthernet: isEthernet, into: &packet.pointee)
      {
        counters.pointee.discarded[total: Int(reason.rawValue)] &+= 1
        if reason != .notIP { counters.pointee.ignored.count(octets: frame.wire, time: times[index]) }
        if dissector.dissectOutside(ofDiscarded: &packet.pointee, reason) {
          counters.pointee.tunnelsOutside &+= 1
          table.bucket(table.bucketIndex(packet.pointee.hash)).prefetch()
          packet += 1
        }
      } else {
        table.bucket(table.bucketIndex(packet.pointee.hash)).prefetch()
        packet += 1
      }
      index &+= 1
    }
    counters.pointee.packets &+= UInt64(truncatingIfNeeded: count)
    counters.pointee.bytes &+= bytes
    return dissector.tunnels.records == .both ? addOutside(to: packet) : packet
  }

  // MARK: Second pass

  /// Looks for each packet's signature in its bucket and prefetches the record that is probably its own.
  @inline(__always)
  private func findCandidates(to end: UnsafeMutablePointer<Packet>) {
    var packet = packets
    var newFlows = 0
    while packet != end {
      let hash = packet.pointee.hash
      let bucketIndex = table.bucketIndex(hash)
      let bucket = table.bucket(bucketIndex)
      let lanes = bucket.lanes(matching: FlowTable.signature(hash))
      if lanes != 0 {
        let record = table.record(bucket.recordIndex(lanes.trailingZeroBitCount))
        packet.pointee.candidate = UnsafeMutableRawPointer(record)
        martlet_prefetch(record)
        if packet.pointee.key.isVersion6 { martlet_prefetch(UnsafeRawPointer(record) + 64) }
      } else {
        packet.pointee.candidate = nil
        table.prefetchNew(newFlows, in: bucketIndex, hash: hash)
        newFlows &+= 1
      }
      packet += 1
    }
  }

  /// Prefetches the plugins' states of flows whose packets one of them still wants: when all are done they cost no memory
  /// access. Which ones want it is not asked, because the states share few lines and the answer cannot be predicted.
  @inline(never)
  private func prefetchStates(to end: UnsafeMutablePointer<Packet>) {
    var packet = packets
    while packet != end {
      if let record = packet.pointee.candidateRecord {
        if record.pointee.interest != 0 {
          var line = 0
          while line < stateLines {
            martlet_prefetch(UnsafeRawPointer(record) + (FlowRecord.size &+ 64 &* line))
            line &+= 1
          }
          // Where no line is expected it is the record's first, which is there.
          martlet_prefetch(UnsafeRawPointer(record) + 64 &* record.pointee.expectedLine)
        }
      }
      packet += 1
    }
  }

  // MARK: Third pass

  /// Counts each packet in its flow, which is found, made, or ended and made anew.
  @inline(__always)
  private mutating func accountAll(to end: UnsafeMutablePointer<Packet>) {
    var next = packets
    while next != end {
      let packet = next
      next += 1
      martlet_trace_packet(packet)
      let now = packet.pointee.clock
      let key = packet.pointee.key
      var record = packet.pointee.candidateRecord ?? noRecord
      var direction = record.direction(key)
      if direction < 0 || key.hasMore {
        if direction >= 0, !key.isTunnelled, let exact = direction6(of: packet, in: record, direction) {
          direction = exact
        } else {
          guard let found = search(packet) else {
            makeFlow(packet, now: now)
            continue
          }
          (record, direction) = found
        }
      }
      // Before the SYN: a flow that timed out ends for that reason whether a sweep comes first or a packet.
      if max(now, packet.pointee.time) >= timeouts.deadline(record.pointee),
        timeouts.hasExpired(record.pointee, time: packet.pointee.time, clock: now)
      {
        restart(packet, record, reason: timeouts.reason(record.pointee), now: now)
        continue
      }
      if packet.pointee.tcpFlags & TCPFlags.syn != 0, record.flags(direction) & TCPFlags.finOrReset != 0 {
        restart(packet, record, reason: .endOfFlow, now: now)
        continue
      }
      if record.pointee.interest != 0 {
        countWithPlugins(packet, record, direction: direction)
        continue
      }
      let counted = record.count(packet, direction: direction)
      noteLag(packet, record, now: now)
      if counted >= 1 << 31 { endFullRecord(packet, record) }
    }
    martlet_trace_packet(nil)
  }

  /// Counts a packet of a flow that plugins want: before they see it, and after.
  @inline(never)
  private mutating func countWithPlugins(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, direction: Int
  ) {
    let now = packet.pointee.clock
    let view = PacketView(packet: UnsafePointer(packet), isForward: direction == 0)
    if record.pointee.forwardPackets | record.pointee.reversePackets == 0 {
      return countFirst(packet, record, view, direction: direction)
    }
    let looking = record.pointee.interest & looksBeforeUpdate
    if looking != 0,
      stage.run(.beforeUpdate, mask: UInt64(looking), view, blocks(of: record)).verdict.contains(
        .startNewRecord)
    {
      continueInNewRecord(packet, record, direction: direction, now: now)
      return
    }
    var wishes = Wishes()
    var others = record.pointee.interest
    let readers = others & streamReaders
    if readers != 0, reads(view) {
      wishes = readStreams(mask: readers, record, view, isFirst: false)
      if wishes.verdict.contains(.startNewRecord) {
        let again = UInt32(truncatingIfNeeded: wishes.again)
        return continueInNewRecord(packet, record, direction: direction, now: now, readers: again)
      }
      others ^= readers
    }
    let counted = record.count(packet, direction: direction)
    noteLag(packet, record, now: now)
    wishes.add(stage.run(.update, mask: UInt64(others), view, blocks(of: record)))
    if wishes.verdict.rawValue & Verdict.endsRecord != 0 {
      endAsWished(wishes, packet, record, direction: direction, streamsOf: record)
    } else if counted >= 1 << 31 {
      endFullRecord(packet, record)
    }
  }

  /// Far below the counters' end a record ends as if it had grown too old.
  @inline(never)
  private mutating func endFullRecord(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>
  ) {
    endFlow(record, hash: packet.pointee.hash, reason: .activeTimeout)
  }

  /// The slab as `record`'s flow sees it.
  @inline(__always)
  func blocks(of record: UnsafeMutablePointer<FlowRecord>) -> FlowBlocks {
    FlowBlocks(record: record, worker: UnsafePointer(workerMemory))
  }
}
