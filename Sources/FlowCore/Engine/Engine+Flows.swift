// How flows begin and end: the part of the pipeline that a packet of a known flow does not reach.
import CIntrinsics
import Wire

extension Engine {
  // MARK: Beginning

  /// Makes the flow whose first packet this is.
  @inline(never)
  mutating func makeFlow(_ packet: UnsafeMutablePointer<Packet>, now: UInt64) {
    let hash = packet.pointee.hash
    let home = table.bucket(table.bucketIndex(hash))
    var place = FreeLane(bucket: home, free: home.lanes(matching: 0))
    if place.free == 0 || table.count >= table.limit { makeRoom(hash, &place) }
    guard place.free != 0, finished < Self.outboxCapacity, let index = table.takeRecord() else {
      counters.pointee.tableFull &+= 1
      counters.pointee.ignored.count(octets: packet.pointee.octets, time: packet.pointee.time)
      return
    }
    let record = table.record(index)
    record.begin(packet.pointee.key, index: index)
    record.pointee.first = packet.pointee.time
    record.noteAddresses(UnsafePointer(packet), worker: worker, port: port)
    noteTunnels(packet, record)
    enter(record, at: place, packet, direction: 0, now: now)
  }

  /// Finds a place for a flow where there is none at `place`, its own bucket, or where the table is full: as a guest of
  /// another bucket while there is room, else that of a flow which has to go.
  private mutating func makeRoom(_ hash: UInt64, _ place: inout FreeLane) {
    if table.count < table.limit, let other = guestPlace(hash, home: place.bucket) {
      place = other
    } else {
      place.free |= evict(for: place.bucket, free: place.free)
    }
  }

  /// Where a flow of the full bucket `home` can be a guest.
  private func guestPlace(_ hash: UInt64, home: Bucket) -> FreeLane? {
    guard home.guests < FlowTable.mostGuests else { return nil }
    var step: UInt64 = 0
    while step < UInt64(FlowTable.groupSize) {
      let bucket = table.guestBucket(hash, step: step)
      let free = bucket.lanes(matching: 0)
      if free != 0 { return FreeLane(bucket: bucket, free: free, isGuest: true) }
      step &+= 1
    }
    return nil
  }

  /// Counts a new record's first packet, puts the record into a free lane of `place` and starts its plugins; `old` is the
  /// record that it continues, and `readers` are those that are to see again what the packet added to its stream.
  @inline(__always)
  private mutating func enter(
    _ record: UnsafeMutablePointer<FlowRecord>, at place: FreeLane,
    _ packet: UnsafeMutablePointer<Packet>, direction: Int, now: UInt64,
    continuing old: UnsafeMutablePointer<FlowRecord>? = nil, readers: UInt32 = 0
  ) {
    record.count(packet, direction: direction)
    insert(record, at: place, packet, now: now)
    counters.pointee.flowsMade &+= 1
    startPlugins(record, packet, direction: direction, continuing: old, readers: readers)
  }

  /// Puts a record into a free lane of `place`.
  @inline(__always)
  private mutating func insert(
    _ record: UnsafeMutablePointer<FlowRecord>, at place: FreeLane, _ packet: UnsafeMutablePointer<Packet>,
    now: UInt64
  ) {
    let hash = packet.pointee.hash
    if now != packet.pointee.time {
      record.pointee.setLag(FlowRecord.lag(clock: now, time: packet.pointee.time))
    }
    if place.isGuest {
      record.pointee.marks |= FlowRecord.guest
      let home = table.bucket(table.bucketIndex(hash))
      home.setGuests(home.guests &+ 1)
    }
    table.insert(
      record.pointee.index, in: place.bucket, lane: place.free.trailingZeroBitCount,
      signature: FlowTable.signature(hash), deadline: dueTime(record), clock: now)
  }

  /// Clears the plugins' states and shows them the record's first packet.
  // Not inlined: the code of all plugins is there once for flows and for records that continue them.
  @inline(never)
  private mutating func startPlugins(
    _ record: UnsafeMutablePointer<FlowRecord>, _ packet: UnsafeMutablePointer<Packet>, direction: Int,
    continuing old: UnsafeMutablePointer<FlowRecord>?, readers: UInt32
  ) {
    guard allSlots != 0 else { return }
    clearStates(of: record)
    let view = PacketView(packet: UnsafePointer(packet), isForward: direction == 0)
    var wishes = Wishes()
    var streams = old ?? record
    if streamReaders != 0, reads(view) {
      if let old { copyStreams(from: old, to: record) }
      if readers != 0 { wishes = readAgain(mask: readers, record, view) }
      if let old, wishes.again == 0 { moveStreams(from: old, to: record, view, isPending: readers != 0) }
      // Where no reader asked for the record, the streams have not taken the packet yet.
      if readers == 0 {
        streams = record
        wishes = readStreams(
          mask: record.pointee.interest & streamReaders, record, view, isFirst: true)
      }
    }
    let others = plugins(of: record.pointee.key) & (reads(view) ? ~UInt64(streamReaders) : .max)
    wishes.add(stage.run(.create, mask: others, view, blocks(of: record)))
    if wishes.verdict.rawValue & Verdict.endsRecord != 0 {
      endAsWished(wishes, packet, record, direction: direction, streamsOf: streams)
    }
  }

