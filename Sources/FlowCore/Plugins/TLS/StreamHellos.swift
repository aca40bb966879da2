// Hellos in a TCP stream: finds where one starts, and keeps its segments until all are there.
import Wire

/// One direction of a flow, as far as hellos go.
struct HandshakeStream: BitwiseCopyable {
  /// What `block` holds.
  enum Phase: UInt8, BitwiseCopyable {
    /// No byte was seen: `next` is not known.
    case unknown
    /// Looking at the start of each segment; `next` is the sequence number expected.
    case looking
    /// As `looking`, and no byte of payload was seen yet since the SYN.
    case beginning
    /// Segments arrived before the one at `next`, which may be a hello's start: they wait in `block`.
    case waiting
    /// A hello started at `next`; its bytes lie in `block`. For DTLS `next` is the message's number
    /// (16 bits), whether it is a ServerHello (1), and its length (15).
    case collecting
  }

  var next: UInt32 = 0
  var block = BlockReference()
  var phase = Phase.unknown

  /// Whether bytes of this direction lie in `block`.
  var holdsBytes: Bool { phase.rawValue >= Phase.waiting.rawValue }

  /// Gives the block to the other direction, if that has none and nothing of this one lies in it.
  mutating func lend(to other: inout HandshakeStream) {
    guard !holdsBytes, other.block.isNone else { return }
    swap(&block, &other.block)
  }

  /// Notes a SYN: the stream's first byte follows it.
  @inline(__always)
  mutating func begin(_ sequence: UInt32) {
    guard phase.rawValue < Phase.waiting.rawValue else { return }
    next = sequence &+ 1
    phase = .beginning
  }

  /// Takes a segment; returns the hello that it completes, which is a view of the segment or of `block`.
  /// - Parameter mayReorder: Whether segments that come too early are kept although the stream has begun.
  mutating func take(
    _ segment: Bytes, length: Int, sequence: UInt32, mayReorder: Bool, _ flow: inout FlowContext
  ) -> HelloMessage? {
    // A few bytes that look right are a start only where one is expected; in the midst of a hello they are chance.
    let isExpected = phase == .unknown || next == sequence
    // What belongs to a hello under way is part of it, whatever it looks like: what arrived first stays.
    if phase == .collecting, belongs(sequence, flow) { return add(segment, sequence, &flow) }
    switch RecordStart(segment) {
    case .hello(let isSure):
      if phase != .waiting || next != sequence, let message = RecordWalk.whole(segment) {
        next = sequence &+ UInt32(truncatingIfNeeded: length)
        phase = .looking
        return message
      }
      if phase != .collecting, isSure || isExpected { return collect(segment, sequence, &flow) }
    case .preamble(let isSure):
      // The hello's own start is behind it, in this segment or the next: it is looked for where they are put together.
      if phase != .collecting, isSure || isExpected { return collect(segment, sequence, &flow) }
    case .other: break
    }
    switch phase {
    case .collecting: return add(segment, sequence, &flow)
    case .waiting: wait(segment, length, sequence, &flow)
    case .beginning, .looking: look(length, segment, sequence, mayReorder: mayReorder, &flow)
    case .unknown:
      next = sequence &+ UInt32(truncatingIfNeeded: length)
      phase = .looking
    }
    return nil
  }

  /// Whether a segment overlaps the hello under way, or continues it: not if it begins behind a gap that ends the hello.
  private func belongs(_ sequence: UInt32, _ flow: FlowContext) -> Bool {
    let offset = Int(Int32(bitPattern: sequence &- next))
    let buffer = flow.contents(block).load(HandshakeBuffer.self, at: 0)
    return offset > -65536 && (offset <= buffer.filled || offset < buffer.walk.leastEnd)
  }

  /// A hello starts with this segment.
  private mutating func collect(
    _ segment: Bytes, _ sequence: UInt32, _ flow: inout FlowContext
  ) -> HelloMessage? {
    // What came too early stays if it was waiting for this very segment.
    if phase != .waiting || next != sequence {
      guard HandshakeBuffer.begin(&block, room: segment.count, &flow) else {
        phase = .looking
        return nil
      }
    }
    next = sequence
    phase = .collecting
    return add(segment, sequence, &flow)
  }

  /// A further segment of a hello under way, or the first one.
  private mutating func add(
    _ segment: Bytes, _ sequence: UInt32, _ flow: inout FlowContext
  ) -> HelloMessage? {
    var offset = Int(Int32(bitPattern: sequence &- next))
    var piece = segment
    if offset < 0 {
      piece = segment.dropFirst(0 &- offset)
      offset = 0
    }
    // What cannot be kept is gone; its sender may send it again.
    guard !piece.isEmpty, HandshakeBuffer.put(piece, at: offset, in: &block, &flow) else { return nil }
    var buffer = flow.contents(block).load(HandshakeBuffer.self, at: 0)
    let bytes = HandshakeBuffer.bytes(block, flow)
    let progress = buffer.walk.advance(bytes, filled: buffer.filled)
    flow.contents(block).store(buffer, at: 0)
    switch progress {
    case .incomplete:
      if buffer.filled == HandshakeBuffer.limit { stop(after: buffer.filled) }
      return nil
    case .failed:
      stop(after: buffer.filled)
      return nil
    case .complete:
      stop(after: buffer.filled)
      return buffer.walk.message(in: bytes)
    }
  }

  /// Goes back to looking at the start of segments; the block is kept for the next hello.
  private mutating func stop(after length: Int) {
    next &+= UInt32(truncatingIfNeeded: length)
    phase = .looking
  }

  /// No hello is under way: a segment that comes too early may be the middle of one.
  private mutating func look(
    _ length: Int, _ segment: Bytes, _ sequence: UInt32, mayReorder: Bool, _ flow: inout FlowContext
  ) {
    let ahead = Int(Int32(bitPattern: sequence &- next))
    if ahead > 0, ahead <= HandshakeBuffer.reorderWindow, mayReorder || phase == .beginning,
      HandshakeBuffer.begin(&block, room: ahead &+ segment.count, &flow),
      HandshakeBuffer.put(segment, at: ahead, in: &block, &flow)
    {
      phase = .waiting
    } else if ahead >= 0 {
      next = sequence &+ UInt32(truncatingIfNeeded: length)
      phase = .looking
    }
  }

  /// Segments are waiting for an earlier one, and this is no hello's start.
  private mutating func wait(
    _ segment: Bytes, _ length: Int, _ sequence: UInt32, _ flow: inout FlowContext
  ) {
    let ahead = Int(Int32(bitPattern: sequence &- next))
    if ahead <= 0 {
      // The earlier segment is something else: what was waiting is of no use.
      next = sequence &+ UInt32(truncatingIfNeeded: length)
      phase = .looking
    } else if !HandshakeBuffer.put(segment, at: ahead, in: &block, &flow) {
      next = sequence &+ UInt32(truncatingIfNeeded: length)
      phase = .looking
    }
  }
}
