// The bytes of one direction of a TCP connection in order, as long as a plugin reads them: once for all plugins.
//
// A segment that comes in order is handed on where it lies; nothing is copied. Bytes are kept only when a reader says that it
// needs more, or when a segment comes too early.
import Wire

/// One direction's state, kept in the flow's record where an enabled plugin reads streams.
struct ByteStream: BitwiseCopyable {
  enum Phase: UInt8, BitwiseCopyable {
    /// Nothing was seen: the first segment, wherever it is in the connection, begins the stream.
    case unknown
    /// `next` is the sequence number of the byte that is due; nothing is kept.
    case open
    /// Bytes from `next` on are kept in `block`: what readers did not take yet, and what came too early.
    case keeping
  }

  /// How far ahead of the byte that is due a segment is kept: a few segments, so that one packet cannot take a large block.
  static let window = 6144
  /// How many segments may come while one is missing. Then what was missing is given up.
  static let patience: UInt8 = 16
  /// A segment this far behind is no retransmission: the capture begins anew here, or the addresses were used again.
  static let farBehind = -(1 << 20)

  var next: UInt32 = 0
  var block = BlockReference()
  /// Segments that came since one is missing.
  private var waited: UInt8 = 0
  private(set) var phase = Phase.unknown

  /// What a segment adds.
  struct Arrival: BitwiseCopyable {
    /// The bytes from `next` on, as far as they are there without a gap; empty when the segment adds nothing.
    var bytes: Bytes
    /// Whether they lie in the block, where readers have positions.
    var isKept: Bool
    /// Bytes of the last segment that were not captured: they lie between `bytes` and the byte that is due.
    var missing = 0
    /// Bytes before them were given up.
    var isAfterGap = false
  }

  /// Notes a SYN with this sequence number: the stream's first byte follows it.
  @inline(__always)
  mutating func begin(_ sequence: UInt32) {
    guard phase != .keeping else { return }
    next = sequence &+ 1
    phase = .open
  }

  /// Whether a segment with this sequence number comes before others that are missing.
  @inline(__always)
  func isEarly(_ sequence: UInt32) -> Bool {
    phase != .unknown && sequence != next && Int32(bitPattern: sequence &- next) > 0
  }

  /// Gives up what is missing before `sequence`, and what was kept.
  mutating func jump(to sequence: UInt32, _ counters: inout StreamCounters) {
    counters.gaps &+= 1
    next = sequence
    phase = .open
  }

  /// Takes a segment in whose place `length` bytes were sent, of which `segment` were captured.
  /// - Complexity: O(1) in order; O(the segment's length) where bytes are kept
  @inline(__always)
  mutating func take(
    _ segment: Bytes, length: Int, sequence: UInt32, _ counters: inout StreamCounters,
    _ blocks: inout FlowBlocks
  ) -> Arrival {
    if phase == .open, sequence == next {
      next = sequence &+ UInt32(truncatingIfNeeded: length)
      return Arrival(bytes: segment, isKept: false, missing: length &- segment.count)
    }
    return takeOther(segment, length: length, sequence: sequence, &counters, &blocks)
  }

  /// Every segment but the one that is due while nothing is kept.
  @inline(never)
  private mutating func takeOther(
    _ segment: Bytes, length: Int, sequence: UInt32, _ counters: inout StreamCounters,
    _ blocks: inout FlowBlocks
  ) -> Arrival {
    let offset = Int(Int32(bitPattern: sequence &- next))
    switch phase {
    case .unknown:
      return restart(segment, length: length, sequence: sequence)
    case .open:
      if offset < 0 {
        if offset < ByteStream.farBehind { return restart(segment, length: length, sequence: sequence) }
        // What was handed on stays as it was; only what is behind it is new.
        let new = segment.dropFirst(0 &- offset)
        if length &+ offset > 0 { next = sequence &+ UInt32(truncatingIfNeeded: length) }
        return Arrival(bytes: new, isKept: false, missing: max(0, length &+ offset) &- new.count)
      }
      if offset <= ByteStream.window, PieceBuffer.begin(&block, room: offset &+ segment.count, &blocks),
        case .kept = PieceBuffer.put(segment, at: offset, in: &block, &blocks)
      {
        phase = .keeping
        waited = 0
        return nothing(segment)
      }
      counters.gaps &+= 1
      return restart(segment, length: length, sequence: sequence, isAfterGap: true)
    case .keeping:
      return keep(segment, length: length, sequence: sequence, offset: offset, &counters, &blocks)
    }
  }

