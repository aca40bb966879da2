// rtt: how long the handshake of a TCP or QUIC connection takes on either side of the probe, and how TCP's segments fare.
import IPFIX
import Wire

/// `--plugin rtt`.
///
///     client          probe          server
///       | SYN, Initial  |               |
///       |-------------->|-------------->|
///       |               |               |  server's round trip
///       |<--------------|<--------------|
///       |  client's     |  SYN-ACK, …   |
///       |-------------->|-------------->|
///       |  ACK, …       |               |
///
/// What was sent again before it was answered is not measured, since nobody knows which of both the answer is to (Karn and
/// Partridge, SIGCOMM 1987). Nobody sends again within 200 ms, though: then the capture has a copy, or QUIC's hello is in
/// several datagrams, and the first one counts.
struct RoundTrip: FlowPlugin {
  static let name = "rtt"
  static let summary = "round trips of TCP's and QUIC's handshakes, retransmissions, disorder, zero windows"
  static let protocols: FlowProtocols = [.tcp, .udp]
  static let exportsContent = false

  /// How far the handshake is.
  enum Phase: UInt8, BitwiseCopyable {
    /// Nothing was seen yet.
    case none
    /// The client asked: SYN, or an Initial packet.
    case asked
    /// The server answered: SYN-ACK, or any packet with a long header.
    case answered
    /// It is over, or its beginning was not seen.
    case over
  }

  struct State: FlowState {
    var forward = SegmentOrder()
    var reverse = SegmentOrder()
    /// When the last step of the handshake was seen.
    var mark: UInt32 = 0
    /// The round trips in microseconds, 0 where not measured.
    var server: UInt32 = 0
    var client: UInt32 = 0
    var phase = Phase.none
    /// The last step was repeated.
    var isRepeated = false
    /// The source of the flow answered: it is the server.
    var isServerFirst = false
    /// The flow is TCP or QUIC.
    var isPresent = false
  }

  /// What is repeated is repeated later than this, in microseconds: first timeouts are 1 s (RFC 6298 section 2.1, RFC 9002
  /// section 6.2.2), those of hasty stacks a few hundred ms.
  private static let soonestRepetition: Int32 = 200_000

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if packet.protocolNumber == IPProtocol.udp {
      guard QUIC.mayBeLongHeader(packet.payload), RoundTrip.begins(packet) else { return .done }
      state.isPresent = true
      state.phase = .asked
      state.mark = RoundTrip.now(packet)
      return .more
    }
    return update(&state, packet, &flow)
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if packet.protocolNumber == IPProtocol.tcp {
      RoundTrip.follow(&state, packet)
      return .more
    }
    return packet.protocolNumber == IPProtocol.udp ? RoundTrip.followDatagram(&state, packet) : .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  /// Microseconds modulo 2³².
  @inline(__always)
  private static func now(_ packet: PacketView) -> UInt32 { UInt32(truncatingIfNeeded: packet.microseconds) }

  /// What is exported of the time since `mark`: at least 1, because 0 says that nothing was measured.
  private static func measured(_ state: State, until now: UInt32) -> UInt32 {
    let difference = Int32(bitPattern: now &- state.mark)
    return state.isRepeated || difference < 0 ? 0 : UInt32(max(1, difference))
  }

  /// Notes that the last step is seen again.
  private static func repeated(_ state: inout State, at now: UInt32) {
    if Int32(bitPattern: now &- state.mark) > soonestRepetition { state.isRepeated = true }
  }

  /// Goes on to `phase` at the time `now`.
  private static func step(_ state: inout State, _ phase: Phase, at now: UInt32) {
    state.phase = phase
    state.mark = now
    state.isRepeated = false
  }

  // MARK: TCP

  @inline(never)
  private static func follow(_ state: inout State, _ packet: PacketView) {
    guard let header = packet.tcpHeader else { return }
    let segment = Segment(header, packet, now: now(packet))
    state.isPresent = true
    if state.phase != .over { followHandshake(&state, segment, isForward: packet.isForward) }
    // What fills a gap sooner than an answer can have come back is no repetition.
    let roundTrip = state.server &+ state.client
    if packet.isForward {
      SegmentOrder.note(segment, in: &state.forward, other: &state.reverse, roundTrip)
    } else {
      SegmentOrder.note(segment, in: &state.reverse, other: &state.forward, roundTrip)
    }
  }

