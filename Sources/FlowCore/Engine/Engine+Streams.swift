// How TCP's bytes reach the plugins that read streams: a segment goes through its direction's `ByteStream`, and each reader
// sees what it did not take yet.
import CIntrinsics
import Wire

extension Engine {
  /// Whether a packet's bytes come to the readers of streams, not to their `create` and `update`.
  @inline(__always)
  func reads(_ view: PacketView) -> Bool { view.protocolNumber == IPProtocol.tcp }

  /// Takes a TCP segment into its direction's stream and shows the readers in `mask` what they have not taken of it. Where
  /// one of them wants another record (`Wishes.again`), what the segment added is pending: `moveStreams` is to follow. The
  /// record has no packet before this one if it `isFirst`.
  @inline(never)
  mutating func readStreams(
    mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView, isFirst: Bool
  ) -> Wishes {
    guard let header = view.tcpHeader else { return Wishes() }
    var sequence = header.load(UInt32.self, at: 4)
    let streams = FlowStreams(record, isForward: view.isForward)
    var stream = streams.own.pointee
    defer { streams.own.pointee = stream }
    if view.tcpFlags & TCPFlags.syn != 0 {
      stream.begin(sequence)
      sequence &+= 1
    }
    let length = view.payloadLength
    guard length > 0 else { return Wishes() }
    let arrival =
      length == view.payloadCaptured && stream.takesDue(sequence, length: length)
      ? ByteStream.Arrival(bytes: view.payload)
      : takeOther(sequence, &stream, mask: mask, streams, record, view)
    guard !arrival.bytes.isEmpty else { return Wishes() }
    let wishes = show(arrival, mask: mask, streams, record, view, isFirst: isFirst)
    if wishes.again == 0 {
      settle(arrival, of: &stream, mask: mask & record.pointee.interest, streams, blocks(of: record))
    }
    return wishes
  }

  /// What a segment adds that is not the one that is due, or comes while bytes are kept.
  @inline(never)
  private mutating func takeOther(
    _ sequence: UInt32, _ stream: inout ByteStream, mask: UInt32, _ streams: FlowStreams,
    _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView
  ) -> ByteStream.Arrival {
    var blocks = self.blocks(of: record)
    if stream.isElsewhere(sequence, blocks), stage.recognise(view.payload, mask: mask) {
      stream.jump(to: sequence, &counters.pointee.streams)
    }
    streams.other.pointee.lend(to: &stream)
    let wasKeeping = stream.phase == .keeping
    let arrival = stream.takeOther(
      view.payload, length: view.payloadLength, sequence: sequence, &counters.pointee.streams, &blocks)
    if stream.phase == .keeping, !wasKeeping { resetPositions(streams) }
    return arrival
  }

  /// Shows the readers in `mask` what is left of the bytes at hand.
  mutating func readAgain(mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView)
    -> Wishes
  {
    show(
      arrival, mask: mask, FlowStreams(record, isForward: view.isForward), record, view, isFirst: true,
      isContinued: true)
  }

