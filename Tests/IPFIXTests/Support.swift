// What several tests need: sample elements, and records made of arbitrary fields.
import IPFIX
import IPFIXDecoding
import TestSupport
import Wire

enum Sample {
  static let octets = InformationElement(.iana, 1, "octetDeltaCount", .unsigned64, semantics: .deltaCounter)
  static let packets = InformationElement(.iana, 2, "packetDeltaCount", .unsigned64, semantics: .deltaCounter)
  static let protocolIdentifier = InformationElement(.iana, 4, "protocolIdentifier", .unsigned8)
  static let flags = InformationElement(.iana, 6, "tcpControlBits", .unsigned16)
  static let sourcePort = InformationElement(.iana, 7, "sourceTransportPort", .unsigned16)
  static let source4 = InformationElement(.iana, 8, "sourceIPv4Address", .ipv4Address)
  static let ingress = InformationElement(.iana, 10, "ingressInterface", .unsigned32)
  static let destinationPort = InformationElement(.iana, 11, "destinationTransportPort", .unsigned16)
  static let destination4 = InformationElement(.iana, 12, "destinationIPv4Address", .ipv4Address)
  static let egress = InformationElement(.iana, 14, "egressInterface", .unsigned32)
  static let nextHop = InformationElement(.iana, 15, "ipNextHopIPv4Address", .ipv4Address)
  static let source6 = InformationElement(.iana, 27, "sourceIPv6Address", .ipv6Address)
  static let destination6 = InformationElement(.iana, 28, "destinationIPv6Address", .ipv6Address)
  static let sourceMAC = InformationElement(.iana, 56, "sourceMacAddress", .macAddress)
  static let version = InformationElement(.iana, 60, "ipVersion", .unsigned8)
  static let endReason = InformationElement(.iana, 136, "flowEndReason", .unsigned8)
  static let startSeconds = InformationElement(.iana, 150, "flowStartSeconds", .dateTimeSeconds)
  static let startMilliseconds = InformationElement(
    .iana, 152, "flowStartMilliseconds", .dateTimeMilliseconds)
  static let start = InformationElement(.iana, 154, "flowStartMicroseconds", .dateTimeMicroseconds)
  static let end = InformationElement(.iana, 155, "flowEndMicroseconds", .dateTimeMicroseconds)
  static let startNanoseconds = InformationElement(.iana, 156, "flowStartNanoseconds", .dateTimeNanoseconds)
  static let serverName = InformationElement(.cesnet, 808, "TLSSNI", .string)
  static let content = InformationElement(.cesnet, 850, "IDPContent", .octetArray)
  static let mean = InformationElement(.cesnet, 1020, "ntsMeanPacketPayload", .float32)
  static let lengths = InformationElement(.cesnet, 1013, "packetLength", .signed16)
  static let times = InformationElement(.cesnet, 1014, "packetTime", .dateTimeMilliseconds)
  static let preciseTimes = InformationElement(.martlet, 7, "packetTimeNanoseconds", .dateTimeNanoseconds)
  static let directions = InformationElement(.cesnet, 1016, "packetDirection", .signed8)
  static let histogram = InformationElement(.cesnet, 1060, "phistSrcSizes", .unsigned32)
  static let method = InformationElement(.flowmon, 1, "httpHost", .string)

  static let all = [
    octets, packets, protocolIdentifier, flags, sourcePort, source4, ingress, destinationPort, destination4,
    egress, nextHop, source6, destination6, sourceMAC, version, endReason, startSeconds, startMilliseconds,
    start,
    end, startNanoseconds, serverName, content, mean, lengths, times, preciseTimes, directions, histogram,
    method,
  ]
  static let model = InformationModel(all)
}

