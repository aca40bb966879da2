// The decoder against published messages and against hostile ones.
import TestSupport
import Testing

@testable import IPFIX

@Suite struct DecoderTests {
  @Test("RFC 7011 A.4: an options template and its records are passed over")
  func optionsTemplate() throws {
    var decoder = MessageDecoder(model: Sample.model)
    // Options template 258 with one scope field (lineCardId, 141), padded, then its data records.
    let message = try decoder.decode(
      bytes("000A 003C 00000000 00000000 00000001")
        + bytes("0003 0018 0102 0003 0001 008D 0004 0029 0002 002A 0002 0000")
        // Line card 1: 345 messages, 10201 records; line card 2: 690 and 20402.
        + bytes("0102 0014 00000001 0159 27D9 00000002 02B2 4FB2"))
    #expect(message.sets == [3, 258])
    #expect(message.unknownSets == 1)
    #expect(message.records.isEmpty)
  }

  @Test("RFC 6313: a basicList with its length in one octet")
  func basicList() throws {
    var decoder = MessageDecoder(model: Sample.model)
    // Template 256: ingressInterface, basicList. List: length 17, allOf, egressInterface, entries 1, 4, 8.
    let message = try decoder.decode(
      bytes("000A 003A 00000000 00000000 00000001")
        + bytes("0002 0010 0100 0002 000A 0004 0123 FFFF")
        + bytes("0100 001A 00000009 11 03 000E 0004 00000001 00000004 00000008"))
    let field = FieldSpecifier(identifier: 14, length: 4)
    let list = BasicList(semantic: 3, field: field, entries: [.unsigned(1), .unsigned(4), .unsigned(8)])
    #expect(message.records.first?[291] == .list(list))
    #expect(message.records.first?[Sample.egress] == .list(list))
    #expect(message.records.first?[10] == .unsigned(9))
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
    let first = Array(stream.batch[stream.batch.messages[0]])
    for length in 0..<first.count {
      var decoder = MessageDecoder(model: Sample.model)
      _ = try? decoder.decode(Array(first[..<length]))
    }
    var decoder = MessageDecoder(model: Sample.model)
    for _ in 0..<20000 {
      var mutated = Array(stream.batch[stream.batch.messages.randomElement(using: &generator)!])
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        mutated[Int.random(in: 0..<mutated.count, using: &generator)] = .random(
          in: 0...255, using: &generator)
      }
      _ = try? decoder.decode(mutated)
    }
  }
}
