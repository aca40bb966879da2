// wg: WireGuard and the indexes by which its two sides know a session (https://www.wireguard.com/protocol/).
import IPFIX
import Wire

/// `--plugin wg`.
///
///     initiation  | 1 | 0 0 0 | sender 4   | ephemeral 32, static 48, time 28, MAC 16, MAC 16 |   148
///     response    | 2 | 0 0 0 | sender 4   | receiver 4 | ephemeral 32, empty 16, MAC 16, MAC 16 | 92
///     cookie      | 3 | 0 0 0 | receiver 4 | nonce 24, cookie 32 |                                64
///     data        | 4 | 0 0 0 | receiver 4 | counter 8 | packet, tag 16 |                         32 and more
///
/// Indexes are little-endian; each side chooses its own for a session. A flow is looked at when its first packet is such
/// a message; an initiation with another index than its side had begins a new session, and with it a new record.
struct WireGuard: FlowPlugin {
  static let name = "wg"
  static let summary = "WireGuard: confidence and the indexes of both sides"
  static let protocols: FlowProtocols = .udp
  static let exportsContent = false
  static let looksBeforeUpdate = true

  struct State: FlowState {
    /// The index that each side chose, 0 while unknown.
    var source: UInt32 = 0
    var destination: UInt32 = 0
    var confidence: UInt8 = 0
    /// The flow began with a message of WireGuard.
    var isPresent = false
  }

  /// The types of messages.
  private enum Message: UInt8 {
    case initiation = 1
    case response = 2
    case cookie = 3
    case data = 4
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp, note(packet, in: &state) else { return .done }
    state.isPresent = true
    return .more
  }

  @inline(__always)
  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard message(packet) == .initiation else { return .more }
    let known = packet.isForward ? state.source : state.destination
    return known != 0 && known != index(packet.payload, at: 4) ? .startNewRecord : .more
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if note(packet, in: &state) { return .more }
    state.confidence = 0
    return .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  /// Notes the indexes in a packet; false where it is no message of WireGuard.
  private func note(_ packet: PacketView, in state: inout State) -> Bool {
    guard let message = message(packet) else { return false }
    let payload = packet.payload
    let first = index(payload, at: 4)
    switch message {
    case .initiation:
      setIndex(first, ofSource: packet.isForward, in: &state)
    case .response:
      setIndex(first, ofSource: packet.isForward, in: &state)
      setIndex(index(payload, at: 8), ofSource: !packet.isForward, in: &state)
    case .cookie, .data:
      setIndex(first, ofSource: !packet.isForward, in: &state)
    }
    // In a DNS query with a transaction id of 0x0100 … 0x0400 these are the flags' end and the counts: 0, 1, 0.
    state.confidence = payload.load(UInt32.self, at: 4) == 0x0001_0000 ? 1 : 100
    return true
  }

  private func setIndex(_ index: UInt32, ofSource: Bool, in state: inout State) {
    if ofSource { state.source = index } else { state.destination = index }
  }

  /// The type of the message in `packet`; nil where type and length do not fit.
  @inline(__always)
  private func message(_ packet: PacketView) -> Message? {
    let payload = packet.payload
    guard payload.count >= 32 else { return nil }
    let typeAndZeros = payload.load(UInt32.self, at: 0)
    guard typeAndZeros & 0xFF_FFFF == 0, let message = Message(rawValue: UInt8(typeAndZeros >> 24)) else {
      return nil
    }
    let fits =
      switch message {
      case .initiation: packet.payloadLength == 148
      case .response: packet.payloadLength == 92
      case .cookie: packet.payloadLength == 64
      case .data: true
      }
    return fits ? message : nil
  }

  private func index(_ payload: Bytes, at offset: Int) -> UInt32 {
    payload.load(UInt32.self, at: offset).byteSwapped
  }

  // MARK: Fields

  static let confidence = InformationElement(.cesnet, 1100, "WGConfLevel", .unsigned8)
  static let sourcePeer = InformationElement(
    .cesnet, 1101, "WGSrcPeer", .unsigned32, semantics: .identifier)
  static let destinationPeer = InformationElement(
    .cesnet, 1102, "WGDstPeer", .unsigned32, semantics: .identifier)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned8(Self.confidence, state.confidence)
    writer.unsigned32(Self.sourcePeer, state.source)
    writer.unsigned32(Self.destinationPeer, state.destination)
  }
}