/// One field with its value, as a record would write it.
enum AnyField {
  case unsigned8(InformationElement, UInt8)
  case unsigned16(InformationElement, UInt16)
  case unsigned32(InformationElement, UInt32)
  case unsigned64(InformationElement, UInt64)
  case float32(InformationElement, Float)
  case ipv4(InformationElement, UInt32)
  case ipv6(InformationElement, UInt64, UInt64)
  case mac(InformationElement, UInt64)
  case time(InformationElement, UInt64)
  case octets(InformationElement, [UInt8])
  case string(InformationElement, [UInt8])
  case list16(InformationElement, [Int16])
  case list8(InformationElement, [Int8])
  case list32(InformationElement, [UInt32])
  case times(InformationElement, [UInt64])

  func write<Writer: FieldWriter & ~Copyable>(into writer: inout Writer) {
    switch self {
    case .unsigned8(let element, let value): writer.unsigned8(element, value)
    case .unsigned16(let element, let value): writer.unsigned16(element, value)
    case .unsigned32(let element, let value): writer.unsigned32(element, value)
    case .unsigned64(let element, let value): writer.unsigned64(element, value)
    case .float32(let element, let value): writer.float32(element, value)
    case .ipv4(let element, let value): writer.ipv4Address(element, value)
    case .ipv6(let element, let high, let low): writer.ipv6Address(element, high: high, low: low)
    case .mac(let element, let value): writer.macAddress(element, value)
    case .time(let element, let value): writer.time(element, nanoseconds: value)
    case .octets(let element, let bytes): writer.octets(element, bytes.span.bytes)
    case .string(let element, let bytes): writer.string(element, bytes.span.bytes)
    case .list16(let element, let values): writer.list(element, count: values.count) { values[$0] }
    case .list8(let element, let values): writer.list(element, count: values.count) { values[$0] }
    case .list32(let element, let values): writer.list(element, count: values.count) { values[$0] }
    case .times(let element, let values): writer.times(element, count: values.count) { values[$0] }
    }
  }

  /// What a decoder must make of the field.
  var decoded: FieldValue {
    func list(_ element: InformationElement, _ length: UInt16, _ entries: [FieldValue]) -> FieldValue {
      let field = FieldSpecifier(
        identifier: element.identifier, length: length, enterpriseNumber: element.enterpriseNumber())
      return .list(BasicList(semantic: 3, field: field, entries: entries))
    }
    func truncated(_ element: InformationElement, _ time: UInt64) -> UInt64 {
      switch element.type {
      case .dateTimeSeconds: time / 1_000_000_000 * 1_000_000_000
      case .dateTimeMilliseconds: time / 1_000_000 * 1_000_000
      case .dateTimeMicroseconds: time / 1000 * 1000
      default: time
      }
    }
    switch self {
    case .unsigned8(_, let value): return .unsigned(UInt64(value))
    case .unsigned16(_, let value): return .unsigned(UInt64(value))
    case .unsigned32(_, let value): return .unsigned(UInt64(value))
    case .unsigned64(_, let value): return .unsigned(value)
    case .float32(_, let value): return .float32(value)
    case .ipv4(_, let value): return .ipv4Address(value)
    case .ipv6(_, let high, let low): return .ipv6Address(high: high, low: low)
    case .mac(_, let value): return .macAddress(value)
    case .time(let element, let value): return .time(truncated(element, value))
    case .octets(_, let bytes): return .octets(bytes)
    case .string(_, let bytes): return .string(bytes)
    case .list16(let element, let values): return list(element, 2, values.map { .signed(Int64($0)) })
    case .list8(let element, let values): return list(element, 1, values.map { .signed(Int64($0)) })
    case .list32(let element, let values): return list(element, 4, values.map { .unsigned(UInt64($0)) })
    case .times(let element, let values):
      return list(element, 8, values.map { .time(truncated(element, $0)) })
    }
  }
}

extension [AnyField] {
  func write<Writer: FieldWriter & ~Copyable>(into writer: inout Writer) {
    for field in self { field.write(into: &writer) }
  }