  /// When the sweep has to look at `record`, on the worker's clock.
  @inline(__always)
  func dueTime(_ record: UnsafeMutablePointer<FlowRecord>) -> UInt64 {
    record.pointee.dueTime(timeouts.deadline(record.pointee))
  }

  /// Where a packet's time is behind the clock, or was, the record may be due earlier than its bucket says: then the
  /// sweep has to look again. A capture read once more is behind by the same for each packet, which changes nothing.
  @inline(__always)
  func noteLag(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, now: UInt64
  ) {
    guard now != packet.pointee.time || record.pointee.isLagging else { return }
    let lag = FlowRecord.lag(clock: now, time: packet.pointee.time)
    if lag != record.pointee.lag { setLag(lag, packet, record, now: now) }
  }

  @inline(never)
  private func setLag(
    _ lag: UInt32, _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>,
    now: UInt64
  ) {
    record.pointee.setLag(lag)
    if let (bucket, lane) = place(of: record, hash: packet.pointee.hash) {
      table.setDue(FlowTable.due(0, clock: now), in: bucket, lane: lane)
    }
  }

  /// The plugins that flows with this key are shown to.
  @inline(__always)
  private func plugins(of key: Key) -> UInt64 { slotsByProtocol[key.protocolNumber] & seesPackets }

  /// Zeroes the streams and the plugins' states: all that have to do with the flow want its packets.
  @inline(__always)
  func clearStates(of record: UnsafeMutablePointer<FlowRecord>) {
    // Safe: the layout put streams and states one behind the other after the record's head.
    (UnsafeMutableRawPointer(record) + FlowRecord.size)
      .initializeMemory(as: UInt8.self, repeating: 0, count: Int(statesSize))
    record.pointee.interest = UInt32(truncatingIfNeeded: plugins(of: record.pointee.key))
  }

  /// Ends `record` for `reason` and makes a new flow of the packet.
  @inline(never)
  mutating func restart(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, reason: FlowEndReason,
    now: UInt64
  ) {
    endFlow(record, hash: packet.pointee.hash, reason: reason)
    makeFlow(packet, now: now)
  }

  /// A plugin wants the packet in a record of its own: the old one is exported, and a new one of the same flow and
  /// direction, which begins where the old one ended, gets the packet.
  @inline(never)
  mutating func continueInNewRecord(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, direction: Int,
    now: UInt64, readers: UInt32 = 0
  ) {
    let first = record.pointee.last
    guard let (newRecord, place) = replace(record, hash: packet.pointee.hash) else {
      counters.pointee.tableFull &+= 1
      counters.pointee.ignored.count(octets: packet.pointee.octets, time: packet.pointee.time)
      return
    }
    newRecord.pointee.first = first
    enter(newRecord, at: place, packet, direction: direction, now: now, continuing: record, readers: readers)
  }

  /// Ends `record` and begins another of the same flow, which is not in the table yet; nil where there is no room for it.
  private mutating func replace(_ record: UnsafeMutablePointer<FlowRecord>, hash: UInt64) -> (
    UnsafeMutablePointer<FlowRecord>, FreeLane
  )? {
    let key = record.pointee.key
    endFlow(record, hash: hash, reason: .forced)
    let home = table.bucket(table.bucketIndex(hash))
    var place = FreeLane(bucket: home, free: home.lanes(matching: 0))
    if place.free == 0, let other = guestPlace(hash, home: home) { place = other }
    guard place.free != 0, finished < Self.outboxCapacity, let index = table.takeRecord() else { return nil }
    let newRecord = table.record(index)
    newRecord.begin(key, index: index)
    // The old record is in the outbox, where it stays as it is until the next call.
    newRecord.copyAddresses(record)
    copyTunnels(from: record, to: newRecord)
    return (newRecord, place)
  }

  // MARK: Several records of one packet

