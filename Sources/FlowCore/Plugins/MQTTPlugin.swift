// mqtt: what a connection of MQTT asks for, which control packets it has, and to which topics is published.
import IPFIX
import Wire

/// `--plugin mqtt[:topiccount=N]`. A connection is one, on any port, when its first bytes are a CONNECT packet.
struct MQTTPlugin: FlowPlugin {
  static let name = "mqtt"
  static let summary = "MQTT: version, connect flags, keep alive, return code, packet types and topics"
  static let protocols: FlowProtocols = .tcp
  static let options = [
    PluginOption("topiccount", .number(0...1000, default: 0), "how many topics are kept")
  ]
  static let readsStreams = true
  static let streamClaim = StreamClaim.connection

  struct State: FlowState {
    var forward = MQTTReader()
    var reverse = MQTTReader()
    /// Each followed by a number sign.
    var topics = StoredBytes()
    var topicCount: UInt16 = 0
    /// A bit for each type of control packet seen, and bit 0 as the last CONNACK has it.
    var types: UInt16 = 0
    var keepAlive: UInt16 = 0
    var version: UInt8 = 0
    var connectionFlags: UInt8 = 0
    var returnCode: UInt8 = 0
    var publishFlags: UInt8 = 0
    /// A CONNECT packet was seen.
    var isPresent = false
  }

  /// The most bytes of all topics together; one that does not fit is left out.
  private static let longestTopics = 1000

  private let mostTopics: Int

  init(options: borrowing PluginOptions) { mostTopics = options.number("topiccount") }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  @inline(__always)
  func recognise(_ bytes: Bytes) -> Recognition {
    var reader = MQTTReader()
    var position = 0
    if case .connect = reader.next(bytes, at: &position, wanted: 0) { return .yes }
    return .no
  }

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    if !state.isPresent, !MQTTReader.mayBegin(stream.bytes) { return .done }
    return follow(&state, stream, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  @inline(never)
  private func follow(_ state: inout State, _ stream: StreamBytes, _ flow: inout FlowContext<Self>) -> Reading
  {
    var reader = stream.isForward ? state.forward : state.reverse
    defer { if stream.isForward { state.forward = reader } else { state.reverse = reader } }
    // Where the next packet begins is not known any more.
    if stream.isAfterGap, reader.hasBegun { reader.isLost = true }
    if state.isPresent, !reader.hasBegun, !mayAnswer(stream.bytes) { reader.isLost = true }
    var position = 0
    let wasPresent = state.isPresent
    while !reader.isLost {
      let wanted = Int(state.topicCount) < mostTopics ? Self.longestTopics : 0
      let event = reader.next(stream.bytes, at: &position, wanted: wanted)
      switch event {
      case .end: return wasPresent == state.isPresent ? .all : .all.claiming
      case .incomplete: return .incomplete(taken: position)
      case .invalid:
        guard state.isPresent else { return .done }
        reader.isLost = true
      default:
        note(event, &state, &flow)
        if state.types & 1 << MQTTType.disconnect != 0 { return .flush }
      }
    }
    let other = stream.isForward ? state.reverse : state.forward
    return other.isLost ? .done : .all
  }

  /// What may be first in a direction of a connection: what each side begins with.
  private func mayAnswer(_ bytes: Bytes) -> Bool {
    switch bytes[0] >> 4 {
    case MQTTType.connect, MQTTType.connectAcknowledgement, MQTTType.authentication: true
    default: false
    }
  }

  private func note(_ event: MQTTEvent, _ state: inout State, _ flow: inout FlowContext<Self>) {
    switch event {
    case .connect(let connect):
      state.isPresent = true
      state.types |= 1 << MQTTType.connect
      state.version = connect.level
      state.connectionFlags = connect.flags
      state.keepAlive = connect.keepAlive
    case .connectAcknowledgement(let hasSession, let code):
      state.types = state.types & ~1 | 1 << MQTTType.connectAcknowledgement | (hasSession ? 1 : 0)
      state.returnCode = code
    case .publish(let flags, let topic):
      state.types |= 1 << MQTTType.publish
      state.publishFlags |= flags
      if Int(state.topicCount) < mostTopics { add(topic, to: &state, &flow) }
    case .other(let type): state.types |= 1 &<< UInt16(type)
    case .end, .incomplete, .invalid: break
    }
  }

  @inline(never)
  private func add(_ topic: Bytes, to state: inout State, _ flow: inout FlowContext<Self>) {
    state.topicCount &+= 1
    guard state.topics.count &+ topic.count < Self.longestTopics,
      flow.append(topic, to: &state.topics, limit: Self.longestTopics)
    else { return }
    flow.append(Bytes("#"), to: &state.topics, limit: Self.longestTopics)
  }

  // MARK: Fields

  static let types = InformationElement(.cesnet, 1033, "mqttTypeCumulative", .unsigned16)
  static let version = InformationElement(.cesnet, 1034, "mqttVersion", .unsigned8)
  static let connectionFlags = InformationElement(.cesnet, 1035, "mqttConnectionFlags", .unsigned8)
  static let keepAlive = InformationElement(.cesnet, 1036, "mqttKeepAlive", .unsigned16)
  static let returnCode = InformationElement(.cesnet, 1037, "mqttConnectionReturnCode", .unsigned8)
  static let publishFlags = InformationElement(.cesnet, 1038, "mqttPublishFlags", .unsigned8)
  static let topics = InformationElement(.cesnet, 1039, "mqttTopics", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.types, state.types)
    writer.unsigned8(Self.version, state.version)
    writer.unsigned8(Self.connectionFlags, state.connectionFlags)
    writer.unsigned16(Self.keepAlive, state.keepAlive)
    writer.unsigned8(Self.returnCode, state.returnCode)
    writer.unsigned8(Self.publishFlags, state.publishFlags)
    writer.string(Self.topics, flow.bytes(state.topics).span)
  }
}