  /// Fields of a kind each, chosen by `shape`; values by chance. Equal shapes have equal templates.
  static func random(shape: UInt64, using generator: inout SeededGenerator) -> [AnyField] {
    var shapes = SeededGenerator(seed: shape)
    let count = Int.random(in: 1...20, using: &shapes)
    return (0..<count).map { _ in .random(kind: Int.random(in: 0..<20, using: &shapes), using: &generator) }
  }
}

extension AnyField {
  static func random(kind: Int, using generator: inout SeededGenerator) -> AnyField {
    // Nanoseconds between 1970 and 2036.
    func time() -> UInt64 { UInt64.random(in: 0..<2_085_000_000_000_000_000, using: &generator) }
    func bytes() -> [UInt8] {
      let lengths = [0, 1, 20, 254, 255, 256, 300]
      return (0..<lengths.randomElement(using: &generator)!).map { _ in
        .random(in: 0...255, using: &generator)
      }
    }
    func count() -> Int { Int.random(in: 0...30, using: &generator) }
    switch kind {
    case 0: return .unsigned8(Sample.protocolIdentifier, .random(in: 0...255, using: &generator))
    case 1: return .unsigned8(Sample.flags, .random(in: 0...255, using: &generator))
    case 2: return .unsigned16(Sample.sourcePort, .random(in: 0...65535, using: &generator))
    case 3: return .unsigned32(Sample.ingress, UInt32(truncatingIfNeeded: generator.next()))
    case 4: return .unsigned64(Sample.octets, generator.next())
    case 5: return .unsigned64(Sample.octets.reversed, generator.next())
    case 6: return .float32(Sample.mean, .random(in: -1e6...1e6, using: &generator))
    case 7: return .ipv4(Sample.source4, UInt32(truncatingIfNeeded: generator.next()))
    case 8: return .ipv6(Sample.source6, generator.next(), generator.next())
    case 9: return .mac(Sample.sourceMAC, generator.next() >> 16)
    case 10: return .time(Sample.startSeconds, time())
    case 11: return .time(Sample.startMilliseconds, time())
    case 12: return .time(Sample.start, time())
    case 13: return .time(Sample.startNanoseconds, time())
    case 14: return .octets(Sample.content, bytes())
    case 15: return .string(Sample.serverName, bytes())
    case 16:
      return .list16(
        Sample.lengths, (0..<count()).map { _ in .random(in: -32768...32767, using: &generator) })
    case 17:
      return .list8(Sample.directions, (0..<count()).map { _ in .random(in: -128...127, using: &generator) })
    case 18:
      return .list32(Sample.egress, (0..<count()).map { _ in UInt32(truncatingIfNeeded: generator.next()) })
    default:
      let element = generator.next() & 1 == 0 ? Sample.times : Sample.preciseTimes
      return .times(element, (0..<count()).map { _ in time() })
    }
  }
}

extension MessageStream {
  /// Appends a record of arbitrary fields.
  mutating func append(key: UInt64, _ fields: [AnyField]) {
    append(key: key, describe: { fields.write(into: &$0) }, encode: { fields.write(into: &$0) })
  }

  /// Finishes everything and returns the messages one by one.
  mutating func takeMessages() -> [[UInt8]] {
    flush()
    let batch = self.batch
    let messages = batch.messages.map { Array(batch[$0].buffer) }
    removeBatch()
    return messages
  }
}

/// The bytes that a data record writer makes of some fields, nil when they do not fit into `room`.
func encode(_ fields: [AnyField], room: Int = 65535) -> [UInt8]? {
  // Bytes behind the end must stay as they are.
  var memory = OwnedBytes(count: room + 16)
  memory.fill(0xEE, from: 0, count: room + 16)
  var writer = DataRecordWriter(memory, from: 0, to: room)
  fields.write(into: &writer)
  precondition(memory.view(room, 16).buffer.allSatisfy { $0 == 0xEE }, "written past the end")
  return writer.overflowed ? nil : Array(memory.view(0, writer.position - memory.base).buffer)
}

/// Bytes from hexadecimal text; blanks are ignored.
func bytes(_ hexadecimal: String) -> [UInt8] {
  let digits = hexadecimal.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
