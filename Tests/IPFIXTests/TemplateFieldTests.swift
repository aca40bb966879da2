// What a stream keeps of its templates: everything that a collector could be told of an element (RFC 5610 section 3.9).
import Testing

@testable import IPFIX

@Suite struct TemplateFieldTests {
  /// IANA's registry: octetDeltaCount is unsigned64, deltaCounter (3), octets (2). The list's entries are CESNET's.
  static let octets = InformationElement(
    .iana, 1, "octetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .octets)
  static let lengths = InformationElement(.cesnet, 1013, "packetLength", .signed16, units: .octets)

  private func stream(pads: Bool) -> MessageStream {
    var configuration = MessageStream.Configuration()
    configuration.padsMessages = pads
    var stream = MessageStream(configuration)
    for key in [1, 2, 1, 1] as [UInt64] {
      stream.append(key: key) {
        describe(key, &$0)
      } encode: {
        encode(key, &$0)
      }
    }
    return stream
  }

  private func describe(_ key: UInt64, _ builder: inout TemplateBuilder) {
    builder.field(Self.octets.reversed, length: 8)
    if key == 2 { builder.list(Self.lengths, count: 0) { _ in 0 as Int16 } }
  }

  private func encode(_ key: UInt64, _ writer: inout DataRecordWriter) {
    writer.unsigned64(Self.octets.reversed, 5)
    if key == 2 { writer.list(Self.lengths, count: 1) { _ in 9 as Int16 } }
  }

  @Test func fieldsKeepNameTypeUnitsAndSemantics() {
    let stream = stream(pads: false)
    #expect(stream.templateIdentifiers == 258..<260)
    let first = stream.fields(ofTemplate: 258)
    #expect(first.count == 1)
    #expect(first[0].element.name.description == "octetDeltaCount" && first[0].element.isReverse)
    #expect(first[0].element.type.rawValue == 4 && first[0].element.semantics.rawValue == 3)
    #expect(first[0].element.units.rawValue == 2 && first[0].length == 8 && !first[0].isList)
    let second = stream.fields(ofTemplate: 259)
    #expect(second.map(\.element.name.description) == ["octetDeltaCount", "packetLength"])
    // The template says basicList; what is described is the element of the entries (RFC 6313 section 4.5.1).
    #expect(second[1].isList && second[1].length == 65535 && second[1].element.enterpriseNumber() == 8057)
    #expect(second[1].element.type.rawValue == 6)
    for identifier in [257, 260, 0, -1, 70000] { #expect(stream.fields(ofTemplate: identifier).isEmpty) }
  }

  @Test func paddingIsAFieldOfTheTemplatesThatHaveIt() {
    let stream = stream(pads: true)
    #expect(stream.fields(ofTemplate: 258).count == 1)
    let second = stream.fields(ofTemplate: 259)
    #expect(second.count == 3 && second[2].element.identifier == 210)
    #expect(second[2].element.type.rawValue == 0)
  }

  /// Records of templates that are known add nothing.
  @Test func nothingIsKeptPerRecord() {
    var stream = stream(pads: false)
    let before = stream.templateFields.count
    for key in [1, 2, 2, 1] as [UInt64] {
      stream.append(key: key) { _ in
      } encode: {
        encode(key, &$0)
      }
    }
    stream.repeatTemplates()
    stream.reannounce()
    #expect(before == 3 && stream.templateFields.count == 3)
  }
}
