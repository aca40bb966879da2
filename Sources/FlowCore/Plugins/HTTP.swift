// http: requests and responses of HTTP/1 on any TCP port, a record for each pair; HTTP/2 by its preface.
import IPFIX
import Wire

/// `--plugin http`.
///
/// A record has one request and one response. A second request, or a second response, begins another record, so that a
/// connection that is used again makes a record of each pair. What follows `CONNECT` or `Upgrade` is another protocol's.
struct HTTPPlugin: MessagePlugin {
  static let name = "http"
  static let summary = "method, host, URL, agent, status and type of HTTP requests and responses"
  static let protocols: FlowProtocols = .tcp
  static let kind = TextProtocol.http

  struct State: MessageState {
    /// All values but the cookies' names.
    var text = StoredBytes()
    var cookieNames = StoredBytes()
    var dialogue = Dialogue()
    var method = TextPlace()
    var target = TextPlace()
    var host = TextPlace()
    var agent = TextPlace()
    var referer = TextPlace()
    var contentType = TextPlace()
    var server = TextPlace()
    var version = TextPlace()
    var status: UInt16 = 0
    var isHead = false
    var isConnect = false
    var isVersion2 = false
  }

  /// The most bytes that are kept of each value.
  private enum Limit {
    static let method = 15
    static let host = 63
    static let value = 127
    static let contentType = 31
    static let cookieNames = 511
    static let version = 7
  }

  private static let switchingProtocols: UInt16 = 101

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  // MARK: Messages

  @inline(__always)
  func startsRecord(_ line: StartLine, _ state: State) -> Bool {
    if line.isRequest { return state.dialogue.hasRequest }
    // An interim response is followed by the final one (RFC 9110 section 15.2).
    let isInterim = state.status < 200 && state.status != Self.switchingProtocols
    return state.dialogue.hasResponse && !isInterim
  }

  func note(
    _ line: StartLine, _ reader: inout MessageReader, _ state: inout State, _ flow: inout FlowContext<Self>
  ) {
    if line.isRequest {
      state.isHead = line.method.equals("head")
      state.isConnect = line.method.equals("connect")
      // PRI * HTTP/2.0 CRLF CRLF SM CRLF CRLF (RFC 9113 section 3.4)
      state.isVersion2 = line.method.equals("pri") && line.version.starts(with: "2")
      flow.keep(line.method, at: &state.method, of: &state.text, limit: Limit.method)
      flow.keep(line.target, at: &state.target, of: &state.text, limit: Limit.value)
    } else {
      state.status = line.status
      if state.isHead { reader.passBody() }
    }
    if line.isRequest || !state.dialogue.hasRequest {
      flow.keep(line.version, at: &state.version, of: &state.text, limit: Limit.version)
    }
  }

  @inline(__always)
  func note(_ field: HeaderField, isResponse: Bool, _ state: inout State, _ flow: inout FlowContext<Self>) {
    if isResponse { noteResponse(field, &state, &flow) } else { noteRequest(field, &state, &flow) }
  }

  private func noteRequest(_ field: HeaderField, _ state: inout State, _ flow: inout FlowContext<Self>) {
    switch field.name.count {
    case 4 where field.name.equals("host"):
      flow.keep(field.value, at: &state.host, of: &state.text, limit: Limit.host)
    case 7 where field.name.equals("referer"):
      flow.keep(field.value, at: &state.referer, of: &state.text, limit: Limit.value)
    case 10 where field.name.equals("user-agent"):
      flow.keep(field.value, at: &state.agent, of: &state.text, limit: Limit.value)
    default: break
    }
  }

  private func noteResponse(_ field: HeaderField, _ state: inout State, _ flow: inout FlowContext<Self>) {
    switch field.name.count {
    case 6 where field.name.equals("server"):
      flow.keep(field.value, at: &state.server, of: &state.text, limit: Limit.value)
    case 10 where field.name.equals("set-cookie"):
      // name=value; attributes (RFC 6265 section 4.1)
      guard let end = field.value.index(of: UInt8(ascii: "=")) else { return }
      flow.join(field.value.prefix(end).trimmed, to: &state.cookieNames, limit: Limit.cookieNames)
    case 12 where field.name.equals("content-type"):
      flow.keep(field.value, at: &state.contentType, of: &state.text, limit: Limit.contentType)
    default: break
    }
  }

  @inline(__always)
  func endHeader(isResponse: Bool, _ state: State) -> Bool {
    guard isResponse else { return state.isVersion2 }
    return state.status == Self.switchingProtocols || state.isConnect && state.status / 100 == 2
  }

  // MARK: Fields

  static let agent = InformationElement(.flowmon, 20, "httpUserAgent", .string)
  static let method = InformationElement(.cesnet, 200, "httpMethod", .string)
  static let host = InformationElement(.flowmon, 1, "httpHost", .string)
  static let referer = InformationElement(.flowmon, 3, "httpReferer", .string)
  static let target = InformationElement(.flowmon, 2, "httpUrl", .string)
  static let contentType = InformationElement(.flowmon, 10, "httpContentType", .string)
  static let server = InformationElement(.cesnet, 201, "httpServer", .string)
  static let cookieNames = InformationElement(.cesnet, 202, "httpCookieNames", .string)
  static let status = InformationElement(
    .flowmon, 12, "httpStatusCode", .unsigned16, semantics: .identifier)
  static let version = InformationElement(.martlet, 50, "httpVersion", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(Self.agent, flow.bytes(state.agent, of: state.text).span)
    writer.string(Self.method, flow.bytes(state.method, of: state.text).span)
    writer.string(Self.host, flow.bytes(state.host, of: state.text).span)
    writer.string(Self.referer, flow.bytes(state.referer, of: state.text).span)
    writer.string(Self.target, flow.bytes(state.target, of: state.text).span)
    writer.string(Self.contentType, flow.bytes(state.contentType, of: state.text).span)
    writer.string(Self.server, flow.bytes(state.server, of: state.text).span)
    writer.string(Self.cookieNames, flow.bytes(state.cookieNames).span)
    writer.unsigned16(Self.status, state.status)
    writer.string(Self.version, flow.bytes(state.version, of: state.text).span)
  }
}
