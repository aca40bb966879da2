// dns: what each message of the domain name system asks and answers, over UDP and TCP.
import IPFIX
import Wire

/// `--plugin dns[:anyport]`.
///
/// Each message is a record of its own, so that a query and its answer are two.
struct DNSPlugin: FlowPlugin {
  static let name = "dns"
  static let summary = "query, first answer and EDNS of each DNS message, a record for each"
  static let protocols: FlowProtocols = [.tcp, .udp]
  static let readsStreams = true
  static let sharesElements = true
  static let options = [
    PluginOption("anyport", .flag, "also read messages that are DNS beyond doubt on ports other than 53")
  ]

  struct State: FlowState {
    /// The name that is asked for, and behind it the first answer.
    var text = StoredBytes()
    var nameLength: UInt8 = 0
    var dataLength: UInt8 = 0
    var timeToLive: UInt32 = 0
    var identifier: UInt16 = 0
    var answers: UInt16 = 0
    var type: UInt16 = 0
    var questionClass: UInt16 = 0
    var payloadSize: UInt16 = 0
    /// What is still to come of a long message, which is read at its beginning.
    var forwardRest: UInt16 = 0
    var reverseRest: UInt16 = 0
    var responseCode: UInt8 = 0
    var isSecure: UInt8 = 0
    var hasMessage = false
    /// Payloads that were no message.
    var misses: UInt8 = 0
  }

  /// The longest name and answer that are kept, in bytes.
  private static let longestName = 127
  private static let longestData = 159
  /// After so many payloads that are no messages the flow is left alone.
  private static let patience: UInt8 = 8
  /// The flag of an OPT record that asks for signatures (RFC 3225).
  private static let secureFlag: UInt32 = 0x8000

  private let anyPort: Bool

  init(options: borrowing PluginOptions) { anyPort = options.flag("anyport") }

