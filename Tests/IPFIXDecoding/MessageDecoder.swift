// The other end of the wire, for tests and tools: messages and files back into typed values.
import IPFIX

/// Decodes IPFIX messages (RFC 7011) and files of them (RFC 5655), basicLists (RFC 6313) included.
///
/// Any bytes are safe: every length is checked, and work and memory are linear in the input. Keeps the templates of each
/// observation domain between messages.
public struct MessageDecoder: Sendable {
  private struct TemplateKey: Hashable {
    var observationDomain: UInt32
    var identifier: UInt16
  }

  private let model: InformationModel
  private var templates: [TemplateKey: Template] = [:]

  /// A decoder without templates. Values of elements that `model` lacks are returned as octets.
  public init(model: InformationModel = InformationModel()) { self.model = model }

  /// Decodes exactly one message. When it throws, templates seen before the error are kept.
  public mutating func decode(_ bytes: [UInt8]) throws(DecodeError) -> DecodedMessage {
    var reader = ByteReader(bytes)
    let message = try decode(&reader)
    guard reader.remaining == 0 else {
      throw .malformed(what: "more octets than the message length says", offset: reader.position)
    }
    return message
  }

  /// Decodes messages that follow each other: a file (RFC 5655) or what a TCP connection carried.
  public mutating func decodeAll(_ bytes: [UInt8]) throws(DecodeError) -> [DecodedMessage] {
    var reader = ByteReader(bytes)
    var messages: [DecodedMessage] = []
    while reader.remaining > 0 { messages.append(try decode(&reader)) }
    return messages
  }

  private mutating func decode(_ reader: inout ByteReader) throws(DecodeError) -> DecodedMessage {
    let start = reader.position
    let version = try reader.unsigned16("version")
    guard version == 10 else { throw .malformed(what: "version is \(version), not 10", offset: start) }
    let length = Int(try reader.unsigned16("message length"))
    guard length >= 16 else {
      throw .malformed(what: "message length is \(length), below 16", offset: start + 2)
    }
    var body = try reader.part(length - 4, "message")
    var message = DecodedMessage(
      length: length, exportTime: try body.unsigned32("export time"),
      sequence: try body.unsigned32("sequence"),
      observationDomain: try body.unsigned32("observation domain"))
    while body.remaining > 0 {
      let offset = body.position
      let identifier = try body.unsigned16("set id")
      let setLength = Int(try body.unsigned16("set length"))
      guard setLength >= 4 else {
        throw .malformed(what: "set length is \(setLength), below 4", offset: offset + 2)
      }
      var set = try body.part(setLength - 4, "set")
      message.sets.append(identifier)
      switch identifier {
      case 2: try decodeTemplates(&set, &message, areOptions: false)
      case 3: try decodeTemplates(&set, &message, areOptions: true)
      case 256...: try decodeRecords(&set, identifier, &message)
      default: throw .malformed(what: "set id \(identifier) is reserved", offset: offset)
      }
    }
    return message
  }

  private mutating func decodeTemplates(
    _ set: inout ByteReader, _ message: inout DecodedMessage, areOptions: Bool
  ) throws(DecodeError) {
    // Up to three octets may pad a set (RFC 7011 section 3.3.1).
    while set.remaining >= 4 {
      let offset = set.position
      var template = Template(identifier: try set.unsigned16("template id"), fields: [])
      let count = Int(try set.unsigned16("field count"))
      let key = TemplateKey(observationDomain: message.observationDomain, identifier: template.identifier)
      if count == 0 {
        if template.identifier == (areOptions ? 3 : 2) {
          templates = templates.filter {
            $0.key.observationDomain != message.observationDomain || ($0.value.scopeCount > 0) != areOptions
          }
        } else {
          templates[key] = nil
        }
        message.templates.append(template)
        continue
      }
      guard template.identifier >= 256 else {
        throw .malformed(what: "template id \(template.identifier) is below 256", offset: offset)
      }
      if areOptions {
        template.scopeCount = Int(try set.unsigned16("scope field count"))
        guard 1...count ~= template.scopeCount else {
          throw .malformed(
            what: "\(template.scopeCount) of \(count) fields are the scope", offset: offset + 4)
        }
      }
      for _ in 0..<count {
        let field = try Self.fieldSpecifier(&set)
        // Without this a message could name thousands of fields that take no room in its records.
        guard field.length > 0 else { throw .malformed(what: "field length is 0", offset: set.position) }
        template.fields.append(field)
      }
      templates[key] = template
      if areOptions { message.optionsTemplates.append(template) } else { message.templates.append(template) }
    }
  }

