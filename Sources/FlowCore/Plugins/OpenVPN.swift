// ovpn: how likely a flow is OpenVPN, from the order of its packets' opcodes, which are never encrypted
// (draft-openvpn-wire-protocol).
import IPFIX
import Wire

/// `--plugin ovpn`.
///
/// A control packet, over TCP after two bytes of length; the parts in brackets with `tls-auth`, and where packets
/// are acknowledged:
///
///     | opcode 5, key 3 | session 8 | [HMAC 20, packet 4, time 4] | count 1 | [acks 4 × count, peer session 8] | packet 4 | TLS …
///
/// A client's hello acknowledges nothing, so its TLS record begins at 14 or 42; the server's acknowledges one packet,
/// and begins at 26 or 54.
struct OpenVPN: FlowPlugin {
  static let name = "ovpn"
  static let summary = "confidence that the flow is OpenVPN"
  static let exportsContent = false

  /// How far a handshake has come.
  enum Stage: UInt8, BitwiseCopyable {
    case none, clientReset, serverReset, acknowledged, clientHello, serverHello, control, data
  }

  struct State: FlowState {
    var stage = Stage.none
    /// Packets since the last one that took the handshake further.
    var idle: UInt8 = 0
    var clientIsForward = false
    /// Large packets, and those of them with the opcode of data.
    var large: UInt32 = 0
    var largeData: UInt32 = 0
  }

  /// After so many packets without progress the handshake is forgotten.
  private static let patience: UInt8 = 4
  /// A large packet has a longer payload than this.
  private static let largePayload = 500

  /// P_CONTROL_HARD_RESET_CLIENT_V1, V2, V3, tested as bits of a set: without a jump.
  @inline(__always)
  private static func isClientReset(_ opcode: UInt8) -> Bool {
    (1 << 1 | 1 << 7 | 1 << 10 as UInt32) &>> UInt32(opcode) & 1 != 0
  }

  /// P_DATA_V1, V2.
  @inline(__always)
  private static func isData(_ opcode: UInt8) -> Bool {
    (1 << 6 | 1 << 9 as UInt32) &>> UInt32(opcode) & 1 != 0
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    follow(&state, packet)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { flow.packets > 5 }

  /// Counts large packets and follows the handshake. That may begin again at any time, so that only a flow which has no
  /// opcodes is settled early.
  @inline(__always)
  private func follow(_ state: inout State, _ packet: PacketView) -> Verdict {
    let payload = packet.payload
    let message: Bytes
    switch packet.protocolNumber {
    case IPProtocol.tcp:
      guard payload.count >= 2 else { return .more }
      message = payload.dropFirst(2)
    case IPProtocol.udp:
      guard payload.count >= 1 else { return .more }
      message = payload
    default: return .done
    }
    let opcode = message.isEmpty ? 0 : message[0] >> 3
    if packet.payloadLength > Self.largePayload, !isRTP(packet) {
      state.large &+= 1
      if Self.isData(opcode) { state.largeData &+= 1 }
    }
    // Where no handshake is under way only a client's reset counts. To ask that first spares ordinary traffic, whose
    // first bytes are as good as random, the jump by the opcode that no CPU can predict.
    if state.stage != .none || Self.isClientReset(opcode) { proceed(&state, packet, message, opcode) }
    return .more
  }

  /// Takes the handshake further by one packet.
  @inline(never)
  private func proceed(_ state: inout State, _ packet: PacketView, _ message: Bytes, _ opcode: UInt8) {
    let isFromClient = packet.isForward == state.clientIsForward
    var next: Stage?
    var isMisplaced = false
    switch opcode {
    case _ where Self.isClientReset(opcode):
      state.clientIsForward = packet.isForward
      next = .clientReset
    case 2, 8:  // P_CONTROL_HARD_RESET_SERVER_V1, V2
      if state.stage == .clientReset, !isFromClient { next = .serverReset } else { isMisplaced = true }
    case 4:  // P_CONTROL_V1
      switch state.stage {
      case .acknowledged where isFromClient && isHello(message, type: 1, at: 14, or: 42): next = .clientHello
      case .clientHello where !isFromClient && isHello(message, type: 2, at: 26, or: 54): next = .serverHello
      case .serverHello, .control: next = .control
      default: isMisplaced = true
      }
    case 5:  // P_ACK_V1
      switch state.stage {
      case .serverReset where isFromClient: next = .acknowledged
      case .serverHello, .control: next = .control
      default: break
      }
    case _ where Self.isData(opcode):
      if state.stage == .control || state.stage == .data { next = .data }
    default: break  // P_CONTROL_SOFT_RESET_V1 and what is not OpenVPN
    }

    if let next {
      state.stage = next
      state.idle = 0
      return
    }
    // A control packet in the wrong place counts twice.
    if isMisplaced { state.idle &+= 1 }
    if state.idle >= Self.patience {
      state.stage = .none
      state.idle = 0
    } else {
      state.idle &+= 1
    }
  }

  /// Whether a TLS handshake record (type 22) at one of two offsets begins with a message of `type`.
  private func isHello(_ message: Bytes, type: UInt8, at plain: Int, or authenticated: Int) -> Bool {
    func isHello(at offset: Int) -> Bool {
      message.count > offset &+ 5 && message[offset] == 22 && message[offset &+ 5] == type
    }
    return isHello(at: plain) || isHello(at: authenticated)
  }

  /// Whether a packet has an RTP header (RFC 3550 section 5.1), whose first byte looks like an opcode. Payload types 72
  /// to 95 are those that RTCP's packet types would be read as.
  ///
  ///     | version 2, padding 1, extension 1, sources 4 | marker 1, payload type 7 | … 12 |
  private func isRTP(_ packet: PacketView) -> Bool {
    let payload = packet.payload
    guard packet.protocolNumber == IPProtocol.udp, payload.count >= 12, payload[0] >> 6 == 2
    else { return false }
    return !(72...95).contains(payload[1] & 0x7F)
  }

  // MARK: Fields

  static let confidence = InformationElement(.cesnet, 828, "OVPNConfLevel", .unsigned8)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned8(Self.confidence, confidence(state, packets: flow.packets))
  }

  private func confidence(_ state: State, packets: UInt64) -> UInt8 {
    if packets > 20, state.stage == .data { return 100 }
    // Without a handshake: the share of data among at least 21 large packets, from three fifths on.
    let (large, data) = (UInt64(state.large), UInt64(state.largeData))
    guard large > 20, data &* 5 >= large &* 3 else { return 0 }
    return UInt8(clamping: 80 &* data / large)
  }
}