  func makeWorkerContext() -> DNSScratch { DNSScratch(count: Self.longestName + Self.longestData + 2) }
  func freeWorkerContext(_ context: DNSScratch) { context.free() }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.hasMessage }

  @inline(__always)
  private func isDomain(_ packet: PacketView) -> Bool {
    packet.sourcePort == DNSPort.domain || packet.destinationPort == DNSPort.domain
  }

  /// Whether the plugin has to do with the packet's ports.
  @inline(__always)
  private func isConcerned(_ packet: PacketView) -> Bool {
    isDomain(packet)
      || anyPort && packet.sourcePort != DNSPort.multicast && packet.destinationPort != DNSPort.multicast
  }

  /// Whether a message may be what it seems: on other ports it has to be, beyond doubt.
  private func isPlausible(_ message: Bytes, _ packet: PacketView) -> Bool {
    isDomain(packet) || DNSReader.isSurely(message)
  }

  // MARK: UDP

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp, isConcerned(packet) else { return .done }
    guard packet.payloadCaptured > 0, !packet.isLaterFragment else { return .more }
    if isTaken(flow) { return .nextRecord }
    if isPlausible(packet.payload, packet), note(packet.payload, &state, &flow) { return .flush }
    return isGivenUp(&state) ? .done : .more
  }

  /// Whether the record is that of an answer already, of which passivedns has made the same elements: then the message gets
  /// the next one.
  @inline(__always)
  private func isTaken(_ flow: borrowing FlowContext<Self>) -> Bool {
    flow.state(of: PassiveDNS.self)?.hasAnswer == true
  }

  private func isGivenUp(_ state: inout State) -> Bool {
    state.misses &+= 1
    return state.misses >= Self.patience
  }

  // MARK: TCP

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    guard isConcerned(packet) else { return .done }
    return state.hasMessage ? readRest(&state, stream) : readMessage(&state, stream, packet, &flow)
  }

  private func readMessage(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    switch DNSSegment(stream.bytes) {
    case .incomplete: return .incomplete()
    case .message(let message, let total):
      if isTaken(flow) { return .nextRecord(taken: 0) }
      guard isPlausible(message, packet), note(message, &state, &flow) else { break }
      let rest = total &- stream.bytes.count
      if rest == 0, waitsForAnswer(message, flow) { return .all }
      if rest <= 0 { return .nextRecord(taken: total) }
      if stream.isForward {
        state.forwardRest = UInt16(clamping: rest)
      } else {
        state.reverseRest = UInt16(clamping: rest)
      }
      return .all
    case .other: break
    }
    // Where the capture began in the midst of a message the next segment may be the first of another one.
    return isGivenUp(&state) || !isDomain(packet) ? .done : .all
  }

  /// Whether the record stays open until the next message begins another one. That of a query does: only its streams know where
  /// the answer begins, whose segments may come in any order, and what is a retransmission. Where it counts no packet before
  /// the answer's, it cannot end without that one.
  @inline(__always)
  private func waitsForAnswer(_ message: Bytes, _ flow: borrowing FlowContext<Self>) -> Bool {
    guard flow.packets > 0, let header = DNSHeader(message) else { return false }
    return !header.isResponse
  }

  /// Goes past the rest of the message that the record has.
  private func readRest(_ state: inout State, _ stream: StreamBytes) -> Reading {
    let rest = Int(stream.isForward ? state.forwardRest : state.reverseRest)
    // The other direction's bytes are a message of their own; and where some are missing, so may these be.
    if rest == 0 { return .startNewRecord }
    if stream.isAfterGap { return .nextRecord(taken: 0) }
    guard rest > stream.bytes.count else { return .nextRecord(taken: rest) }
    let left = UInt16(clamping: rest &- stream.bytes.count)
    if stream.isForward { state.forwardRest = left } else { state.reverseRest = left }
    return .all
  }

  // MARK: Messages

  /// Takes in what a message says. One that ends early says what is there; false where it is no message.
  private func note(_ message: Bytes, _ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    guard let header = DNSHeader(message) else { return false }
    let scratch = flow.worker
    var name = scratch.text(limit: Self.longestName)
    var data = scratch.text(from: Self.longestName, limit: Self.longestData)
    var answer = NotedAnswer()
    var reader = DNSReader(message)
    guard readSections(header, &reader, &answer, &name, &data) else { return false }

    state.identifier = header.identifier
    state.responseCode = header.responseCode
    state.answers = header.answers
    state.type = answer.question.type
    state.questionClass = answer.question.questionClass
    state.timeToLive = answer.timeToLive
    state.payloadSize = answer.payloadSize
    state.isSecure = answer.isSecure ? 1 : 0
    state.hasMessage = true
    let isStored = flow.store(name.bytes, in: &state.text) && flow.append(data.bytes, to: &state.text)
    state.nameLength = UInt8(clamping: isStored ? name.count : 0)
    state.dataLength = UInt8(clamping: isStored ? data.count : 0)
    return true
  }

  /// What is taken from the sections besides text.
  private struct NotedAnswer {
    var question = DNSQuestion.none
    var timeToLive: UInt32 = 0
    var payloadSize: UInt16 = 0
    var isSecure = false
  }

  /// Reads as far as the message goes; false where something in it is no part of a message.
  private func readSections(
    _ header: DNSHeader, _ reader: inout DNSReader, _ answer: inout NotedAnswer, _ name: inout ScratchText,
    _ data: inout ScratchText
  ) -> Bool {
    if header.questions > 0 {
      guard let question = reader.question(name: &name) else {
        name.shorten(to: 0)
        return !reader.isInvalid
      }
      answer.question = question
      guard reader.skipQuestions(header.questions &- 1) else { return !reader.isInvalid }
    }
    if header.answers > 0 {
      guard let record = reader.record() else { return !reader.isInvalid }
      answer.timeToLive = record.timeToLive
      guard data.append(record, of: reader.message) else { return false }
    }
    guard reader.skipRecords(max(0, Int(header.answers) &- 1) &+ Int(header.authorities)) else {
      return !reader.isInvalid
    }
    var left = header.additionals
    while left > 0, let record = reader.record() {
      left &-= 1
      if record.type == DNSType.options {
        answer.payloadSize = record.recordClass
        answer.isSecure = record.timeToLive & Self.secureFlag != 0
      }
    }
    return !reader.isInvalid
  }

  // MARK: Fields

  static let answers = InformationElement(.cesnet, 14, "DNSAnswers", .unsigned16)
  static let responseCode = InformationElement(.cesnet, 1, "DNSRCode", .unsigned8)
  static let questionType = InformationElement(.cesnet, 3, "DNSQType", .unsigned16)
  static let questionClass = InformationElement(.cesnet, 4, "DNSClass", .unsigned16)
  static let timeToLive = InformationElement(.cesnet, 5, "DNSRRTTL", .unsigned32)
  static let dataLength = InformationElement(.cesnet, 6, "DNSRDataLength", .unsigned16)
  static let payloadSize = InformationElement(.cesnet, 8, "DNSPSize", .unsigned16)
  static let isSecure = InformationElement(.cesnet, 9, "DNSRDO", .unsigned8)
  static let identifier = InformationElement(.cesnet, 10, "DNSTransactionID", .unsigned16)
  static let questionName = InformationElement(.cesnet, 2, "DNSName", .string)
  static let data = InformationElement(.cesnet, 7, "DNSRData", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let text = flow.bytes(state.text)
    writer.unsigned16(Self.answers, state.answers)
    writer.unsigned8(Self.responseCode, state.responseCode)
    writer.unsigned16(Self.questionType, state.type)
    writer.unsigned16(Self.questionClass, state.questionClass)
    writer.unsigned32(Self.timeToLive, state.timeToLive)
    writer.unsigned16(Self.dataLength, UInt16(state.dataLength))
    writer.unsigned16(Self.payloadSize, state.payloadSize)
    writer.unsigned8(Self.isSecure, state.isSecure)
    writer.unsigned16(Self.identifier, state.identifier)
    writer.string(Self.questionName, text.prefix(Int(state.nameLength)).span)
    writer.string(Self.data, text.dropFirst(Int(state.nameLength)).prefix(Int(state.dataLength)).span)
  }
}
