// The IPFIX protocol both ways.
import IPFIX
import IPFIXDecoding

/// Records of fields that the input chooses, encoded, decoded and compared.
enum EncoderInput {
  private static let byte = InformationElement(.iana, 4, "protocolIdentifier", .unsigned8)
  private static let port = InformationElement(.iana, 7, "sourceTransportPort", .unsigned16)
  private static let count = InformationElement(.iana, 1, "octetDeltaCount", .unsigned64)
  private static let address = InformationElement(.iana, 8, "sourceIPv4Address", .ipv4Address)
  private static let mac = InformationElement(.iana, 56, "sourceMacAddress", .macAddress)
  private static let time = InformationElement(.iana, 154, "flowStartMicroseconds", .dateTimeMicroseconds)
  private static let name = InformationElement(.cesnet, 808, "TLSSNI", .string)
  private static let content = InformationElement(.cesnet, 850, "IDPContent", .octetArray)
  private static let lengths = InformationElement(.cesnet, 1013, "packetLength", .signed16)
  private static let model = InformationModel([byte, port, count, address, mac, time, name, content, lengths])

  /// A field's kind and its value.
  private struct Field {
    var kind: UInt8
    var number: UInt64 = 0
    var bytes: [UInt8] = []

    init(kind: UInt8, _ reader: inout InputReader) {
      self.kind = kind
      if kind < 6 {
        number = reader.quad()
      } else {
        // The long ones reach past what a message holds.
        let length = Int(reader.byte()) << (reader.byte() & 8)
        bytes = reader.take(length)
        if length > 255 { bytes += [UInt8](repeating: 0x2D, count: length - bytes.count) }
      }
    }

    func write<Writer: FieldWriter & ~Copyable>(into writer: inout Writer) {
      switch kind {
      case 0: writer.unsigned8(byte, UInt8(truncatingIfNeeded: number))
      case 1: writer.unsigned16(port, UInt16(truncatingIfNeeded: number))
      case 2: writer.unsigned64(count, number)
      case 3: writer.ipv4Address(address, UInt32(truncatingIfNeeded: number))
      case 4: writer.macAddress(mac, number & 0xFFFF_FFFF_FFFF)
      case 5: writer.time(time, nanoseconds: number)
      case 6: writer.string(name, bytes.span.bytes)
      case 7: writer.octets(content, bytes.span.bytes)
      default: writer.list(lengths, count: bytes.count) { Int16(bytes[$0]) - 128 }
      }
    }

    /// What a decoder must give; nil where it may differ (a time beyond the era of the protocol, 2036).
    var value: FieldValue? {
      switch kind {
      case 0: .unsigned(number & 0xFF)
      case 1: .unsigned(number & 0xFFFF)
      case 2: .unsigned(number)
      case 3: .ipv4Address(UInt32(truncatingIfNeeded: number))
      case 4: .macAddress(number & 0xFFFF_FFFF_FFFF)
      case 5: number < 2_085_000_000_000_000_000 ? .time(number / 1000 * 1000) : nil
      case 6: .string(bytes)
      case 7: .octets(bytes)
      default:
        .list(
          BasicList(
            semantic: 3,
            field: FieldSpecifier(identifier: 1013, length: 2, enterpriseNumber: EnterpriseNumber.cesnet),
            entries: bytes.map { .signed(Int64($0) - 128) }))
      }
    }
  }

  /// A record that was not dropped.
  private struct Record {
    var fields: [Field]
    /// Whether it was longer than any message.
    var isShortened: Bool

