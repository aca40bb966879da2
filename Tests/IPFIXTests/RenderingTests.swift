// The texts: canonical addresses, times, valid JSON whatever comes in, rows that keep their columns.
import Foundation
import Rendering
import TestSupport
import Testing

@testable import IPFIX

@Suite struct RenderingTests {
  private func text(_ write: (inout OutputBuffer) -> Void) -> String {
    var output = OutputBuffer()
    write(&output)
    return String(decoding: output.bytes, as: UTF8.self)
  }

  private func json(_ fields: [AnyField]) -> String {
    var writer = JSONRecordWriter()
    writer.begin()
    fields.write(into: &writer)
    writer.end()
    return String(decoding: writer.output.bytes, as: UTF8.self)
  }

  @Test(
    "RFC 5952: the canonical text of IPv6 addresses",
    arguments: [
      // Section 4.1 and 4.2: no leading zeros, "::" as long as possible but not for one group, first if equal.
      (0x2001_0db8_0000_0000, 0x0000_0000_0002_0001, "2001:db8::2:1"),
      (0x2001_0db8_0000_0001, 0x0001_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
      (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "2001:0:0:1::1"),
      (0x2001_0db8_0000_0000, 0x0001_0000_0000_0001, "2001:db8::1:0:0:1"),
      (0x2001_0db8_aaaa_bbbb, 0xcccc_dddd_eeee_0aaa, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaa"),
      // Section 5: mixed notation for IPv4-mapped addresses.
      (0, 0x0000_ffff_c000_0201, "::ffff:192.0.2.1"),
      (0, 0, "::"), (0, 1, "::1"), (0x0001_0000_0000_0000, 0, "1::"), (0xfe80 << 48, 0x10, "fe80::10"),
    ] as [(UInt64, UInt64, String)])
  func ipv6(_ high: UInt64, _ low: UInt64, _ expected: String) {
    #expect(text { $0.append(version6High: high, low: low) } == expected)
  }

  @Test("random IPv6 addresses read as inet_ntop writes them")
  func ipv6AgainstLibrary() {
    var generator = SeededGenerator(seed: 30)
    for _ in 0..<20000 {
      // Groups are often zero, so that runs of all kinds come up.
      var groups: [UInt16] = (0..<8).map { _ in
        Bool.random(using: &generator)
          ? 0 : UInt16.random(in: 0...65535, using: &generator) >> UInt16(generator.next() % 16)
      }
      groups[0] |= 0x2000
      let high = groups[..<4].reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
      let low = groups[4...].reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
      var address = (high.bigEndian, low.bigEndian)
      var buffer = [CChar](repeating: 0, count: 64)
      inet_ntop(AF_INET6, &address, &buffer, 64)
      let expected = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
      guard text({ $0.append(version6High: high, low: low) }) == expected else {
        Issue.record("\(expected)")
        return
      }
    }
  }

  @Test("numbers of every length read as the standard library writes them, alone and behind a key")
  func numbers() {
    var generator = SeededGenerator(seed: 33)
    var values: [UInt64] = [.max]
    var power: UInt64 = 1
    for _ in 0..<20 {
      values += [power &- 1, power, power &+ 1, .random(in: 0...power, using: &generator)]
      power &*= 10
    }
    for value in values + Array(0...10_100) {
      guard text({ $0.appendDecimal(value) }) == String(value),
        json([.unsigned64(Sample.octets, value)]) == #"{"iana:octetDeltaCount":\#(value)}"# + "\n"
      else {
        Issue.record("\(value)")
        return
      }
    }
    #expect(json([.list32(Sample.egress, [0, 99, 100, 9999, 10_000])]).contains("[0,99,100,9999,10000]"))
  }

  @Test("octets and hardware addresses in hexadecimal, of every length")
  func hexadecimal() {
    let bytes = [UInt8](0...255)
    for count in [0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 256] {
      let expected = bytes.prefix(count).map { String(format: "%02x", Int($0)) }.joined()
      #expect(
        text { output in bytes.prefix(count).withUnsafeBytes { output.append(plainHexadecimal: $0) } }
          == expected)
    }
    #expect(text { $0.append(mac: 0xFFFF_0123_4567_89AB) } == "01:23:45:67:89:ab")
    #expect(text { $0.append(mac: 0xCDEF_00FE_DC0A) } == "cd:ef:00:fe:dc:0a")
    #expect(text { $0.append(hexadecimal: 0x0123_4567_89AB_CDEF as UInt64) } == "0123456789abcdef")
  }

  @Test("keys are those of the fields in whatever order records have them, in hundreds of bytes, too")
  func keys() {
    var writer = JSONRecordWriter(capacity: 1)
    let fields: [AnyField] = [
      .unsigned8(Sample.version, 4), .unsigned64(Sample.octets, 12_345),
      .unsigned64(Sample.octets.reversed, 0),
      .unsigned16(Sample.sourcePort, 1), .unsigned8(Sample.endReason, 2),
    ]
    let texts = [
      #""iana:ipVersion":4"#, #""iana:octetDeltaCount":12345"#, #""iana@reverse:octetDeltaCount":0"#,
      #""iana:sourceTransportPort":1"#, #""iana:flowEndReason":2"#,
    ]
    let orders = [[0, 1, 2, 3, 4], [2, 4], [4, 3, 2, 1, 0], [], [1, 1, 0, 3], [0, 1, 2, 3, 4]]
    for order in orders {
      writer.begin()
      order.map { fields[$0] }.write(into: &writer)
      writer.end()
    }
    let expected = orders.map { "{" + $0.map { texts[$0] }.joined(separator: ",") + "}\n" }.joined()
    #expect(String(decoding: writer.output.bytes, as: UTF8.self) == expected)
  }

  @Test("a special character is found at each place of a longer string")
  func specialPlaces() throws {
    for special in ["\"", "\\", "\u{1F}", "\u{7F}", "\u{20}", "\u{7E}", "\u{0}", "ž", "\u{80}"] {
      for place in 0..<20 {
        let string =
          String(repeating: "a", count: place) + special + String(repeating: "~", count: 19 - place)
        let line = json([.string(Sample.serverName, Array(string.utf8))])
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
        #expect(object?["cesnet:TLSSNI"] == string)
        #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A })
      }
    }
  }

  @Test("times are ISO 8601 in UTC with six decimals")
  func times() {
    #expect(text { $0.append(time: TimestampTests.sample) } == "2015-10-20T07:09:33.611190Z")
    #expect(text { $0.append(time: 0) } == "1970-01-01T00:00:00.000000Z")
    // 2000-02-29: 30 years * 365 + 7 leap days + 59 - 1 + ... checked against gmtime below.
    #expect(text { $0.append(time: 951_782_400_000_000_000) } == "2000-02-29T00:00:00.000000Z")
    #expect(text { $0.append(time: .max) }.count >= 27)
    var generator = SeededGenerator(seed: 31)
    for _ in 0..<5000 {
      let seconds = Int.random(in: 0..<10_000_000_000, using: &generator)
      var (time, parts) = (seconds, tm())
      gmtime_r(&time, &parts)
      let got = text { $0.append(time: UInt64(seconds) * 1_000_000_000 + 999) }
      let expected = [
        Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday), Int(parts.tm_hour),
      ]
      let fields = got.split(whereSeparator: { !$0.isNumber }).map { Int($0)! }
      guard Array(fields[..<4]) == expected else {
        Issue.record("\(got)")
        return
      }
    }
  }