  private static func fieldSpecifier(_ reader: inout ByteReader) throws(DecodeError) -> FieldSpecifier {
    let identifier = try reader.unsigned16("element id")
    let length = try reader.unsigned16("field length")
    let enterpriseNumber = identifier & 0x8000 != 0 ? try reader.unsigned32("enterprise number") : 0
    return FieldSpecifier(
      identifier: identifier & 0x7FFF, length: length, enterpriseNumber: enterpriseNumber)
  }

  private func decodeRecords(_ set: inout ByteReader, _ identifier: UInt16, _ message: inout DecodedMessage)
    throws(DecodeError)
  {
    let key = TemplateKey(observationDomain: message.observationDomain, identifier: identifier)
    guard let template = templates[key] else {
      message.unknownSets += 1
      return
    }
    let shortest = template.fields.reduce(0) {
      $0 + ($1.length == FieldSpecifier.variableLength ? 1 : Int($1.length))
    }
    // What is shorter than any record is padding.
    while set.remaining >= shortest {
      var fields: [DecodedField] = []
      fields.reserveCapacity(template.fields.count)
      for field in template.fields {
        let element = model.element(of: field)
        let value = try value(of: field, element, &set, depth: 0)
        fields.append(DecodedField(specifier: field, element: element, value: value))
      }
      let record = DecodedRecord(template: identifier, fields: fields)
      if template.scopeCount > 0 { message.options.append(record) } else { message.records.append(record) }
    }
  }

  private func value(
    of field: FieldSpecifier, _ element: InformationElement?, _ reader: inout ByteReader, depth: Int
  ) throws(DecodeError) -> FieldValue {
    var length = Int(field.length)
    if field.length == FieldSpecifier.variableLength {
      length = Int(try reader.unsigned8("variable length"))
      if length == 255 { length = Int(try reader.unsigned16("variable length")) }
    }
    var content = try reader.part(length, "field")
    if field.enterpriseNumber == 0 && field.identifier == 291 && depth < 4 {
      return .list(try list(&content, depth: depth))
    }
    return Self.typed(content, element?.type) ?? .octets(content.rest())
  }

  private func list(_ content: inout ByteReader, depth: Int) throws(DecodeError) -> BasicList {
    let semantic = try content.unsigned8("list semantic")
    let field = try Self.fieldSpecifier(&content)
    guard field.length > 0 || content.remaining == 0 else {
      throw .malformed(what: "list entries have length 0", offset: content.position)
    }
    let element = model.element(of: field)
    var entries: [FieldValue] = []
    while content.remaining > 0 {
      entries.append(try value(of: field, element, &content, depth: depth + 1))
    }
    return BasicList(semantic: semantic, field: field, entries: entries)
  }

  /// The content as a value of `type`, or nil when its length does not suit the type.
  private static func typed(_ content: ByteReader, _ type: AbstractDataType?) -> FieldValue? {
    var content = content
    let length = content.remaining
    guard let type else { return nil }
    if type == .string { return .string(content.rest()) }
    if type == .ipv6Address {
      guard length == 16, let high = try? content.number(8, ""), let low = try? content.number(8, "") else {
        return nil
      }
      return .ipv6Address(high: high, low: low)
    }
    guard type != .octetArray, type != .basicList, 1...8 ~= length,
      let number = try? content.number(length, "")
    else { return nil }
    switch (type, length) {
    case (.unsigned8, _), (.unsigned16, _), (.unsigned32, _), (.unsigned64, _): return .unsigned(number)
    case (.signed8, _), (.signed16, _), (.signed32, _), (.signed64, _):
      let unused = UInt64(64 - 8 * length)
      return .signed(Int64(bitPattern: number << unused) >> Int64(unused))
    case (.float32, 4), (.float64, 4): return .float32(Float(bitPattern: UInt32(number)))
    case (.float64, 8): return .float64(Double(bitPattern: number))
    // 1 is true, 2 is false (RFC 7011 section 6.1.5).
    case (.boolean, 1) where number == 1 || number == 2: return .boolean(number == 1)
    case (.macAddress, 6): return .macAddress(number)
    case (.ipv4Address, 4): return .ipv4Address(UInt32(number))
    case (.dateTimeSeconds, 4): return .time(number * 1_000_000_000)
    // A time beyond what 64 bits of nanoseconds hold stays octets.
    case (.dateTimeMilliseconds, 8) where number <= UInt64.max / 1_000_000: return .time(number * 1_000_000)
    case (.dateTimeMicroseconds, 8): return .time(Timestamp.fromMicroseconds(number))
    case (.dateTimeNanoseconds, 8): return .time(Timestamp.fromNanoseconds(number))
    default: return nil
    }
  }
}
