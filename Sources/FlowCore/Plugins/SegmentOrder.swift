// In which order the segments of one direction of TCP come, from their headers alone: which came again, which came late.
import Wire

/// What a segment's header says.
struct Segment: BitwiseCopyable {
  let sequence: UInt32
  let acknowledgement: UInt32
  let window: UInt16
  let flags: UInt8
  /// Bytes of data.
  let length: UInt32
  /// When it was received, microseconds modulo 2³².
  let now: UInt32

  @inline(__always)
  init(_ header: Bytes, _ packet: PacketView, now: UInt32) {
    sequence = header.load(UInt32.self, at: 4)
    acknowledgement = header.load(UInt32.self, at: 8)
    window = header.load(UInt16.self, at: 14)
    flags = packet.tcpFlags
    length = UInt32(truncatingIfNeeded: packet.payloadLength)
    self.now = now
  }

  /// Whether `acknowledgement` means something.
  @inline(__always) var isAcknowledgement: Bool { flags & TCPFlags.acknowledge != 0 }

  /// What it takes of the sequence: its data, and one each for SYN and FIN (RFC 9293 section 3.4).
  @inline(__always) var span: UInt32 {
    length &+ UInt32(flags & TCPFlags.fin) &+ UInt32((flags & TCPFlags.syn) >> 1)
  }

  /// The sequence number behind it.
  @inline(__always) var end: UInt32 { sequence &+ span }
}

/// What is known of one direction. Numbers of the sequence are compared modulo 2³² (RFC 9293 section 3.4).
///
///     … seen … | gapStart: not seen … gapEnd | … seen … | next
struct SegmentOrder: BitwiseCopyable {
  /// The sequence number behind the last byte of all that was seen.
  private(set) var next: UInt32 = 0
  /// From the first byte that is missing to the last one; the same where none is. What lies between two gaps counts as missing.
  private var gapStart: UInt32 = 0
  private var gapEnd: UInt32 = 0
  /// When the first byte was seen to be missing.
  private var gapTime: UInt32 = 0
  /// Segments that came again, or later than a repetition can come; segments that came late.
  private(set) var retransmissions: UInt32 = 0
  private(set) var outOfOrder: UInt32 = 0
  /// Segments that let the other side send nothing.
  private(set) var zeroWindows: UInt32 = 0
  private var hasBegun = false
  /// The last segment had a window of 0.
  private var isClosed = false

  /// How late a segment may come, in microseconds, where no round trip was measured: as tshark has it.
  private static let usualDelay: UInt32 = 3000
  /// A gap that stays open for so long, in microseconds, is forgotten when the next one opens.
  private static let longestGap: UInt32 = 1_000_000
  /// A segment further off than the largest window (RFC 7323 section 2.3) is not of what was seen before.
  private static let farAway: Int32 = 1 << 30

  /// Notes a segment of the direction `own`; `other` is the opposite one, `roundTrip` the handshake's or 0.
  @inline(__always)
  static func note(
    _ segment: Segment, in own: inout SegmentOrder, other: inout SegmentOrder, _ roundTrip: UInt32
  ) {
    if segment.flags & TCPFlags.synFinOrReset == 0 {
      own.isClosed = segment.window == 0
      own.zeroWindows &+= own.isClosed ? 1 : 0
    }
    if other.gapStart != other.gapEnd, segment.isAcknowledgement,
      Int32(bitPattern: segment.acknowledgement &- other.gapEnd) >= 0
    {
      // It was received, on whatever way.
      other.gapStart = other.gapEnd
    }
    // One byte that asks whether the window is open again is taken by nobody.
    if segment.sequence == own.next, own.hasBegun, !(segment.length == 1 && other.isClosed) {
      own.next = segment.end
    } else {
      own.noteOther(segment, isOtherClosed: other.isClosed, roundTrip)
    }
  }

  /// Whether `segment` of the other direction acknowledges what this one began with: its SYN, and perhaps data behind it.
  func isReached(by segment: Segment) -> Bool { next &- segment.acknowledgement < 1 << 16 }

  /// Begins with what follows `end`.
  private mutating func begin(_ end: UInt32) {
    next = end
    gapStart = end
    gapEnd = end
    hasBegun = true
  }

  /// Notes a segment that is not the one that is due.
  @inline(never)
  private mutating func noteOther(_ segment: Segment, isOtherClosed: Bool, _ roundTrip: UInt32) {
    let distance = Int32(bitPattern: segment.sequence &- next)
    // What resets a connection need not know its numbers.
    guard segment.flags & TCPFlags.reset == 0 else { return }
    // Another connection's SYN is ahead of this one's bytes (RFC 6528), a copy of its own is not far behind them.
    let limit = segment.flags & TCPFlags.syn == 0 ? Self.farAway : 0
    guard hasBegun, distance < limit, distance > 0 &- Self.farAway else { return begin(segment.end) }
    let isData = segment.flags & TCPFlags.synFinOrReset == 0
    if distance >= 0 {
      // A probe of a closed window changes nothing.
      if segment.length == 1, isData, isOtherClosed, distance == 0 { return }
      // A segment without data is behind all that was sent, too.
      if distance > 0 { open(until: segment.sequence, at: segment.now) }
      next = segment.end
      return
    }
    guard segment.span > 0 else { return }
    // The byte before the one that is due, or none, asks whether the other side is alive (RFC 9293 section 3.8.4).
    if distance == -1, isData, segment.length == 1 { return }
    noteEarlier(segment, roundTrip)
    if Int32(bitPattern: segment.end &- next) > 0 { next = segment.end }
  }

  /// Bytes before `sequence` are missing.
  private mutating func open(until sequence: UInt32, at now: UInt32) {
    if gapStart == gapEnd || now &- gapTime > Self.longestGap {
      gapStart = next
      gapTime = now
    }
    gapEnd = sequence
  }

  /// Notes a segment that begins before the byte that is due.
  private mutating func noteEarlier(_ segment: Segment, _ roundTrip: UInt32) {
    let offset = segment.sequence &- gapStart
    let gap = gapEnd &- gapStart
    guard offset < gap else {
      retransmissions &+= 1
      return
    }
    if segment.now &- gapTime < (roundTrip > 0 ? roundTrip : Self.usualDelay) {
      outOfOrder &+= 1
    } else {
      retransmissions &+= 1
    }
    // What is filled at either end of the gap is not missing any more.
    let filled = min(segment.span, gap &- offset)
    if offset == 0 { gapStart &+= filled } else if offset &+ filled == gap { gapEnd = segment.sequence }
  }
}
