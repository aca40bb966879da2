// passivedns: which names had which addresses, from the answers of DNS servers.
import IPFIX
import Wire

/// `--plugin passivedns`.
///
/// Each answer with an address is a record of its own; the first of them counts the packet.
struct PassiveDNS: FlowPlugin {
  static let name = "passivedns"
  static let summary = "names and addresses in answers of DNS servers, a record for each"
  static let protocols: FlowProtocols = [.tcp, .udp]
  static let readsStreams = true
  static let sharesElements = true
  static let hasAddresses = true

  struct State: FlowState {
    var name = StoredBytes()
    /// The address, as `IPAddress` has it.
    var high: UInt64 = 0
    var low: UInt64 = 0
    var timeToLive: UInt32 = 0
    var identifier: UInt16 = 0
    var type: UInt16 = 0
    /// What is still to come of a long message over TCP, which is read at its beginning.
    var rest: UInt16 = 0
    var isVersion6 = false
    var hasAnswer = false
  }

  /// Where the answers go on in a message, and how many are left.
  struct Place: BitwiseCopyable {
    var offset = 0
    var left = 0

    /// As one number, for `FlowContext.position`.
    var number: Int { offset &<< 16 | left }
    init(offset: Int = 0, left: Int = 0) { (self.offset, self.left) = (offset, left) }
    init(number: Int) { (offset, left) = (number &>> 16, number & 0xFFFF) }
  }

  /// The longest name, in bytes.
  private static let longestName = 254

  init(options: borrowing PluginOptions) {}

  func makeWorkerContext() -> DNSScratch { DNSScratch(count: 2 * Self.longestName) }
  func freeWorkerContext(_ context: DNSScratch) { context.free() }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.hasAnswer }

  func anonymise(_ state: inout State, _ anonymiser: Anonymiser) {
    guard state.hasAnswer else { return }
    let address =
      state.isVersion6
      ? IPAddress(high: state.high, low: state.low)
      : IPAddress(version4: UInt32(truncatingIfNeeded: state.low))
    let replacement = anonymiser.replacement(of: address)
    (state.high, state.low) = (replacement.high, replacement.low)
  }

  // MARK: UDP

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp else { return .done }
    guard packet.sourcePort == DNSPort.domain else {
      return packet.destinationPort == DNSPort.domain ? .more : .done
    }
    if packet.isLaterFragment { return .flush }
    guard let next = take(packet.payload, Self.place(flow.position, in: packet.payload), &state, &flow) else {
      return .flush
    }
    flow.position = next.number
    return .nextRecord
  }

  // MARK: TCP

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    guard packet.sourcePort == DNSPort.domain else {
      return packet.destinationPort == DNSPort.domain ? .all : .done
    }
    return state.rest > 0 ? readRest(&state, stream) : readMessage(&state, stream, packet, &flow)
  }

  private func readMessage(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    switch DNSSegment(stream.bytes) {
    case .other: return .all
    case .incomplete: return .incomplete()
    case .message(let message, let total):
      if let next = take(message, Self.place(flow.position, in: message), &state, &flow) {
        flow.position = next.number
        return .nextRecord(taken: 0)
      }
      // The next message is read from its beginning.
      flow.position = 0
      guard total > stream.bytes.count else { return .nextRecord(taken: total) }
      state.rest = UInt16(clamping: total &- stream.bytes.count)
      return .all
    }
  }

  /// Goes past the rest of a long message.
  private func readRest(_ state: inout State, _ stream: StreamBytes) -> Reading {
    if stream.isAfterGap { return .nextRecord(taken: 0) }
    let taken = min(Int(state.rest), stream.bytes.count)
    state.rest &-= UInt16(clamping: taken)
    return state.rest == 0 ? .nextRecord(taken: taken) : .all
  }

  // MARK: Answers

  /// An answer with an address.
  private struct Answer: BitwiseCopyable {
    var record: DNSRecord
    var address: IPAddress
  }

  /// Where the record before this one, of the same message, left `position`, or else the first answer.
  private static func place(_ position: Int, in message: Bytes) -> Place {
    position == 0 ? firstAnswer(message) : Place(number: position)
  }

  /// The place of a message's first answer; of none in what is no response.
  private static func firstAnswer(_ message: Bytes) -> Place {
    guard let header = DNSHeader(message), header.isResponse else { return Place() }
    var reader = DNSReader(message)
    guard reader.skipQuestions(header.questions) else { return Place() }
    return Place(offset: reader.offset, left: Int(header.answers))
  }

  /// Takes in the first answer with an address from `start` on; gives the place where the next record goes on, if there
  /// is more.
  private func take(
    _ message: Bytes, _ start: Place, _ state: inout State, _ flow: inout FlowContext<Self>
  ) -> Place? {
    var place = start
    let scratch = flow.worker
    var name = scratch.text(limit: Self.longestName)
    guard let answer = nextAnswer(message, &place, &name, scratch) else { return nil }
    // dns has the same elements: a record has only one of the two.
    if flow.state(of: DNSPlugin.self)?.hasMessage == true { return start }
    state.hasAnswer = true
    (state.high, state.low, state.isVersion6) = (
      answer.address.high, answer.address.low, answer.address.isVersion6
    )
    state.type = answer.record.type
    state.timeToLive = answer.record.timeToLive
    state.identifier = DNSHeader(message)?.identifier ?? 0
    flow.store(name.bytes, in: &state.name)
    // Only what has another answer becomes another record.
    var further = place
    guard nextAnswer(message, &further, &name, scratch) != nil else { return nil }
    return place
  }

  /// The first answer with an address from `place` on, which is moved behind it; its name replaces `name`.
  private func nextAnswer(
    _ message: Bytes, _ place: inout Place, _ name: inout ScratchText, _ scratch: DNSScratch
  ) -> Answer? {
    var reader = DNSReader(message, at: place.offset)
    while place.left > 0, let record = reader.record() {
      place = Place(offset: reader.offset, left: place.left &- 1)
      name.shorten(to: 0)
      switch record.type {
      case DNSType.a where record.data.count == 4:
        guard name.appendName(message, at: record.owner) != nil else { return nil }
        let address = IPAddress(version4: record.data.load(UInt32.self, at: 0))
        return Answer(record: record, address: address)
      case DNSType.aaaa where record.data.count == 16:
        guard name.appendName(message, at: record.owner) != nil else { return nil }
        let address = IPAddress(
          high: record.data.load(UInt64.self, at: 0), low: record.data.load(UInt64.self, at: 8))
        return Answer(record: record, address: address)
      case DNSType.pointer:
        var owner = scratch.text(from: Self.longestName, limit: Self.longestName)
        guard owner.appendName(message, at: record.owner) != nil else { return nil }
        guard let address = IPAddress(reverseName: owner.bytes) else { continue }
        guard name.appendName(message, at: record.dataOffset) != nil else { return nil }
        return Answer(record: record, address: address)
      default: continue
      }
    }
    place.left = 0
    return nil
  }

  // MARK: Fields

  static let identifier = InformationElement(.cesnet, 10, "DNSTransactionID", .unsigned16)
  static let timeToLive = InformationElement(.cesnet, 5, "DNSRRTTL", .unsigned32)
  static let answerType = InformationElement(.cesnet, 11, "DNSAType", .unsigned16)
  static let data = InformationElement(.cesnet, 7, "DNSRData", .string)
  static let answerName = InformationElement(.cesnet, 2, "DNSName", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.identifier, state.identifier)
    writer.unsigned32(Self.timeToLive, state.timeToLive)
    writer.unsigned16(Self.answerType, state.type)
    writer.addressOctets(Self.data, high: state.high, low: state.low, isVersion6: state.isVersion6)
    writer.string(Self.answerName, flow.bytes(state.name).span)
  }
}

