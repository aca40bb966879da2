// The decoder against published messages and against hostile ones.
import IPFIXDecoding
import TestSupport
import Testing

@testable import IPFIX

@Suite struct DecoderTests {
  @Test("RFC 7011 A.4.1 to A.4.4: options templates, padded, and their data records")
  func optionsTemplates() throws {
    var decoder = MessageDecoder(model: Sample.model)
    // lineCardId 141 = 0x8D, exportedMessageTotalCount 41 = 0x29, exportedFlowRecordTotalCount 42 = 0x2A, the proprietary
    // scope 123 = 0x7B. The RFC names no enterprise: 32473 = 0x7ED9 (RFC 5612). 16 + 24 + 28 + 28 + 20 = 116 = 0x74.
    let message = try decoder.decode(
      bytes("000A 0074 00000000 00000000 00000001")
        + bytes("0003 0018 0102 0003 0001 008D 0004 0029 0002 002A 0002 0000")
        + bytes("0003 001C 0103 0003 0001 008D 0004 0029 0002 802A 0004 00007ED9 0000")
        + bytes("0003 001C 0104 0003 0001 807B 0004 00007ED9 0029 0002 002A 0002 0000")
        // 1: 345 = 0x159 messages, 10201 = 0x27D9 records; 2: 690 = 0x2B2 and 20402 = 0x4FB2.
        + bytes("0104 0014 00000001 0159 27D9 00000002 02B2 4FB2"))
    #expect(message.sets == [3, 3, 3, 260])
    #expect(message.unknownSets == 0)
    #expect(message.records.isEmpty && message.templates.isEmpty)
    #expect(message.optionsTemplates.map(\.identifier) == [258, 259, 260])
    #expect(message.optionsTemplates.allSatisfy { $0.scopeCount == 1 && $0.fields.count == 3 })
    let values = message.options.map { [$0[123, 32473], $0[41], $0[42]] }
    #expect(
      values == [
        [.octets([0, 0, 0, 1]), .octets([0x01, 0x59]), .octets([0x27, 0xD9])],
        [.octets([0, 0, 0, 2]), .octets([0x02, 0xB2]), .octets([0x4F, 0xB2])],
      ])
  }

  /// Template 256 of RFC 6313 9.1 (figure 11), and one data set for it.
  private func multicast(_ length: String, _ list: String) throws -> DecodedRecord? {
    var decoder = MessageDecoder(
      model: InformationModel(Sample.all + [InformationElement(.iana, 82, "interfaceName", .string)]))
    let template = bytes("0002 0018 0100 0004 000A 0004 0008 0004 000C 0004 0123 FFFF")
    let data = bytes("0100 \(length) 00000009 C00002C9 E9FC0001 \(list)")
    let message = try decoder.decode(
      bytes("000A 00") + [UInt8(16 + template.count + data.count)] + bytes("00000000 00000000 00000001")
        + template + data)
    let record = message.records.first
    #expect(record?[10] == .unsigned(9))
    #expect(record?[8] == .ipv4Address(0xC000_02C9))
    #expect(record?[12] == .ipv4Address(0xE9FC_0001))
    return record
  }

  @Test("RFC 6313 9.1, figure 12: a basicList, and the same with its length in one octet")
  func basicList() throws {
    let field = FieldSpecifier(identifier: 14, length: 4)
    let list = BasicList(semantic: 3, field: field, entries: [.unsigned(1), .unsigned(4), .unsigned(8)])
    let entries = "03 000E 0004 00000001 00000004 00000008"
    for (length, prefix) in [("0024", "FF 0011"), ("0022", "11")] {
      let record = try multicast(length, "\(prefix) \(entries)")
      #expect(record?[291] == .list(list))
      #expect(record?[Sample.egress] == .list(list))
    }
  }

  @Test("RFC 6313 9.1, figure 13: a basicList of names, each with its own length")
  func basicListOfNames() throws {
    // FE0/0, FE10/10, FE2/2.
    let record = try multicast(
      "002C", "FF 0019 03 0052 FFFF 05 4645302F30 07 464531302F3130 05 4645322F32")
    let names = ["FE0/0", "FE10/10", "FE2/2"].map { FieldValue.string(Array($0.utf8)) }
    let field = FieldSpecifier(identifier: 82, length: FieldSpecifier.variableLength)
    #expect(record?[291] == .list(BasicList(semantic: 3, field: field, entries: names)))
  }

  @Test("RFC 6313 9.2, figure 14: a basicList of which exactly one applies")
  func basicListOfAlternatives() throws {
    let record = try multicast("0024", "FF 0011 01 000E 0004 00000001 00000004 00000008")
    let field = FieldSpecifier(identifier: 14, length: 4)
    #expect(
      record?[291]
        == .list(BasicList(semantic: 1, field: field, entries: [.unsigned(1), .unsigned(4), .unsigned(8)])))
  }

  @Test("a basicList of variable-length entries")
  func variableEntries() throws {
    var decoder = MessageDecoder(model: Sample.model)
    let list = bytes("03 8328 FFFF 00001F79 02 6162 00 01 63")
    let body =
      bytes("0002 000C 0100 0001 0123 FFFF") + [1, 0, 0, UInt8(5 + list.count), UInt8(list.count)] + list
    let message = try decoder.decode(
      bytes("000A 00") + [UInt8(16 + body.count)] + bytes("00000000 00000000 00000001") + body)
    guard case .list(let decoded)? = message.records.first?[291] else {
      Issue.record("no list")
      return
    }
    #expect(decoded.entries == [.string(Array("ab".utf8)), .string([]), .string(Array("c".utf8))])
  }

  @Test("padding, withdrawal and unknown templates")
  func templateLife() throws {
    var decoder = MessageDecoder(model: Sample.model)
    func message(_ sets: String) -> [UInt8] {
      let body = bytes(sets)
      return bytes("000A 00") + [UInt8(16 + body.count)] + bytes("00000000 00000000 00000001") + body
    }
    #expect(try decoder.decode(message("0100 0006 0001")).unknownSets == 1)
    let padded = try decoder.decode(message("0002 000C 0100 0001 0007 0002  0100 0009 0001 0002 00"))
    #expect(padded.records.map { $0[7] } == [.unsigned(1), .unsigned(2)])
    #expect(try decoder.decode(message("0002 0008 0100 0000")).templates.map(\.fields.count) == [0])
    #expect(try decoder.decode(message("0100 0006 0001")).unknownSets == 1)
    // Another domain has its own templates.
    _ = try decoder.decode(message("0002 000C 0100 0001 0007 0002"))
    var other = message("0100 0006 0001")
    other[15] = 2
    #expect(try decoder.decode(other).unknownSets == 1)
    #expect(try decoder.decode(message("0002 0008 0002 0000  0100 0006 0001")).unknownSets == 1)
  }

  @Test(
    "what is wrong is named",
    arguments: [
      ("", "version"), ("0009 0010 00000000 00000000 00000000", "version is 9"),
      ("000A 000F 00000000 00000000 00000000", "below 16"),
      ("000A 0020 00000000 00000000 00000000", "ends inside"),
      ("000A 0014 00000000 00000000 00000000 0002 0003", "set length"),
      ("000A 0014 00000000 00000000 00000000 0004 0004", "reserved"),
      ("000A 001C 00000000 00000000 00000000 0002 000C 0100 0001 0007 0000", "field length is 0"),
      ("000A 001C 00000000 00000000 00000000 0002 000C 00FF 0001 0007 0002", "below 256"),
      ("000A 0010 00000000 00000000 00000000 00", "more octets"),
    ])
  func errors(_ hexadecimal: String, _ hint: String) {
    var decoder = MessageDecoder()
    let error = #expect(throws: DecodeError.self) { try decoder.decode(bytes(hexadecimal)) }
    #expect(error?.description.contains(hint) == true, "\(String(describing: error))")
  }

  @Test("every prefix of a stream and 20000 random mutations are survived")
  func hostile() {
    var generator = SeededGenerator(seed: 20)
    var stream = MessageStream()
    for shape in 0..<40 as Range<UInt64> {
      stream.append(key: shape, .random(shape: shape, using: &generator))
    }
    stream.flush()
    let whole = Array(stream.batch.bytes)
    for length in stride(from: 0, to: whole.count, by: 7) {
      var decoder = MessageDecoder(model: Sample.model)
      _ = try? decoder.decodeAll(Array(whole[..<length]))
    }
    let first = Array(stream.batch[stream.batch.messages[0]].buffer)
    for length in 0..<first.count {
      var decoder = MessageDecoder(model: Sample.model)
      _ = try? decoder.decode(Array(first[..<length]))
    }
    var decoder = MessageDecoder(model: Sample.model)
    for _ in 0..<20000 {
      var mutated = Array(
        stream.batch[stream.batch.messages.randomElement(using: &generator)!].buffer)
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        mutated[Int.random(in: 0..<mutated.count, using: &generator)] = .random(
          in: 0...255, using: &generator)
      }
      _ = try? decoder.decode(mutated)
    }
  }
}