  private mutating func keep(
    _ segment: Bytes, length: Int, sequence: UInt32, offset: Int, _ counters: inout StreamCounters,
    _ blocks: inout FlowBlocks
  ) -> Arrival {
    let before = PieceBuffer.read(block, blocks).filled
    if offset < ByteStream.farBehind || offset > before &+ ByteStream.window {
      // The connection went on elsewhere.
      counters.gaps &+= 1
      return restart(segment, length: length, sequence: sequence, isAfterGap: true)
    }
    let piece = segment.dropFirst(0 &- min(0, offset))
    if !piece.isEmpty, case .lost = PieceBuffer.put(piece, at: max(0, offset), in: &block, &blocks) {
      counters.lost &+= 1
    }
    let buffer = PieceBuffer.read(block, blocks)
    if buffer.filled > before {
      waited = 0
      return Arrival(bytes: buffer.bytes(block, blocks), isKept: true)
    }
    waited = waited < .max ? waited &+ 1 : waited
    guard waited > ByteStream.patience else { return nothing(segment) }
    return giveUp(segment, buffer, &counters, &blocks)
  }

  /// What is missing does not come: what came behind it is handed on, up to the next gap.
  private mutating func giveUp(
    _ segment: Bytes, _ buffer: PieceBuffer, _ counters: inout StreamCounters, _ blocks: inout FlowBlocks
  ) -> Arrival {
    counters.gaps &+= 1
    waited = 0
    guard let (start, end) = buffer.firstIsland else {
      // Nobody takes what is there, and nothing new comes.
      next &+= UInt32(truncatingIfNeeded: buffer.filled)
      phase = .open
      return nothing(segment)
    }
    let island = buffer.bytes(block, start, end, blocks)
    next &+= UInt32(truncatingIfNeeded: start)
    guard PieceBuffer.begin(&block, room: island.count, &blocks),
      case .kept = PieceBuffer.put(island, at: 0, in: &block, &blocks)
    else { return nothing(segment) }
    return Arrival(
      bytes: PieceBuffer.read(block, blocks).bytes(block, blocks), isKept: true, isAfterGap: true)
  }

  private mutating func restart(_ segment: Bytes, length: Int, sequence: UInt32, isAfterGap: Bool = false)
    -> Arrival
  {
    next = sequence &+ UInt32(truncatingIfNeeded: length)
    phase = .open
    return Arrival(
      bytes: segment, isKept: false, missing: length &- segment.count, isAfterGap: isAfterGap)
  }

  private func nothing(_ segment: Bytes) -> Arrival { Arrival(bytes: segment.prefix(0), isKept: false) }

  // MARK: After reading

  /// All readers took all of `arrival`.
  @inline(__always)
  mutating func release(_ arrival: Arrival, _ blocks: FlowBlocks) {
    guard arrival.isKept else { return }
    guard PieceBuffer.read(block, blocks).ranges.hasNoIslands else { return }
    next &+= UInt32(truncatingIfNeeded: arrival.bytes.count)
    phase = .open
  }

  /// Some reader needs the bytes of `arrival` from `taken` on again. Returns by how much the readers' positions go back
  /// because the block begins with other bytes now; nil when the bytes could not be kept: they are gone for all readers.
  mutating func keep(
    _ arrival: Arrival, from taken: Int, _ counters: inout StreamCounters, _ blocks: inout FlowBlocks
  ) -> Int? {
    let rest = arrival.bytes.dropFirst(taken)
    if !arrival.isKept {
      let sequence = next &- UInt32(truncatingIfNeeded: rest.count &+ arrival.missing)
      guard rest.count < PieceBuffer.limit, PieceBuffer.begin(&block, room: rest.count, &blocks),
        case .kept = PieceBuffer.put(rest, at: 0, in: &block, &blocks)
      else {
        counters.lost &+= 1
        return nil
      }
      next = sequence
      phase = .keeping
      waited = 0
      return taken
    }
    let buffer = PieceBuffer.read(block, blocks)
    if buffer.filled >= PieceBuffer.limit {
      // As much as one direction may keep: the rest is for nobody.
      counters.full &+= 1
      next &+= UInt32(truncatingIfNeeded: buffer.filled)
      phase = .open
      return nil
    }
    // Where half of the block was taken, the other half moves to the front, so that the block serves a long stream.
    guard taken > 0, taken &* 2 >= buffer.filled, buffer.ranges.hasNoIslands else { return 0 }
    guard PieceBuffer.begin(&block, room: rest.count, &blocks),
      case .kept = PieceBuffer.put(rest, at: 0, in: &block, &blocks)
    else { return nil }
    next &+= UInt32(truncatingIfNeeded: taken)
    return taken
  }
}

/// What streams lost, by cause; one of each worker.
public struct StreamCounters: BitwiseCopyable, Sendable {
  /// Gaps given up: a segment was missing for too long, or the stream went on too far ahead.
  public var gaps: UInt64 = 0
  /// Segments that could not be kept: no block in the slab, or too many pieces.
  public var lost: UInt64 = 0
  /// Streams of which a reader wanted more than is kept.
  public var full: UInt64 = 0

  public init() {}
}
