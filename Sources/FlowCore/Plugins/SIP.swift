// sip: requests and responses of SIP (RFC 3261) in UDP and TCP on any port, a record for each message.
import IPFIX
import Wire

/// `--plugin sip`.
///
/// In UDP each datagram with a message begins a record, to which the packets after it are added. In TCP messages are found in
/// the stream by their Content-Length.
struct SIPPlugin: MessagePlugin {
  static let name = "sip"
  static let summary = "type, parties, call and agent of each SIP message"
  static let protocols: FlowProtocols = [.tcp, .udp]
  static let kind = TextProtocol.sip
  static let looksBeforeUpdate = true

  struct State: MessageState {
    var text = StoredBytes()
    /// Where the message came along, joined.
    var via = StoredBytes()
    var dialogue = Dialogue()
    var sequence = TextPlace()
    var callingParty = TextPlace()
    var calledParty = TextPlace()
    var call = TextPlace()
    var agent = TextPlace()
    var target = TextPlace()
    var type: UInt16 = 0
    var status: UInt16 = 0
  }

  /// The most bytes that are kept of each value.
  private static let limit = 127
  /// What the type of a response is.
  private static let response: UInt16 = 99
  /// SIP's own port, on which keep-alives may come before the first message.
  private static let port: UInt16 = 5060

  init(options: borrowing PluginOptions) {}

  // MARK: UDP

