// The encoder against the examples of RFC 7011 appendix A, RFC 5103 appendix A and RFC 6313 section 9.1, held against
// their text. Where an example leaves a number open, or Martlet numbers differently, the test says so.
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
    // The RFC names no enterprise; 32473 = 0x7ED9 is the one for documentation (RFC 5612).
    #expect(
      Template(identifier: 257, fields: fields).record
        == bytes("0101 0005  0008 0004  000C 0004  800F 0004 00007ED9  0002 0004  0001 0004"))
  }

  @Test("RFC 7011 A.3: three data records in one set, after their template")
  func dataSet() throws {
    // 192.0.2.12 -> 192.0.2.254 by 192.0.2.1: 5009 packets, 5344385 octets, and so on. The RFC shows the set alone, with
    // identifier 256, which is 258 here.
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
      // Header (A.1): 16 + 28 + 64 = 108 octets = 0x6C. The set of A.3 has 64 = 0x40 octets and no padding.
      bytes("000A 006C 50000000 00000000 00000001")
      + bytes("0002 001C 0102 0005 0008 0004 000C 0004 000F 0004 0002 0004 0001 0004")
      + bytes("0102 0040")
      // 5009 = 0x1391, 5344385 = 0x518C81; 748 = 0x2EC, 388934 = 0x5EF46; 6534 = 0x1986.
      + bytes("C000020C C00002FE C0000201 00001391 00518C81")
      + bytes("C000021B C0000217 C0000202 000002EC 0005EF46")
      + bytes("C0000238 C0000241 C0000203 00000005 00001986")
    #expect(messages[0] == expected)
  }

  @Test("RFC 7011 A.5.1 and A.5.2: variable lengths in one and in three octets")
  func variableLength() throws {
    // The RFC shows the lengths 5 and 1000; 254 and 255 are where the form changes (section 7).
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

  @Test("RFC 5103 appendix A, figures 7 and 8: a biflow's template and its data record")
  func biflow() throws {
    let octets = InformationElement(.iana, 85, "octetTotalCount", .unsigned64)
    let packets = InformationElement(.iana, 86, "packetTotalCount", .unsigned64)
    // 2006-02-01T17:00:00Z: 36 years * 365 + 9 leap days (1972 ... 2004) + 31 = 13180 days; and 17 hours.
    let start: UInt64 = (13180 * 86400 + 17 * 3600) * 1_000_000_000
    let record: [AnyField] = [
      .time(Sample.startSeconds, start), .time(Sample.startSeconds.reversed, start + 1_000_000_000),
      .ipv4(Sample.source4, 0xC000_0202), .ipv4(Sample.destination4, 0xC000_0203),
      .unsigned16(Sample.sourcePort, 32770), .unsigned16(Sample.destinationPort, 80),
      .unsigned8(Sample.protocolIdentifier, 6),
      .unsigned32(octets, 18000), .unsigned32(octets.reversed, 128_000),
      .unsigned32(packets, 65), .unsigned32(packets.reversed, 110),
    ]
    var collector = TemplateBuilder()
    record.write(into: &collector)
    // 29305 = 0x7279, flowStartSeconds 150 = 0x96, octetTotalCount 85 = 0x55, packetTotalCount 86 = 0x56. The set that the
    // RFC shows is 64 octets long: 4 more than the template record.
    collector.record.setIdentifier(256)
    let template = Array(collector.record.bytes.buffer)
    #expect(
      template
        == bytes("0100 000B  0096 0004  8096 0004 00007279  0008 0004  000C 0004  0007 0002  000B 0002")
        + bytes("0004 0001  0055 0004  8055 0004 00007279  0056 0004  8056 0004 00007279"))
    #expect(template.count == 64 - 4)
    // 13180 * 86400 + 61200 = 1138813200 = 0x43E0E910; 18000 = 0x4650, 128000 = 0x1F400, 65 = 0x41, 110 = 0x6E.
    let data = try #require(encode(record))
    #expect(
      data
        == bytes("43E0E910 43E0E911 C0000202 C0000203 8002 0050 06 00004650 0001F400 00000041 0000006E"))
    #expect(data.count == 41 - 4)
    #expect(Sample.octets.reversed.key == "iana@reverse:octetDeltaCount")
  }

  @Test("RFC 6313 9.1, figures 11 and 12: a multicast record whose egress interfaces are 1, 4 and 8")
  func basicListOfInterfaces() throws {
    // 233.252.0.1 = 0xE9FC0001, 192.0.2.201 = 0xC00002C9.
    let record: [AnyField] = [
      .unsigned32(Sample.ingress, 9), .ipv4(Sample.source4, 0xC000_02C9),
      .ipv4(Sample.destination4, 0xE9FC_0001), .list32(Sample.egress, [1, 4, 8]),
    ]
    var collector = TemplateBuilder()
    record.write(into: &collector)
    // basicList 291 = 0x123; the set that the RFC shows is 24 octets long, 4 more than the template record.
    collector.record.setIdentifier(256)
    let template = Array(collector.record.bytes.buffer)
    #expect(template == bytes("0100 0004  000A 0004  0008 0004  000C 0004  0123 FFFF"))
    #expect(template.count == 24 - 4)
    // semantic 1 + element 2 + length 2 + 3 * 4 = 17 = 0x11, in the three-octet form of the length; allOf is 3.
    let data = try #require(encode(record))
    #expect(
      data
        == bytes("00000009 C00002C9 E9FC0001 FF 0011 03 000E 0004 00000001 00000004 00000008"))
    #expect(data.count == 36 - 4)
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
      var collector = TemplateBuilder()
      field.write(into: &collector)
      let length = collector.record.bytes.load(UInt16.self, at: 6)
      let encoded = try #require(encode([field]))
      if length != FieldSpecifier.variableLength { #expect(encoded.count == Int(length)) }
      #expect(collector.record.fieldCount == 1)
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
