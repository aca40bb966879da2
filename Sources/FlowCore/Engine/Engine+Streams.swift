// How TCP's bytes reach the plugins that read streams: a segment goes through its direction's `ByteStream`, and each reader
// sees what it did not take yet.
import CIntrinsics
import Wire

extension Engine {
  /// Takes a TCP segment into its direction's stream and shows the readers in `mask` what they have not taken of it.
  @inline(never)
  mutating func readStreams(
    mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView
  ) -> Verdict {
    guard let header = view.tcpHeader else { return Verdict(rawValue: 0) }
    var sequence = header.load(UInt32.self, at: 4)
    let direction = view.isForward ? 0 : 1
    // Safe: the layout keeps two streams behind the head of each record where a plugin reads them.
    let place =
      (UnsafeMutableRawPointer(record) + FlowRecord.size).assumingMemoryBound(to: ByteStream.self) + direction
    var stream = place.pointee
    defer { place.pointee = stream }
    if view.tcpFlags & TCPFlags.syn != 0 {
      stream.begin(sequence)
      sequence &+= 1
    }
    guard view.payloadCaptured > 0 else { return Verdict(rawValue: 0) }
    var blocks = self.blocks(of: record)
    martlet_trace_flow(view.packet, record)
    if stream.isEarly(sequence), stage.recognise(view.payload, mask: mask) {
      stream.jump(to: sequence, &counters.pointee.streams)
    }
    let arrival = stream.take(
      view.payload, length: view.payloadLength, sequence: sequence, &counters.pointee.streams, &blocks)
    guard !arrival.bytes.isEmpty else { return Verdict(rawValue: 0) }
    return show(arrival, of: &stream, mask: mask, direction: direction, record, view, blocks)
  }

  /// Shows each reader what is new to it, and keeps what one of them needs again.
  @inline(__always)
  private mutating func show(
    _ arrival: ByteStream.Arrival, of stream: inout ByteStream, mask: UInt32, direction: Int,
    _ record: UnsafeMutablePointer<FlowRecord>, _ view: PacketView, _ blocks: FlowBlocks
  ) -> Verdict {
    var verdicts = Verdict(rawValue: 0)
    var lowest = arrival.bytes.count
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      let bit: UInt32 = rest & (0 &- rest)
      rest &= rest &- 1
      let position = self.position(number, direction, record)
      // Positions count in kept bytes; what begins anew is new to all.
      let before = arrival.isKept && !arrival.isAfterGap ? Int(position.pointee) : 0
      let bytes = arrival.bytes.dropFirst(before)
      guard !bytes.isEmpty else { continue }
      let reading = stage.read(
        StreamBytes(bytes: bytes, isForward: direction == 0, isAfterGap: arrival.isAfterGap), number: number,
        view, blocks)
      verdicts.formUnion(reading.verdict)
      if reading.verdict.contains(.done) {
        record.pointee.interest &= ~bit
      } else {
        let taken = before &+ min(bytes.count, max(0, reading.taken))
        position.pointee = UInt16(truncatingIfNeeded: taken)
        lowest = min(lowest, taken)
      }
    }
    settle(
      arrival, of: &stream, from: lowest, mask: mask & record.pointee.interest, direction, record, blocks)
    return verdicts
  }

  /// Keeps the bytes of `arrival` from `taken` on, or none when all were taken, and moves the readers' positions along.
  @inline(__always)
  private mutating func settle(
    _ arrival: ByteStream.Arrival, of stream: inout ByteStream, from taken: Int, mask: UInt32,
    _ direction: Int,
    _ record: UnsafeMutablePointer<FlowRecord>, _ blocks: FlowBlocks
  ) {
    if taken == arrival.bytes.count {
      if arrival.isKept { stream.release(arrival, blocks) }
      return
    }
    var blocks = blocks
    let moved = stream.keep(arrival, from: taken, &counters.pointee.streams, &blocks)
    var rest = mask
    while rest != 0 {
      let position = self.position(rest.trailingZeroBitCount, direction, record)
      position.pointee =
        moved.map { position.pointee &- min(position.pointee, UInt16(truncatingIfNeeded: $0)) } ?? 0
      rest &= rest &- 1
    }
  }

  /// How many of the kept bytes the reader in slot `number` took.
  @inline(__always)
  private func position(_ number: Int, _ direction: Int, _ record: UnsafeMutablePointer<FlowRecord>)
    -> UnsafeMutablePointer<UInt16>
  {
    // Safe: the layout gave each reader two positions behind the streams.
    (UnsafeMutableRawPointer(record) + Int(stage.slots[number].positionsOffset))
      .assumingMemoryBound(to: UInt16.self) + direction
  }
}