  @Test("JSON of each kind of field")
  func jsonFields() {
    let line = json([
      .ipv4(Sample.source4, 0xC0A8_0101), .unsigned64(Sample.octets.reversed, .max),
      .string(Sample.serverName, Array("a.example".utf8)),
      .octets(Sample.content, [0, 0xAB]), .octets(Sample.content, []), .list16(Sample.lengths, [1, -5]),
      .list32(Sample.egress, []),
      .time(Sample.start, TimestampTests.sample), .times(Sample.times, [TimestampTests.sample, 0]),
      .mac(Sample.sourceMAC, 0x00AA_BBCC_DDEE), .float32(Sample.mean, 0.1), .float32(Sample.mean, .nan),
      .float32(Sample.mean, -.infinity), .float32(Sample.mean, 1e20), .ipv6(Sample.source6, 0, 1),
    ])
    let expected =
      #"{"iana:sourceIPv4Address":"192.168.1.1","iana@reverse:octetDeltaCount":18446744073709551615,"#
      + #""cesnet:TLSSNI":"a.example","cesnet:IDPContent":"0x00ab","cesnet:IDPContent":"0x","#
      + #""cesnet:packetLength":[1,-5],"iana:egressInterface":[],"#
      + #""iana:flowStartMicroseconds":"2015-10-20T07:09:33.611190Z","#
      + #""cesnet:packetTime":["2015-10-20T07:09:33.611190Z","1970-01-01T00:00:00.000000Z"],"#
      + #""iana:sourceMacAddress":"00:aa:bb:cc:dd:ee","cesnet:ntsMeanPacketPayload":0.1,"#
      + #""cesnet:ntsMeanPacketPayload":null,"cesnet:ntsMeanPacketPayload":null,"#
      + #""cesnet:ntsMeanPacketPayload":1e+20,"iana:sourceIPv6Address":"::1"}"# + "\n"
    #expect(line == expected)
  }

