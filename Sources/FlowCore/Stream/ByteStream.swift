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
    /// As `open`, but readers have not seen all that came before the byte that is due.
    case broken
    /// Bytes from `next` on are kept in `block`: what readers did not take yet, and what came too early.
    case keeping
  }

  /// How many segments may come while one is missing. Then what was missing is given up.
  static let patience: UInt8 = 16
  /// A segment this far behind is no retransmission: the capture begins anew here, or the addresses were used again.
  static let farBehind = -(1 << 20)

  private(set) var next: UInt32 = 0
  /// The first byte of the stream that was seen: what comes before it is no retransmission.
  private var first: UInt32 = 0
  private(set) var block = BlockReference()
  /// Segments that came since one is missing.
  private var waited: UInt8 = 0
  private(set) var phase = Phase.unknown
  /// What is kept begins behind bytes that readers have not seen.
  private var beginsBroken = false

  /// What a segment adds.
  struct Arrival: BitwiseCopyable {
    /// The bytes that are there without a gap, from the first one that is kept or due on; empty when the segment adds none.
    var bytes: Bytes
    /// Whether they lie in the block, where readers have positions.
    var isKept = false
    /// Bytes of the last segment that were not captured: they lie between `bytes` and the byte that is due.
    var missing = 0
    /// Bytes before them were not seen and will not be.
    var isAfterGap = false
  }

  /// Notes a SYN with this sequence number: the stream's first byte follows it.
  @inline(__always)
  mutating func begin(_ sequence: UInt32) {
    guard phase != .keeping else { return }
    next = sequence &+ 1
    first = next
    phase = .open
  }

  /// Whether a segment with this sequence number comes before others that are missing, or is one of those that were missing
  /// when the stream began in the midst of a connection; while readers wait for nothing.
  @inline(__always)
  func isElsewhere(_ sequence: UInt32, _ blocks: FlowBlocks) -> Bool {
    guard sequence != next, phase != .unknown else { return false }
    guard Int32(bitPattern: sequence &- next) > 0 || Int32(bitPattern: sequence &- first) < 0 else {
      return false
    }
    return phase != .keeping || PieceBuffer.read(block, blocks).filled == 0
  }

  /// Goes on with the segment at `sequence`: gives up what is missing before it, and what came behind it.
  mutating func jump(to sequence: UInt32, _ counters: inout StreamCounters) {
    counters.gaps &+= 1
    next = sequence
    first = sequence
    phase = .broken
  }

  /// Takes a segment, captured whole, if it is the one that is due and nothing is kept: then its bytes are what it adds.
  @inline(__always)
  mutating func takesDue(_ sequence: UInt32, length: Int) -> Bool {
    guard phase == .open, sequence == next else { return false }
    next = sequence &+ UInt32(truncatingIfNeeded: length)
    return true
  }

  /// Takes a segment of `length` bytes, of which `segment` were captured; any but one that `takesDue` took.
  /// - Complexity: O(the segment's length) where bytes are kept, else O(1)
  mutating func takeOther(
    _ segment: Bytes, length: Int, sequence: UInt32, _ counters: inout StreamCounters,
    _ blocks: inout FlowBlocks
  ) -> Arrival {
    let offset = Int(Int32(bitPattern: sequence &- next))
    switch phase {
    case .unknown:
      first = sequence
      return goOn(segment, length: length, at: sequence)
    case .keeping:
      return keep(segment, length: length, sequence: sequence, offset: offset, &counters, &blocks)
    case .open, .broken:
      let isBroken = phase == .broken
      if offset == 0 { return goOn(segment, length: length, at: sequence, isAfterGap: isBroken) }
      if offset < 0, offset >= ByteStream.farBehind {
        // What was handed on stays as it was; only what is behind it is new.
        guard length &+ offset > 0 else { return nothing(segment) }
        return goOn(
          segment.dropFirst(0 &- offset), length: length &+ offset, at: next, isAfterGap: isBroken)
      }
      if offset > 0,
        PieceBuffer.begin(&block, room: min(offset, PieceBuffer.window) &+ segment.count, &blocks),
        PieceBuffer.put(segment, at: offset, in: &block, &blocks)
      {
        phase = .keeping
        beginsBroken = isBroken
        waited = 0
        return nothing(segment)
      }
      return restart(segment, length: length, at: sequence, &counters)
    }
  }

  private mutating func keep(
    _ segment: Bytes, length: Int, sequence: UInt32, offset: Int, _ counters: inout StreamCounters,
    _ blocks: inout FlowBlocks
  ) -> Arrival {
    let before = PieceBuffer.read(block, blocks).filled
    if offset < ByteStream.farBehind || offset > before &+ PieceBuffer.window {
      // The connection went on elsewhere.
      return restart(segment, length: length, at: sequence, &counters)
    }
    let piece = segment.dropFirst(0 &- min(0, offset))
    if !piece.isEmpty, !PieceBuffer.put(piece, at: max(0, offset), in: &block, &blocks) {
      counters.lost &+= 1
    }
    let buffer = PieceBuffer.read(block, blocks)
    if buffer.filled > before {
      waited = 0
      return Arrival(
        bytes: buffer.bytes(block, blocks), isKept: true, isAfterGap: before == 0 && beginsBroken)
    }
    waited = waited < .max ? waited &+ 1 : waited
    return waited > ByteStream.patience ? giveUp(segment, buffer, &counters, blocks) : nothing(segment)
  }

  /// What is missing does not come: what came behind it is handed on, up to the next gap.
  private mutating func giveUp(
    _ segment: Bytes, _ buffer: PieceBuffer, _ counters: inout StreamCounters, _ blocks: FlowBlocks
  ) -> Arrival {
    counters.gaps &+= 1
    waited = 0
    guard let (start, _) = buffer.ranges.firstIsland else {
      // Nobody takes what is there, and nothing new comes.
      next &+= UInt32(truncatingIfNeeded: buffer.filled)
      phase = .broken
      return nothing(segment)
    }
    PieceBuffer.dropFirst(start, of: block, blocks)
    next &+= UInt32(truncatingIfNeeded: start)
    return Arrival(
      bytes: PieceBuffer.read(block, blocks).bytes(block, blocks), isKept: true, isAfterGap: true)
  }

  /// Hands the segment on; the byte behind it is due next.
  private mutating func goOn(_ segment: Bytes, length: Int, at sequence: UInt32, isAfterGap: Bool = false)
    -> Arrival
  {
    next = sequence &+ UInt32(truncatingIfNeeded: length)
    phase = length > segment.count ? .broken : .open
    return Arrival(bytes: segment, missing: length &- segment.count, isAfterGap: isAfterGap)
  }

  /// Goes on elsewhere.
  private mutating func restart(
    _ segment: Bytes, length: Int, at sequence: UInt32, _ counters: inout StreamCounters
  ) -> Arrival {
    counters.gaps &+= 1
    first = sequence
    return goOn(segment, length: length, at: sequence, isAfterGap: true)
  }

  private func nothing(_ segment: Bytes) -> Arrival { Arrival(bytes: segment.prefix(0)) }

  // MARK: After reading

  /// All readers took all of `arrival`.
  @inline(__always)
  mutating func release(_ arrival: Arrival, _ blocks: FlowBlocks) {
    guard arrival.isKept, PieceBuffer.read(block, blocks).ranges.hasNoIslands else { return }
    next &+= UInt32(truncatingIfNeeded: arrival.bytes.count)
    phase = .open
  }

  /// Some reader needs the bytes of `arrival` from `taken` on again. Returns by how much the readers' positions go back
  /// because the block begins with other bytes now; nil when the bytes could not be kept: they are gone for all readers.
  mutating func keep(
    _ arrival: Arrival, from taken: Int, _ counters: inout StreamCounters, _ blocks: inout FlowBlocks
  ) -> Int? {
    if !arrival.isKept {
      let rest = arrival.bytes.dropFirst(taken)
      guard rest.count < PieceBuffer.limit, PieceBuffer.begin(&block, room: rest.count, &blocks),
        PieceBuffer.put(rest, at: 0, in: &block, &blocks)
      else {
        counters.lost &+= 1
        phase = .broken
        return nil
      }
      next &-= UInt32(truncatingIfNeeded: rest.count &+ arrival.missing)
      phase = .keeping
      beginsBroken = false
      waited = 0
      return taken
    }
    let buffer = PieceBuffer.read(block, blocks)
    if taken > 0, taken &* 2 >= buffer.filled || buffer.filled >= PieceBuffer.limit {
      // What was taken makes room, so that the block serves a long stream.
      PieceBuffer.dropFirst(taken, of: block, blocks)
      next &+= UInt32(truncatingIfNeeded: taken)
      beginsBroken = false
      return taken
    }
    if buffer.filled >= PieceBuffer.limit {
      // As much as one direction may keep: the rest is for nobody.
      counters.full &+= 1
      next &+= UInt32(truncatingIfNeeded: buffer.filled)
      phase = .broken
      return nil
    }
    return 0
  }

  // MARK: Blocks

  /// Gives its block to the other direction, if that has none and nothing lies in this one's.
  @inline(__always)
  mutating func lend(to other: inout ByteStream) {
    guard other.block.isNone, phase != .keeping else { return }
    swap(&block, &other.block)
  }

  /// The stream with its bytes in a block of another record of the same flow, `other`.
  func moved(_ blocks: FlowBlocks, to other: inout FlowBlocks, _ counters: inout StreamCounters) -> ByteStream
  {
    var stream = self
    stream.block = BlockReference()
    guard phase == .keeping else { return stream }
    if let copy = PieceBuffer.copy(block, blocks, for: &other) {
      stream.block = copy
    } else {
      counters.lost &+= 1
      stream.next &+= UInt32(truncatingIfNeeded: PieceBuffer.read(block, blocks).filled)
      stream.phase = .broken
    }
    return stream
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