  /// Shows each reader what is new to it.
  @inline(__always)
  private mutating func show(
    _ arrival: ByteStream.Arrival, mask: UInt32, _ streams: FlowStreams,
    _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView, isFirst: Bool,
    isContinued: Bool = false
  ) -> Wishes {
    var wishes = Wishes()
    // Positions count in kept bytes; what begins anew is new to all.
    let hasPositions = isContinued || arrival.isKept && !arrival.isAfterGap
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      rest &= rest &- 1
      let position = streams.position(stage.slots[number].positionsOffset)
      let before = hasPositions ? Int(position.pointee) : 0
      let bytes = arrival.bytes.dropFirst(before)
      guard !bytes.isEmpty else { continue }
      var reading = stage.read(
        StreamBytes(bytes: bytes, isForward: view.isForward, isAfterGap: arrival.isAfterGap && before == 0),
        number: number, view, blocks(of: record), isContinued: isContinued)
      if reading.verdict.rawValue != 0 {
        // Nothing is left for another record; and only one that has a packet can end without this one.
        if reading.verdict.contains(.nextRecord), reading.taken >= bytes.count { reading = .flush }
        if reading.verdict.contains(.startNewRecord), isFirst { reading = .incomplete() }
        if reading.verdict.contains(.startNewRecord) {
          wishes.again |= 1 &<< UInt64(truncatingIfNeeded: number)
        }
        wishes.add(reading.verdict, slot: UInt8(truncatingIfNeeded: number))
        if reading.verdict.contains(.done) {
          record.pointee.interest &= ~(1 &<< UInt32(truncatingIfNeeded: number))
        }
        if reading.verdict.contains(.claims) {
          record.pointee.interest &= ~stage.slots[number].excludes
          rest &= ~stage.slots[number].excludes
        }
      }
      position.pointee = UInt16(clamping: before &+ min(bytes.count, max(0, reading.taken)))
    }
    if wishes.again != 0 { self.arrival = arrival }
    return wishes
  }

  /// Keeps the bytes of `arrival` that a reader in `mask` did not take, and moves the readers' positions along.
  @inline(__always)
  private mutating func settle(
    _ arrival: ByteStream.Arrival, of stream: inout ByteStream, mask: UInt32, _ streams: FlowStreams,
    _ blocks: FlowBlocks
  ) {
    var lowest = arrival.bytes.count
    var rest = mask
    while rest != 0 {
      let slot = stage.slots[rest.trailingZeroBitCount]
      lowest = min(lowest, Int(streams.position(slot.positionsOffset).pointee))
      rest &= rest &- 1
    }
    guard lowest < arrival.bytes.count else {
      if arrival.isKept { stream.release(arrival, blocks) }
      return
    }
    keep(arrival, of: &stream, from: lowest, streams, blocks)
  }

  @inline(never)
  private mutating func keep(
    _ arrival: ByteStream.Arrival, of stream: inout ByteStream, from lowest: Int, _ streams: FlowStreams,
    _ blocks: FlowBlocks
  ) {
    var blocks = blocks
    streams.other.pointee.lend(to: &stream)
    let moved = stream.keep(arrival, from: lowest, &counters.pointee.streams, &blocks) ?? .max
    guard moved > 0 else { return }
    var rest = streamReaders
    while rest != 0 {
      let position = streams.position(stage.slots[rest.trailingZeroBitCount].positionsOffset)
      position.pointee &-= min(position.pointee, UInt16(clamping: moved))
      rest &= rest &- 1
    }
  }

  /// Nothing of the direction's bytes was taken by any reader.
  @inline(never)
  private func resetPositions(_ streams: FlowStreams) {
    var rest = streamReaders
    while rest != 0 {
      streams.position(stage.slots[rest.trailingZeroBitCount].positionsOffset).pointee = 0
      rest &= rest &- 1
    }
  }

  // MARK: From record to record

  /// The streams of `record` as `old` has them; their bytes are still in blocks of another record.
  @inline(__always)
  func copyStreams(from old: UnsafeMutablePointer<FlowRecord>, to record: UnsafeMutablePointer<FlowRecord>) {
    // Safe: the layout has so many bytes of streams behind the head of each record.
    MutableBytes(UnsafeMutableRawPointer(record) + FlowRecord.size, count: streamsSize)
      .copy(Bytes(UnsafeRawPointer(old) + FlowRecord.size, count: streamsSize), to: 0)
  }

  /// Gives `record` the bytes of its streams, which lie in blocks of `old`; what is pending of this packet's is settled.
  @inline(never)
  mutating func moveStreams(
    from old: UnsafeMutablePointer<FlowRecord>, to record: UnsafeMutablePointer<FlowRecord>,
    _ view: PacketView,
    isPending: Bool
  ) {
    let streams = FlowStreams(record, isForward: view.isForward)
    var blocks = self.blocks(of: record)
    if old != record {
      let oldBlocks = self.blocks(of: old)
      streams.own.pointee = streams.own.pointee.moved(oldBlocks, to: &blocks, &counters.pointee.streams)
      streams.other.pointee = streams.other.pointee.moved(oldBlocks, to: &blocks, &counters.pointee.streams)
    }
    guard isPending else { return }
    // Where the bytes found no place in this record they are gone.
    guard !arrival.isKept || streams.own.pointee.phase == .keeping else { return resetPositions(streams) }
    settle(arrival, of: &streams.own.pointee, mask: record.pointee.interest & streamReaders, streams, blocks)
  }
}