  @Test("an empty record is an empty object")
  func emptyObject() { #expect(json([]) == "{}\n") }

  @Test("JSON strings are valid whatever bytes come, and say what Swift's own repair says")
  func jsonStrings() throws {
    var generator = SeededGenerator(seed: 32)
    let pieces: [[UInt8]] = [
      Array("plain".utf8), Array("\"\\\n\r\t\u{0}\u{1f}\u{7f}".utf8), Array("žluťoučký 漢字 🐦".utf8),
      [0xC0, 0x80], [0xED, 0xA0, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xF0, 0x9F], [0xFF], [0x80],
    ]
    for _ in 0..<3000 {
      var string: [UInt8] = []
      for _ in 0..<Int.random(in: 0..<6, using: &generator) {
        if Int.random(in: 0..<4, using: &generator) == 0 {
          string.append(.random(in: 0...255, using: &generator))
        } else {
          string += pieces.randomElement(using: &generator)!
        }
      }
      let line = json([.string(Sample.serverName, string)])
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
      #expect(object?["cesnet:TLSSNI"] == String(decoding: string, as: UTF8.self))
    }
  }

  @Test("JSON and text write what changes how a terminal shows the rest as an escape")
  func invisibleCharacters() {
    // The ranges of Unicode's Bidi_Control property, the C1 controls, the two separators, and their neighbours.
    let cases: [(name: String, escaped: String)] = [
      ("a\u{9B}31mb", #""a\u009b31mb""#), ("\u{80}\u{9F}\u{A0}", "\"\\u0080\\u009f\u{A0}\""),
      ("\u{202E}moc.elgoog", #""\u202emoc.elgoog""#),
      ("\u{2066}a\u{2069}\u{206A}", "\"\\u2066a\\u2069\u{206A}\""),
      ("\u{200D}\u{200E}\u{200F}\u{2010}", "\"\u{200D}\\u200e\\u200f\u{2010}\""),
      ("\u{61B}\u{61C}\u{61D}", "\"\u{61B}\\u061c\u{61D}\""),
      ("\u{2027}\u{2028}\u{2029}\u{202A}\u{202F}", "\"\u{2027}\\u2028\\u2029\\u202a\u{202F}\""),
    ]
    for (name, escaped) in cases {
      let line = json([.string(Sample.serverName, Array(name.utf8))])
      #expect(line == #"{"cesnet:TLSSNI":"# + escaped + "}\n")
      var writer = TextRecordWriter()
      writer.begin()
      writer.string(Sample.serverName, Array(name.utf8).span.bytes)
      writer.end()
      #expect(String(decoding: writer.output.bytes, as: UTF8.self).hasSuffix("  TLSSNI=" + escaped + "\n"))
    }
  }

  @Test("CSV: what a spreadsheet would run begins with an apostrophe, where it is not asked to stay")
  func formulas() {
    let cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "a=1", "", "'=1"]
    let plain = ["=1+1", "+1", "-1", "@SUM(A1)", "\"\t=1\"", "\"\r=1\"", "\"\n=1\"", "a=1", "", "'=1"]
    let escaped = cells[..<7].map { "\"'\($0)\"" } + ["a=1", "", "'=1"]
    for (escapes, expected) in [(true, escaped), (false, plain)] {
      var writer = CSVRecordWriter(columns: [Sample.serverName], escapesFormulas: escapes)
      writer.output.removeAll()
      for (cell, line) in zip(cells, expected) {
        writer.begin()
        writer.string(Sample.serverName, Array(cell.utf8).span.bytes)
        writer.end()
        #expect(String(decoding: writer.output.bytes, as: UTF8.self) == line + "\n")
        writer.output.removeAll()
      }
    }
  }

  @Test("CSV: fixed columns, empty cells for what is absent, quotes where needed")
  func csv() {
    var collector = ColumnList()
    let ipv6: [AnyField] = [
      .unsigned8(Sample.version, 6), .ipv6(Sample.source6, 0, 1), .unsigned16(Sample.sourcePort, 0),
    ]
    let ipv4: [AnyField] = [
      .unsigned8(Sample.version, 4), .ipv4(Sample.source4, 1), .unsigned16(Sample.sourcePort, 0),
    ]
    ipv6.write(into: &collector)
    collector.restartBlock()
    ipv4.write(into: &collector)
    #expect(collector.blockCount == 4)
    collector.endBlock()
    // Two plugins that share an element.
    for element in [Sample.serverName, Sample.content, Sample.lengths] {
      collector.octets(element, [UInt8]().span.bytes)
    }
    collector.endBlock()
    collector.string(Sample.serverName, [UInt8]().span.bytes)
    collector.times(Sample.times, count: 0) { _ in 0 }
    collector.endBlock()

    var writer = CSVRecordWriter(columns: collector.columns.map(\.element))
    writer.begin()
    ipv4.write(into: &writer)
    writer.skip(columns: 3)
    writer.string(Sample.serverName, Array("a,\"b\"\nc\u{0}".utf8).span.bytes)
    writer.times(Sample.times, count: 1) { _ in 0 }
    writer.end()
    writer.begin()
    ipv6.write(into: &writer)
    writer.string(Sample.serverName, Array("plain".utf8).span.bytes)
    writer.octets(Sample.content, [1 as UInt8].span.bytes)
    writer.list(Sample.lengths, count: 2) { [1, -2 as Int16][$0] }
    writer.skip(columns: 2)
    writer.end()
    writer.begin()
    writer.end()
    writer.begin()
    writer.unsigned8(Sample.endReason, 1)
    writer.end()
    // 36 NULs are how a JA4 of nothing stands on the wire.
    writer.begin()
    writer.string(Sample.serverName, [UInt8](repeating: 0, count: 36).span.bytes)
    writer.end()
    let expected = [
      "iana:ipVersion,iana:sourceIPv4Address,iana:sourceIPv6Address,iana:sourceTransportPort,"
        + "cesnet:TLSSNI,cesnet:IDPContent,cesnet:packetLength,cesnet:TLSSNI,cesnet:packetTime",
      "4,0.0.0.1,,0,,,,\"a,\"\"b\"\"\nc\u{FFFD}\",\"[\"\"1970-01-01T00:00:00.000000Z\"\"]\"",
      "6,,::1,0,plain,0x01,\"[1,-2]\",,", ",,,,,,,,", ",,,,,,,,", ",,,,,,,,", "",
    ].joined(separator: "\n")
    #expect(String(decoding: writer.output.bytes, as: UTF8.self) == expected)
    #expect(writer.misplaced == 1)
  }

  @Test("the text table's columns stand under their headings")
  func table() {
    var writer = TextRecordWriter()
    writer.begin()
    let fields: [AnyField] = [
      .unsigned8(Sample.endReason, 3), .unsigned64(Sample.octets, 4200),
      .unsigned64(Sample.octets.reversed, 81000),
      .unsigned64(Sample.packets, 12), .unsigned64(Sample.packets.reversed, 34),
      .time(Sample.start, TimestampTests.sample),
      .time(Sample.end, TimestampTests.sample + 1_500_000_000), .unsigned8(Sample.version, 4),
      .unsigned8(Sample.protocolIdentifier, 6), .unsigned8(Sample.flags, 0x1B),
      .unsigned8(Sample.flags.reversed, 0x12),
      .unsigned16(Sample.sourcePort, 51234), .unsigned16(Sample.destinationPort, 443),
      .unsigned32(Sample.ingress, 0),
      .ipv4(Sample.source4, 0xC000_0201), .ipv4(Sample.destination4, 0xC633_6407), .mac(Sample.sourceMAC, 1),
      .string(Sample.serverName, Array("a.example".utf8)), .string(Sample.method, Array("a b".utf8)),
      .list16(Sample.lengths, [1, -2]), .list8(Sample.directions, []),
      .string(Sample.serverName, [0, 0, 0]),
    ]
    fields.write(into: &writer)
    writer.end()
    let lines = String(decoding: writer.output.bytes, as: UTF8.self).split(separator: "\n")
    #expect(
      lines[1]
        == "2015-10-20 07:09:33.611190        1.500000  TCP          192.0.2.1:51234 → 198.51.100.7:443              12         34        4200       81000  ...AP.SF  ...A..S.  ended    TLSSNI=a.example  httpHost=\"a b\"  packetLength=[1,-2]"
    )
    func column(_ needle: String, in line: Substring) -> Int? {
      line.firstRange(of: needle).map { line.distance(from: line.startIndex, to: $0.upperBound) }
    }
    #expect(column("duration", in: lines[0]) == column("1.500000", in: lines[1]))
    #expect(column("source", in: lines[0]) == column("192.0.2.1:51234", in: lines[1]))
    #expect(column("packets →", in: lines[0]) == column("12   ", in: lines[1]).map { $0 - 3 })
    #expect(column("octets ←", in: lines[0]) == column("81000", in: lines[1]))
    #expect(column("end", in: lines[0]) == column("end", in: lines[1]))
  }
}