  /// Ends `record`, whose packet is counted, as plugins wish it: with the next ones, each of which shows its plugin what is
  /// left of the packet. `streams` is the record whose streams' bytes lie in blocks of its own.
  @inline(never)
  mutating func endAsWished(
    _ wishes: Wishes, _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>,
    direction: Int, streamsOf streams: UnsafeMutablePointer<FlowRecord>
  ) {
    let view = PacketView(packet: UnsafePointer(packet), isForward: direction == 0)
    let isPending = wishes.again & UInt64(streamReaders) != 0 && reads(view)
    var (wishes, record, made) = (wishes, record, 1)
    while wishes.verdict.rawValue & Verdict.endsRecord != 0 {
      guard wishes.again != 0 else { return endFlow(record, hash: packet.pointee.hash, reason: .forced) }
      // Each of the burst's other packets may end two flows more.
      guard made < Verdict.mostRecords, finished &+ 5 &* Self.burstSize < Self.outboxCapacity,
        let next = beginPart(of: record, packet)
      else {
        counters.pointee.recordsLeftOut &+= 1
        return endFlow(record, hash: packet.pointee.hash, reason: .forced)
      }
      made &+= 1
      record = next
      wishes = showPart(mask: wishes.again, record, view)
    }
    if streamReaders != 0, reads(view) { moveStreams(from: streams, to: record, view, isPending: isPending) }
  }

  /// Ends `record` and begins another one that counts no packet yet; nil where there is no room.
  private mutating func beginPart(
    of record: UnsafeMutablePointer<FlowRecord>, _ packet: UnsafeMutablePointer<Packet>
  )
    -> UnsafeMutablePointer<FlowRecord>?
  {
    guard let (next, place) = replace(record, hash: packet.pointee.hash) else { return nil }
    (next.pointee.first, next.pointee.last) = (packet.pointee.time, packet.pointee.time)
    insert(next, at: place, packet, now: packet.pointee.clock)
    counters.pointee.flowsMade &+= 1
    clearStates(of: next)
    if streamReaders != 0 { copyStreams(from: record, to: next) }
    return next
  }

  /// Shows the plugins in `mask` what is left of the packet, in a record that does not count it.
  private mutating func showPart(mask: UInt64, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView)
    -> Wishes
  {
    // The others begin with the record's first packet.
    record.pointee.unstarted = allSlots & ~mask
    let readers = reads(view) ? UInt32(truncatingIfNeeded: mask) & streamReaders : 0
    var wishes = stage.run(
      .create, mask: mask & ~UInt64(readers), view, blocks(of: record), isContinued: true)
    if readers != 0 { wishes.add(readAgain(mask: readers, record, view)) }
    return wishes
  }

  /// Counts the first packet of a record that began in the midst of another one, and starts the plugins that wait for it.
  @inline(never)
  mutating func countFirst(
    _ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView,
    direction: Int
  ) {
    let unstarted = record.pointee.unstarted
    record.pointee.unstarted = 0
    record.count(packet, direction: direction)
    noteLag(packet, record, now: packet.pointee.clock)
    let readers = reads(view) ? record.pointee.interest & streamReaders : 0
    var wishes = readers != 0 ? readStreams(mask: readers, record, view, isFirst: true) : Wishes()
    let beginning = unstarted & plugins(of: record.pointee.key) & ~UInt64(readers)
    wishes.add(stage.run(.create, mask: beginning, view, blocks(of: record)))
    let started = record.pointee.interest & ~UInt32(truncatingIfNeeded: unstarted) & ~readers
    wishes.add(stage.run(.update, mask: UInt64(started), view, blocks(of: record)))
    if wishes.verdict.rawValue & Verdict.endsRecord != 0 {
      endAsWished(wishes, packet, record, direction: direction, streamsOf: record)
    }
  }

  // MARK: End

  /// Takes `record` out of its bucket and hands it out.
  mutating func endFlow(
    _ record: UnsafeMutablePointer<FlowRecord>, hash: UInt64, reason: FlowEndReason
  ) {
    if let (bucket, lane) = place(of: record, hash: hash) { end(record, bucket, lane: lane, reason: reason) }
  }

  /// Where a record that is in the table stands.
  @inline(__always)
  private func place(of record: UnsafeMutablePointer<FlowRecord>, hash: UInt64) -> (Bucket, lane: Int)? {
    let index = record.pointee.index
    if !record.pointee.isGuest {
      let home = table.bucket(table.bucketIndex(hash))
      return home.lane(of: index, signature: FlowTable.signature(hash)).map { (home, $0) }
    }
    var step: UInt64 = 0
    while step < UInt64(FlowTable.groupSize) {
      let bucket = table.guestBucket(hash, step: step)
      if let lane = bucket.lane(of: index, signature: FlowTable.signature(hash)) { return (bucket, lane) }
      step &+= 1
    }
    return nil
  }