  /// Each message begins a record.
  @inline(__always)
  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp, packet.payloadCaptured > 0 else { return .more }
    return beginsMessage(packet.payload) ? .startNewRecord : .more
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp else { return .done }
    // A record has one message, and `beforeUpdate` finds the next one.
    guard !state.dialogue.hasMessage, packet.payloadCaptured > 0 else { return .more }
    // Most datagrams of other protocols begin otherwise.
    if packet.payload[0].isCapital, readDatagram(packet.payload, &state, &flow) { return .more }
    let isUsual = packet.sourcePort == Self.port || packet.destinationPort == Self.port
    return state.dialogue.miss(sinceStart: !isUsual) ? .done : .more
  }

  @inline(__always)
  private func beginsMessage(_ datagram: Bytes) -> Bool {
    // Most datagrams of other protocols begin otherwise.
    guard datagram[0].isCapital else { return false }
    return isMessage(datagram)
  }

  @inline(never)
  private func isMessage(_ datagram: Bytes) -> Bool {
    if case .line = StartLine.read(datagram, .sip) { true } else { false }
  }

  // MARK: Messages

  @inline(__always)
  func startsRecord(_ line: StartLine, _ state: State) -> Bool { state.dialogue.hasMessage }

  func note(
    _ line: StartLine, _ reader: inout MessageReader, _ state: inout State, _ flow: inout FlowContext<Self>
  ) {
    state.type = line.isRequest ? type(of: line.method) : Self.response
    state.status = line.status
    if line.isRequest { flow.keep(line.target, at: &state.target, of: &state.text, limit: Self.limit) }
  }

  /// The number of a method in `SIPMsgType`; 0 for those that came later than the list.
  private func type(of method: Bytes) -> UInt16 {
    switch method.count {
    case 3 where method.starts(with: "ACK"): 2
    case 3 where method.starts(with: "BYE"): 4
    case 4 where method.starts(with: "INFO"): 9
    case 6 where method.starts(with: "INVITE"): 1
    case 6 where method.starts(with: "CANCEL"): 3
    case 6 where method.starts(with: "NOTIFY"): 8
    case 7 where method.starts(with: "OPTIONS"): 6
    case 7 where method.starts(with: "PUBLISH"): 7
    case 8 where method.starts(with: "REGISTER"): 5
    case 9 where method.starts(with: "SUBSCRIBE"): 10
    default: 0
    }
  }

  /// Long and compact names (RFC 3261 section 7.3.3).
  func note(_ field: HeaderField, isResponse: Bool, _ state: inout State, _ flow: inout FlowContext<Self>) {
    let name = field.name
    switch name.count {
    case 1:
      switch name[0].lowercased {
      case UInt8(ascii: "f"): noteCaller(field.value, &state, &flow)
      case UInt8(ascii: "t"): noteCalled(field.value, &state, &flow)
      case UInt8(ascii: "i"): noteCall(field.value, &state, &flow)
      case UInt8(ascii: "v"): noteVia(field.value, &state, &flow)
      default: break
      }
    case 2 where name.equals("to"): noteCalled(field.value, &state, &flow)
    case 3 where name.equals("via"): noteVia(field.value, &state, &flow)
    case 4 where name.equals("from"): noteCaller(field.value, &state, &flow)
    case 4 where name.equals("cseq"):
      flow.keep(field.value, at: &state.sequence, of: &state.text, limit: Self.limit)
    case 7 where name.equals("call-id"): noteCall(field.value, &state, &flow)
    case 10 where name.equals("user-agent"):
      flow.keep(field.value, at: &state.agent, of: &state.text, limit: Self.limit)
    default: break
    }
  }

  private func noteCaller(_ value: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    flow.keep(address(in: value), at: &state.callingParty, of: &state.text, limit: Self.limit)
  }

  private func noteCalled(_ value: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    flow.keep(address(in: value), at: &state.calledParty, of: &state.text, limit: Self.limit)
  }

  private func noteCall(_ value: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    flow.keep(value, at: &state.call, of: &state.text, limit: Self.limit)
  }

  /// Where the message came along, without parameters.
  private func noteVia(_ value: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) {
    flow.join(upTo(UInt8(ascii: ";"), in: value).trimmed, to: &state.via, limit: Self.limit)
  }

  /// The URI of a party, without parameters: `"Bob" <sip:bob@example.com;lr>;tag=…` or `sip:bob@example.com;tag=…`.
  private func address(in value: Bytes) -> Bytes {
    let bracket = value.index(of: UInt8(ascii: "<"))
    let rest = bracket.map { value.dropFirst($0 &+ 1) } ?? value
    guard let start = rest.find("sip:") ?? rest.find("sips:") ?? rest.find("tel:") else {
      return value.prefix(0)
    }
    return upTo(UInt8(ascii: ";"), in: upTo(UInt8(ascii: ">"), in: rest.dropFirst(start))).trimmed
  }

  @inline(__always)
  private func upTo(_ end: UInt8, in value: Bytes) -> Bytes {
    value.prefix(value.index(of: end) ?? value.count)
  }

  // MARK: Fields

  static let messageType = InformationElement(
    .cesnet, 100, "SIPMsgType", .unsigned16, semantics: .identifier)
  static let status = InformationElement(
    .cesnet, 101, "SIPStatusCode", .unsigned16, semantics: .identifier)
  static let sequence = InformationElement(.cesnet, 108, "SIPCseq", .string)
  static let callingParty = InformationElement(.cesnet, 103, "SIPCallingParty", .string)
  static let calledParty = InformationElement(.cesnet, 104, "SIPCalledParty", .string)
  static let call = InformationElement(.cesnet, 102, "SIPCallID", .string)
  static let agent = InformationElement(.cesnet, 106, "SIPUserAgent", .string)
  static let target = InformationElement(.cesnet, 107, "SIPRequestURI", .string)
  static let via = InformationElement(.cesnet, 105, "SIPVia", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.messageType, state.type)
    writer.unsigned16(Self.status, state.status)
    writer.string(Self.sequence, flow.bytes(state.sequence, of: state.text).span)
    writer.string(Self.callingParty, flow.bytes(state.callingParty, of: state.text).span)
    writer.string(Self.calledParty, flow.bytes(state.calledParty, of: state.text).span)
    writer.string(Self.call, flow.bytes(state.call, of: state.text).span)
    writer.string(Self.agent, flow.bytes(state.agent, of: state.text).span)
    writer.string(Self.target, flow.bytes(state.target, of: state.text).span)
    writer.string(Self.via, flow.bytes(state.via).span)
  }
}
