// What the plugins of http, rtsp and sip share: how they follow the messages of a connection, when a message begins another
// record, and when they leave a flow alone.
import Wire

/// How far both directions of a connection were read. All zero is the beginning.
struct Dialogue: BitwiseCopyable {
  var forward = MessageReader()
  var reverse = MessageReader()
  /// What was shown and began no message.
  var misses: UInt8 = 0
  var hasRequest = false
  var hasResponse = false
  /// The record began in the midst of a packet, and the plugin has seen none that counts in it.
  var isContinuation = false
  /// Something was shown.
  var isBegun = false

  /// How often something else is looked at in a connection that was seen from its start, which has at most the preambles of
  /// proxies before the first message; and where a message was seen, or the connection is older than the record.
  static let fewMisses: UInt8 = 6
  static let manyMisses: UInt8 = 64

  @inline(__always) var hasMessage: Bool { hasRequest || hasResponse }

  @inline(__always)
  mutating func note(_ line: StartLine) {
    if line.isRequest { hasRequest = true } else { hasResponse = true }
  }

  /// Notes that something began no message; true where that is enough.
  @inline(__always)
  mutating func miss(sinceStart: Bool) -> Bool {
    misses = misses < .max ? misses &+ 1 : misses
    return misses >= (sinceStart && !hasMessage ? Dialogue.fewMisses : Dialogue.manyMisses)
  }
}

/// Takes what a direction has under way over to the next record, which begins with a message of the other direction: a body,
/// or RTP, that goes on. There it is the first thing to be asked for, if there is room for the record at all.
struct Handover: BitwiseCopyable {
  fileprivate var reader = MessageReader()
  /// The flow to which it belongs.
  fileprivate var key = Key(
    addresses: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 0, vlan: 0, isVersion6: false)
  fileprivate var isPending = false
}

/// The state of such a plugin.
protocol MessageState: FlowState {
  var dialogue: Dialogue { get set }
}

/// A plugin that reads messages with a start line and header fields.
protocol MessagePlugin: FlowPlugin where State: MessageState, WorkerContext == Handover {
  static var kind: TextProtocol { get }

  /// Whether a message that begins with `line` belongs into a record of its own.
  func startsRecord(_ line: StartLine, _ state: State) -> Bool
  /// A message begins; its fields follow.
  func note(
    _ line: StartLine, _ reader: inout MessageReader, _ state: inout State, _ flow: inout FlowContext<Self>)
  /// A field of the message under way.
  func note(_ field: HeaderField, isResponse: Bool, _ state: inout State, _ flow: inout FlowContext<Self>)
  /// A message's header ended; true where what follows is another protocol's.
  func endHeader(isResponse: Bool, _ state: State) -> Bool
}

extension MessagePlugin {
  static var readsStreams: Bool { true }
  static var streamClaim: StreamClaim { .dialogue }

  func makeWorkerContext() -> Handover { Handover() }

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    readMessages(&state, stream, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.dialogue.hasMessage }

  @inline(__always)
  func endHeader(isResponse: Bool, _ state: State) -> Bool { false }

  /// Reads the messages of one direction.
  @inline(__always)
  private func readMessages(_ state: inout State, _ stream: StreamBytes, _ flow: inout FlowContext<Self>)
    -> Reading
  {
    // Read and written as a whole: a change in place would go through a function's address.
    var dialogue = state.dialogue
    if !dialogue.isBegun {
      begin(&dialogue, isForward: stream.isForward, flow)
      state.dialogue = dialogue
    }
    let hadMessage = dialogue.hasMessage
    var reader = stream.isForward ? dialogue.forward : dialogue.reverse
    if stream.isAfterGap { reader.restart(isLost: true) }
    let reading = readOn(&reader, stream.bytes, &state, &flow)
    dialogue = state.dialogue
    if stream.isForward { dialogue.forward = reader } else { dialogue.reverse = reader }
    dialogue.isContinuation = flow.packets == 0
    state.dialogue = dialogue
    if reading.verdict.rawValue & Verdict.continues != 0 {
      let other = stream.isForward ? dialogue.reverse : dialogue.forward
      flow.worker = Handover(reader: other, key: flow.record.pointee.key, isPending: true)
    }
    return !hadMessage && dialogue.hasMessage && dialogue.misses == 0 ? reading.claiming : reading
  }

  /// A record's first bytes: the other direction may be in the midst of a message.
  @inline(__always)
  private func begin(_ dialogue: inout Dialogue, isForward: Bool, _ flow: FlowContext<Self>) {
    dialogue.isBegun = true
    guard flow.worker.isPending else { return }
    if flow.worker.key == flow.record.pointee.key {
      if isForward { dialogue.reverse = flow.worker.reader } else { dialogue.forward = flow.worker.reader }
    }
    flow.worker.isPending = false
  }

  @inline(__always)
  private func readOn(
    _ reader: inout MessageReader, _ bytes: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>
  ) -> Reading {
    var position = 0
    // Bounded: each call of `next` reads at least one byte, or ends this.
    while true {
      switch reader.next(bytes, &position, Self.kind) {
      case .start(let line, let offset):
        if startsRecord(line, state) {
          // Only a record that counts an earlier packet can end without this one.
          if offset > 0 || state.dialogue.isContinuation { return .nextRecord(taken: offset) }
          return .startNewRecord
        }
        note(line, &reader, &state, &flow)
        noteMessage(line, &state)
      case .field(let field): note(field, isResponse: reader.isResponse, &state, &flow)
      case .endOfHeader: if endHeader(isResponse: reader.isResponse, state) { return .done }
      case .incomplete: return .incomplete(taken: position)
      case .other:
        // Behind a gap it is the midst of a body, as likely as not.
        let isLost = reader.isLost
        reader.restart(isLost: isLost)
        if isLost { return .all }
        if isTLS(bytes.dropFirst(position)) { return .done }
        return miss(&state, sinceStart: flow.tcpFlags & TCPFlags.syn != 0) ? .done : .all
      }
    }
  }

  /// Notes in the dialogue that a message begins.
  @inline(__always)
  private func noteMessage(_ line: StartLine, _ state: inout State) {
    var dialogue = state.dialogue
    dialogue.note(line)
    state.dialogue = dialogue
  }

  /// Notes that something began no message; true where that is enough.
  @inline(__always)
  private func miss(_ state: inout State, sinceStart: Bool) -> Bool {
    var dialogue = state.dialogue
    defer { state.dialogue = dialogue }
    return dialogue.miss(sinceStart: sinceStart)
  }

  /// Whether bytes begin a TLS record of a handshake: version 3.x of the record layer (RFC 8446 section 5.1).
  @inline(__always)
  private func isTLS(_ bytes: Bytes) -> Bool { bytes.count >= 2 && bytes[0] == 22 && bytes[1] == 3 }

  /// Reads the one message of a datagram; false where it holds none.
  @inline(__always)
  func readDatagram(_ datagram: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    var reader = MessageReader()
    var (position, isMessage) = (0, false)
    // Bounded: each call of `next` reads at least one byte, or ends this.
    while true {
      switch reader.next(datagram, &position, Self.kind) {
      case .start(let line, _):
        isMessage = true
        note(line, &reader, &state, &flow)
        noteMessage(line, &state)
      case .field(let field): note(field, isResponse: reader.isResponse, &state, &flow)
      case .endOfHeader, .incomplete, .other: return isMessage
      }
    }
  }
}