// MARK: Names of addresses

extension IPAddress {
  /// The address whose name for reverse lookup this is; nil where it is none's.
  ///
  ///     4.3.2.1.in-addr.arpa                 RFC 1035 section 3.5
  ///     f.e.… 32 hexadecimal digits …ip6.arpa    RFC 3596 section 2.5
  init?(reverseName name: Bytes) {
    if let octets = name.withoutSuffix(Bytes(".in-addr.arpa")) {
      guard let number = IPAddress.reverseOctets(octets) else { return nil }
      self.init(version4: number)
    } else if let digits = name.withoutSuffix(Bytes(".ip6.arpa")) {
      guard let number = IPAddress.reverseDigits(digits) else { return nil }
      self.init(high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number))
    } else {
      return nil
    }
  }

  /// Four decimal numbers up to 255, the last one of the address first.
  private static func reverseOctets(_ text: Bytes) -> UInt32? {
    guard text.count <= 15 else { return nil }
    var address: UInt32 = 0
    var (octet, digits, octets): (UInt32, UInt32, UInt32) = (0, 0, 0)
    var index = 0
    while index <= text.count {
      let character = index < text.count ? text[index] : UInt8(ascii: ".")
      index &+= 1
      if character == UInt8(ascii: ".") {
        guard digits > 0, octet <= 255, octets < 4 else { return nil }
        address |= octet &<< (8 &* octets)
        octets &+= 1
        (octet, digits) = (0, 0)
      } else {
        guard character >= 0x30, character <= 0x39, digits < 3 else { return nil }
        octet = octet &* 10 &+ UInt32(character &- 0x30)
        digits &+= 1
      }
    }
    return octets == 4 ? address : nil
  }

  /// 32 hexadecimal digits with dots between them, the last one of the address first.
  private static func reverseDigits(_ text: Bytes) -> UInt128? {
    guard text.count == 63 else { return nil }
    var address: UInt128 = 0
    var index = 62
    while index >= 0 {
      guard let digit = text[index].hexadecimalDigit else { return nil }
      address = address &<< 4 | UInt128(digit)
      guard index == 0 || text[index &- 1] == UInt8(ascii: ".") else { return nil }
      index &-= 2
    }
    return address
  }
}

extension Bytes {
  /// What comes before `suffix`, given in lower case, at the end; nil where the end is another one. Case does not matter.
  fileprivate func withoutSuffix(_ suffix: Bytes) -> Bytes? {
    let start = count &- suffix.count
    guard start >= 0, dropFirst(start).equals(small: suffix) else { return nil }
    return prefix(start)
  }
}
