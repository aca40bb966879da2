// The encoder against examples that others published: RFC 7011 appendix A, RFC 5103, RFC 6313.
import TestSupport
import Testing

@testable import IPFIX

@Suite struct WireFormatTests {
  @Test("RFC 7011 A.2.1: a template of IANA elements")
  func templateRecord() {
    let fields = [(8, 4), (12, 4), (15, 4), (2, 4), (1, 4)].map {
      FieldSpecifier(identifier: UInt16($0.0), length: UInt16($0.1))
    }
    #expect(
      Template(identifier: 256, fields: fields).record
        == bytes("0100 0005  0008 0004  000C 0004  000F 0004  0002 0004  0001 0004"))
  }

  @Test("RFC 7011 A.2.2: an enterprise's element among IANA's")
  func enterpriseTemplateRecord() {
    let fields = [
      FieldSpecifier(identifier: 8, length: 4), FieldSpecifier(identifier: 12, length: 4),
      FieldSpecifier(identifier: 15, length: 4, enterpriseNumber: 32473),
      FieldSpecifier(identifier: 2, length: 4), FieldSpecifier(identifier: 1, length: 4),
    ]
    // 32473 = 0x7ED9
    #expect(
      Template(identifier: 257, fields: fields).record
        == bytes("0101 0005  0008 0004  000C 0004  800F 0004 00007ED9  0002 0004  0001 0004"))
  }

  @Test("RFC 7011 A.3: three data records in one set, after their template")
  func dataSet() throws {
    // 192.0.2.12 -> 192.0.2.254 by 192.0.2.1: 5009 packets, 5344385 octets, and so on.
    let rows: [[UInt32]] = [
      [0xC000_020C, 0xC000_02FE, 0xC000_0201, 5009, 5_344_385],
      [0xC000_021B, 0xC000_0217, 0xC000_0202, 748, 388_934],
      [0xC000_0238, 0xC000_0241, 0xC000_0203, 5, 6534],
    ]
    var stream = MessageStream()
    stream.tick(now: 0x5000_0000)
    for row in rows {
      stream.append(
        key: 1,
        [
          .ipv4(Sample.source4, row[0]), .ipv4(Sample.destination4, row[1]), .ipv4(Sample.nextHop, row[2]),
          .unsigned32(Sample.packets, row[3]), .unsigned32(Sample.octets, row[4]),
        ])
    }
    let messages = stream.takeMessages()
    #expect(messages.count == 1)
    let expected =
      // Header: 16 + 28 + 64 = 108 octets = 0x6C.
      bytes("000A 006C 50000000 00000000 00000001")
      + bytes("0002 001C 0102 0005 0008 0004 000C 0004 000F 0004 0002 0004 0001 0004")
      + bytes("0102 0040")
      // 5009 = 0x1391, 5344385 = 0x518C81; 748 = 0x2EC, 388934 = 0x5EF46; 6534 = 0x1986.
      + bytes("C000020C C00002FE C0000201 00001391 00518C81")
      + bytes("C000021B C0000217 C0000202 000002EC 0005EF46")
      + bytes("C0000238 C0000241 C0000203 00000005 00001986")
    #expect(messages[0] == expected)
  }

  @Test("RFC 7011 A.5: variable lengths in one and in three octets")
  func variableLength() throws {
    #expect(encode([.octets(Sample.content, bytes("0102030405"))]) == bytes("05 01 02 03 04 05"))
    #expect(encode([.string(Sample.serverName, [])]) == [0])
    let at254 = try #require(encode([.octets(Sample.content, Array(repeating: 7, count: 254))]))
    #expect(at254.prefix(2) == [254, 7] && at254.count == 255)
    let at255 = try #require(encode([.octets(Sample.content, Array(repeating: 7, count: 255))]))
    #expect(at255.prefix(4) == [255, 0, 255, 7] && at255.count == 258)
    let at1000 = try #require(encode([.octets(Sample.content, Array(repeating: 7, count: 1000))]))
    // 1000 = 0x03E8
    #expect(at1000.prefix(4) == [255, 0x03, 0xE8, 7] && at1000.count == 1003)
  }

  @Test("RFC 5103 6.1: the reverse of an IANA element has enterprise number 29305 and the same number")
  func reverseElement() {
    var collector = TemplateCollector()
    collector.unsigned64(Sample.octets, 0)
    collector.unsigned64(Sample.octets.reversed, 0)
    // 29305 = 0x7279
    #expect(
      Template(identifier: 258, fields: collector.fields).record
        == bytes("0102 0002  0001 0008  8001 0008 00007279"))
    #expect(Sample.octets.reversed.key == "iana@reverse:octetDeltaCount")
  }

  @Test("RFC 6313: a basicList of egress interfaces 1, 4 and 8, all of which apply")
  func basicListOfInterfaces() {
    // semantic 1 + element 2 + length 2 + 3 * 4 = 17 = 0x11, in the three-octet form of the length.
    #expect(
      encode([.list32(Sample.egress, [1, 4, 8])])
        == bytes("FF 0011 03 000E 0004 00000001 00000004 00000008"))
  }

  @Test(
    "an enterprise's basicList names its enterprise; an empty one is just its header (plugins.md section 4)")
  func basicListOfEnterprise() {
    // 1016 = 0x3F8, with the enterprise bit 0x83F8; 8057 = 0x1F79.
    #expect(
      encode([.list8(Sample.directions, [1, -1])]) == bytes("FF 000B 03 83F8 0001 00001F79 01 FF"))
    #expect(encode([.list8(Sample.directions, [])]) == bytes("FF 0009 03 83F8 0001 00001F79"))
  }

  @Test("every kind of field has the length that its template says")
  func lengthsAgree() throws {
    var generator = SeededGenerator(seed: 1)
    for kind in 0..<20 {
      let field = AnyField.random(kind: kind, using: &generator)
      var collector = TemplateCollector()
      field.write(into: &collector)
      let length = try #require(collector.fields.first).length
      let encoded = try #require(encode([field]))
      if length != FieldSpecifier.variableLength { #expect(encoded.count == Int(length)) }
      #expect(collector.fields.count == 1)
    }
  }

  @Test("a record that does not fit is refused at every length, and nothing is written past the end")
  func overflow() throws {
    var generator = SeededGenerator(seed: 2)
    for shape in 0..<20 {
      let fields = [AnyField].random(shape: UInt64(shape), using: &generator)
      let whole = try #require(encode(fields))
      for room in 0..<whole.count { #expect(encode(fields, room: room) == nil) }
      #expect(encode(fields, room: whole.count) == whole)
    }
  }

  @Test("values that no length can say overflow instead of trapping")
  func tooLong() {
    #expect(encode([.octets(Sample.content, Array(repeating: 0, count: 65536))], room: 100_000) == nil)
    #expect(encode([.list32(Sample.egress, Array(repeating: 0, count: 20000))], room: 100_000) == nil)
    #expect(encode([.list8(Sample.directions, Array(repeating: 0, count: 70000))], room: 100_000) == nil)
  }

  @Test("Martlet's own elements take the enterprise number that the operator names")
  func martletEnterpriseNumber() {
    var configuration = MessageStream.Configuration()
    configuration.martletEnterpriseNumber = 99
    var stream = MessageStream(configuration)
    let own = InformationElement(.martlet, 5, "own", .unsigned8)
    stream.append(key: 1, [.unsigned8(own, 1), .times(Sample.preciseTimes, [])])
    let message = stream.takeMessages()[0]
    #expect(Array(message[24..<32]) == bytes("8005 0001 00000063"))
    #expect(Array(message.suffix(12)) == bytes("FF 0009 03 8007 0008 00000063"))
  }
}