  @inline(never)
  private static func followHandshake(_ state: inout State, _ segment: Segment, isForward: Bool) {
    let isFromServer = isForward == state.isServerFirst
    let other = isForward ? state.reverse : state.forward
    if segment.flags & TCPFlags.reset != 0 {
      // A server that refuses answers, too.
      if state.phase == .asked, isFromServer, segment.isAcknowledgement, other.isReached(by: segment) {
        state.server = measured(state, until: segment.now)
      }
      state.phase = .over
    } else if segment.flags & TCPFlags.syn == 0 {
      // With the first segment that acknowledges the SYN-ACK the handshake is over.
      if state.phase == .answered, !isFromServer, segment.isAcknowledgement {
        if other.isReached(by: segment) { state.client = measured(state, until: segment.now) }
        state.phase = .over
      } else if state.phase == .none {
        state.phase = .over
      }
    } else if !segment.isAcknowledgement {
      guard state.phase == .none || !isFromServer else {
        // Both sides open the connection at once.
        state.phase = .over
        return
      }
      let own = isForward ? state.forward : state.reverse
      if state.phase == .none || segment.end != own.next {
        state.isServerFirst = !isForward
        step(&state, .asked, at: segment.now)
      } else if state.phase == .asked {
        repeated(&state, at: segment.now)
      }
    } else if state.phase == .none {
      state.isServerFirst = isForward
      step(&state, .answered, at: segment.now)
    } else if isFromServer {
      if state.phase == .answered {
        repeated(&state, at: segment.now)
      } else {
        if other.isReached(by: segment) { state.server = measured(state, until: segment.now) }
        step(&state, .answered, at: segment.now)
      }
    }
  }

  // MARK: QUIC

  /// The first packet of a datagram with a long header, as far as its header tells without keys.
  private static func longPacket(_ packet: PacketView) -> QUIC.LongPacket? {
    var reader = QUIC.DatagramReader(packet.payload, length: packet.payloadLength)
    return reader.next()
  }

  /// Whether a client's first datagram begins a connection (RFC 9000 sections 7.2 and 14.1).
  @inline(never)
  private static func begins(_ packet: PacketView) -> Bool {
    guard packet.payloadLength >= 1200, let first = longPacket(packet) else { return false }
    return first.type.rawValue == QUIC.PacketType.initial.rawValue && first.destination.count >= 8
  }

  /// The source of the flow is the client.
  @inline(never)
  private static func followDatagram(_ state: inout State, _ packet: PacketView) -> Verdict {
    let now = now(packet)
    let first = longPacket(packet)?.type
    switch state.phase {
    case .asked where packet.isForward:
      // What follows at once belongs to the same hello, and so does data that does not wait for the answer.
      if case .initial? = first { repeated(&state, at: now) }
      return .more
    case .asked:
      guard first != nil else { return .done }
      state.server = measured(state, until: now)
      step(&state, .answered, at: now)
      return .more
    case .answered where packet.isForward:
      if case .zeroRTT? = first { return .more }
      if first != nil { state.client = measured(state, until: now) }
      return .done
    case .answered:
      repeated(&state, at: now)
      return .more
    default: return .done
    }
  }

  // MARK: Fields

  static let server = InformationElement(
    .martlet, 80, "handshakeServerRoundTrip", .unsigned32, semantics: .quantity, units: .microseconds)
  static let client = InformationElement(
    .martlet, 81, "handshakeClientRoundTrip", .unsigned32, semantics: .quantity, units: .microseconds)
  static let retransmissions = InformationElement(
    .martlet, 82, "tcpRetransmissionCount", .unsigned32, semantics: .totalCounter, units: .packets)
  static let outOfOrder = InformationElement(
    .martlet, 83, "tcpOutOfOrderCount", .unsigned32, semantics: .totalCounter, units: .packets)
  static let zeroWindows = InformationElement(
    .martlet, 84, "tcpZeroWindowCount", .unsigned32, semantics: .totalCounter, units: .packets)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(Self.server, state.server)
    writer.unsigned32(Self.client, state.client)
    writer.unsigned32(Self.retransmissions, state.forward.retransmissions)
    writer.unsigned32(Self.retransmissions.reversed, state.reverse.retransmissions)
    writer.unsigned32(Self.outOfOrder, state.forward.outOfOrder)
    writer.unsigned32(Self.outOfOrder.reversed, state.reverse.outOfOrder)
    writer.unsigned32(Self.zeroWindows, state.forward.zeroWindows)
    writer.unsigned32(Self.zeroWindows.reversed, state.reverse.zeroWindows)
  }
}
