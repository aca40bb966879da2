// rtsp: requests and responses of RTSP (RFC 2326, RFC 7826) on any TCP port, a record for each pair.
import IPFIX
import Wire

/// `--plugin rtsp`. As http; both sides send requests, and RTP may stand between messages.
struct RTSPPlugin: MessagePlugin {
  static let name = "rtsp"
  static let summary = "method, URI, agent, status and type of RTSP requests and responses"
  static let protocols: FlowProtocols = .tcp
  static let kind = TextProtocol.rtsp

  struct State: MessageState {
    var text = StoredBytes()
    var dialogue = Dialogue()
    var method = TextPlace()
    var target = TextPlace()
    var agent = TextPlace()
    var contentType = TextPlace()
    var server = TextPlace()
    var status: UInt16 = 0
  }

  /// The most bytes that are kept of each value.
  private enum Limit {
    static let method = 9
    static let value = 127
    static let contentType = 31
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  // MARK: Messages

  @inline(__always)
  func startsRecord(_ line: StartLine, _ state: State) -> Bool {
    line.isRequest ? state.dialogue.hasRequest : state.dialogue.hasResponse
  }

  func note(
    _ line: StartLine, _ reader: inout MessageReader, _ state: inout State, _ flow: inout FlowContext<Self>
  ) {
    if line.isRequest {
      flow.keep(line.method, at: &state.method, of: &state.text, limit: Limit.method)
      flow.keep(line.target, at: &state.target, of: &state.text, limit: Limit.value)
    } else {
      state.status = line.status
    }
  }

  func note(_ field: HeaderField, isResponse: Bool, _ state: inout State, _ flow: inout FlowContext<Self>) {
    switch field.name.count {
    case 6 where isResponse && field.name.equals("server"):
      flow.keep(field.value, at: &state.server, of: &state.text, limit: Limit.value)
    case 10 where !isResponse && field.name.equals("user-agent"):
      flow.keep(field.value, at: &state.agent, of: &state.text, limit: Limit.value)
    case 12 where isResponse && field.name.equals("content-type"):
      flow.keep(field.value, at: &state.contentType, of: &state.text, limit: Limit.contentType)
    default: break
    }
  }

  // MARK: Fields

  static let method = InformationElement(.cesnet, 1040, "rtspMethod", .string)
  static let agent = InformationElement(.cesnet, 1041, "rtspUserAgent", .string)
  static let target = InformationElement(.cesnet, 1042, "rtspUri", .string)
  static let status = InformationElement(
    .cesnet, 1043, "rtspStatusCode", .unsigned16, semantics: .identifier)
  static let server = InformationElement(.cesnet, 1045, "rtspServer", .string)
  static let contentType = InformationElement(.cesnet, 1044, "rtspContentType", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(Self.method, flow.bytes(state.method, of: state.text).span)
    writer.string(Self.agent, flow.bytes(state.agent, of: state.text).span)
    writer.string(Self.target, flow.bytes(state.target, of: state.text).span)
    writer.unsigned16(Self.status, state.status)
    writer.string(Self.server, flow.bytes(state.server, of: state.text).span)
    writer.string(Self.contentType, flow.bytes(state.contentType, of: state.text).span)
  }
}
