// idpcontent: how the payload of each direction begins.
import IPFIX
import Wire

/// `--plugin idpcontent[:length=N]`.
struct PayloadContent: FlowPlugin {
  static let name = "idpcontent"
  static let summary = "first bytes of the first payload of each direction"
  static let isAlwaysPresent = true
  static let options = [
    PluginOption("length", .number(1...1000, default: 100), "how many bytes are kept of each direction")
  ]

  /// One direction's bytes, in a block of their own: flows without payload take none.
  struct Content: BitwiseCopyable {
    var bytes = StoredBytes()
    var isKnown = false
  }

  struct State: FlowState {
    var forward = Content()
    var reverse = Content()
  }

  private let limit: Int

  init(options: borrowing PluginOptions) { limit = options.number("length") }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    note(&state, packet, &flow)
  }

  @inline(__always)
  private func note(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.payloadCaptured > 0 else { return .more }
    if packet.isForward {
      if !state.forward.isKnown { keep(packet.payload, in: &state.forward, &flow) }
    } else {
      if !state.reverse.isKnown { keep(packet.payload, in: &state.reverse, &flow) }
    }
    return state.forward.isKnown && state.reverse.isKnown ? .done : .more
  }

  private func keep(_ payload: Bytes, in content: inout Content, _ flow: inout FlowContext<Self>) {
    // Without a block the direction stays empty: a later packet's bytes would be taken for the first one's.
    content.isKnown = true
    flow.store(payload, in: &content.bytes, limit: limit)
  }

  // MARK: Fields

  static let content = InformationElement(.cesnet, 850, "IDPContent", .octetArray)
  static let reverseContent = InformationElement(.cesnet, 851, "IDPContentRev", .octetArray)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.octets(Self.content, flow.bytes(state.forward.bytes).span)
    writer.octets(Self.reverseContent, flow.bytes(state.reverse.bytes).span)
  }
}