  /// A guest leaves: its own bucket has one less elsewhere.
  @inline(never)
  private func leaveHome(_ record: UnsafeMutablePointer<FlowRecord>) {
    let home = table.bucket(table.bucketIndex(hash(of: record)))
    let guests = home.guests
    if guests > 0 { home.setGuests(guests &- 1) } else { noteFault() }
  }

  /// Takes the record at `lane` out of the table, finishes its plugins and puts it into the outbox.
  mutating func end(
    _ record: UnsafeMutablePointer<FlowRecord>, _ bucket: Bucket, lane: Int, reason: FlowEndReason
  ) {
    if record.pointee.isGuest { leaveHome(record) }
    table.remove(bucket, lane: lane)
    // The cold line is what export, or whoever takes the record back, looks at first.
    martlet_prefetch(UnsafeRawPointer(record) + 64)
    record.pointee.endReason = reason
    // No packet can match a key with this mark, should its number still stand in a packet as candidate.
    record.pointee.key.rest |= Key.departed
    martlet_trace_record(record)
    let unstarted = record.pointee.unstarted
    record.pointee.presence = stage.finish(
      mask: slotsByProtocol[record.pointee.key.protocolNumber] & ~unstarted, blocks(of: record))
    martlet_trace_record(nil)
    counters.pointee.ended[total: Int(reason.rawValue)] &+= 1
    counters.pointee.endedPackets &+=
      UInt64(record.pointee.forwardPackets) &+ UInt64(record.pointee.reversePackets)
    // Whoever ends flows asks for room first. Safe: the line below checks it all the same.
    guard finished >= 0, finished < Self.outboxCapacity else { return noteFault() }
    outbox[finished] = UnsafeMutableRawPointer(record)
    finished &+= 1
  }

  /// Makes room for a flow of `bucket`: ends its least recently seen one, or where it is empty, that of the bucket to which
  /// the hand points. The hand goes round the table, and what it points to was asked for when it came there. Returns the
  /// lanes of `bucket` that are free now besides `free`: to read them again would wait for what was just written.
  private mutating func evict(for bucket: Bucket, free: UInt32) -> UInt32 {
    guard finished < Self.outboxCapacity else { return 0 }
    let lane = endOldest(of: bucket, occupied: ~free & 0xFF)
    if lane != 0 { return lane }
    for _ in 0..<64 {
      let other = table.bucket(evictionHand)
      let found = endOldest(of: other, occupied: other.occupied) != 0
      evictionHand = table.bucket(after: evictionHand)
      if found { break }
    }
    let next = table.bucket(evictionHand)
    table.prefetchRecords(of: next, lanes: next.occupied)
    table.bucket(table.bucket(after: evictionHand)).prefetch()
    return 0
  }

  /// Ends the least recently seen flow of `bucket`; returns its lane as a mask, 0 when the bucket is empty.
  @inline(__always)
  private mutating func endOldest(of bucket: Bucket, occupied: UInt32) -> UInt32 {
    guard occupied != 0 else { return 0 }
    // Two at a time, the last one maybe with itself: most buckets have one or two, and how many cannot be predicted.
    var oldest = occupied.trailingZeroBitCount
    var rest = occupied & (occupied &- 1)
    var before = lastArrival(bucket, oldest)
    repeat {
      let lane = rest == 0 ? oldest : rest.trailingZeroBitCount
      let last = lastArrival(bucket, lane)
      oldest = last < before ? lane : oldest
      before = min(last, before)
      rest &= rest &- 1
    } while rest != 0
    end(table.record(bucket.recordIndex(oldest)), bucket, lane: oldest, reason: .lackOfResources)
    return 1 &<< UInt32(truncatingIfNeeded: oldest)
  }

  /// When the last packet of the flow at `lane` was received, on the worker's clock, which the packets' own times may lag
  /// behind. How far is in the cold line.
  @inline(__always)
  private func lastArrival(_ bucket: Bucket, _ lane: Int) -> UInt64 {
    let record = table.record(bucket.recordIndex(lane))
    return record.pointee.isLagging ? record.pointee.dueTime(record.pointee.last) : record.pointee.last
  }
}

/// Where a new flow can stand.
private struct FreeLane {
  var bucket: Bucket
  /// The free places (bit = lane).
  var free: UInt32
  /// It is not the flow's own bucket.
  var isGuest = false
}