    /// What is wrong in the decoded values; nil where nothing is.
    func difference(_ values: [FieldValue]) -> String? {
      // Of fields that were cut, how many octets stayed; of all other variable ones, how many they have.
      var cut: [Int] = []
      var whole: [Int] = []
      for (got, field) in zip(values, fields) {
        guard let value = field.value else { continue }
        if got == value {
          whole.append(octets(got) ?? 0)
        } else if isShortened, let length = octets(got), got == prefix(value, length) {
          cut.append(length)
        } else {
          return "\("\(got)".prefix(300)) in place of \("\(value)".prefix(300))"
        }
      }
      guard isShortened else { return nil }
      // All are cut to one length: less a character begun in a text, less an entry begun in a list, whose header always stays.
      guard let longest = cut.max(), let shortest = cut.min() else {
        return "a record was shortened by nothing"
      }
      guard longest <= 9 || longest - shortest <= 3 else {
        return "fields were cut to \(shortest) and \(longest) octets"
      }
      guard whole.allSatisfy({ $0 <= longest + 3 }) else {
        return "a longer field than \(longest) octets was not cut"
      }
      return nil
    }

    /// The octets of a variable field's value.
    private func octets(_ value: FieldValue) -> Int? {
      switch value {
      case .string(let bytes), .octets(let bytes): bytes.count
      case .list(let list): 9 + 2 * list.entries.count
      default: nil
      }
    }

    /// The first `length` octets of a variable field's value.
    private func prefix(_ value: FieldValue, _ length: Int) -> FieldValue {
      switch value {
      case .string(let bytes): return .string(Array(bytes.prefix(length)))
      case .octets(let bytes): return .octets(Array(bytes.prefix(length)))
      case .list(var list):
        list.entries = Array(list.entries.prefix((length - 9) / 2))
        return .list(list)
      default: return value
      }
    }
  }

  static func run(_ input: UnsafeRawBufferPointer) -> String? {
    var reader = InputReader(input)
    var configuration = MessageStream.Configuration()
    configuration.maximumLength = Int(reader.word())
    configuration.padsMessages = reader.byte() & 1 != 0
    configuration.messagesPerBatch = 2
    configuration.templateRefresh = 1
    var stream = MessageStream(configuration)
    var decoder = MessageDecoder(model: model)
    var expected: [Record] = []
    var decoded: [DecodedRecord] = []
    while reader.remaining > 0, expected.count < 64 {
      // The key is the list of kinds: four bits each.
      var key: UInt64 = 0
      var fields: [Field] = []
      for _ in 0..<Int(reader.byte() % 8) + 1 {
        let kind = reader.byte() % 9
        key = key << 4 | UInt64(kind + 1)
        fields.append(Field(kind: kind, &reader))
      }
      let before = stream.counters
      stream.append(
        key: key, describe: { for field in fields { field.write(into: &$0) } },
        encode: { for field in fields { field.write(into: &$0) } })
      if stream.counters.dropped == before.dropped {
        expected.append(Record(fields: fields, isShortened: stream.counters.shortened > before.shortened))
      }
      if reader.byte() & 15 == 0 { stream.tick(now: UInt32(truncatingIfNeeded: expected.count)) }
      if stream.isBatchFull, let problem = decode(&stream, &decoder, &decoded) { return problem }
    }
    stream.flush()
    if let problem = decode(&stream, &decoder, &decoded) { return problem }
    guard decoded.count == expected.count else { return "\(decoded.count) of \(expected.count) records" }
    for (got, record) in zip(decoded, expected) {
      guard got.fields.count >= record.fields.count else { return "a record lost fields" }
      if let problem = record.difference(got.fields.map(\.value)) { return problem }
    }
    return nil
  }

  private static func decode(
    _ stream: inout MessageStream, _ decoder: inout MessageDecoder, _ records: inout [DecodedRecord]
  ) -> String? {
    do {
      for message in try decoder.decodeAll(Array(stream.batch.bytes)) { records += message.records }
    } catch {
      return "\(error)"
    }
    stream.removeBatch()
    return nil
  }
}

/// Any bytes as messages: nothing may happen, whatever they say.
enum DecoderInput {
  static func run(_ input: UnsafeRawBufferPointer) -> String? {
    var decoder = MessageDecoder(model: InformationModel(EngineHarness.full.columns))
    _ = try? decoder.decodeAll(Array(input))
    return nil
  }
}
