// ntp: the fields of a header made by hand, what is no NTP of version 4, and a record for each packet.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct NTPTests {
  /// A server's answer (RFC 5905 section 7.3); times have fractions whose hexadecimal digits begin with zeros.
  private static func header(
    first: UInt8 = 0x24, stratum: UInt8 = 2, poll: UInt8 = 6, identifier: [UInt8] = [192, 0, 2, 1]
  ) -> [UInt8] {
    [first, stratum, poll, 0xEC] + FrameBuilder.word(0x0000_0123 as UInt32)
      + FrameBuilder.word(0x0001_0002 as UInt32)
      + identifier
      // 4295 / 2^32 s is 1.00001 µs; one half; the last 2^-32 rounds up to a whole second; 0.
      + FrameBuilder.word(3_669_302_592 as UInt32) + FrameBuilder.word(4295 as UInt32)
      + FrameBuilder.word(3_669_303_271 as UInt32) + FrameBuilder.word(0x8000_0000 as UInt32)
      + FrameBuilder.word(9 as UInt32) + FrameBuilder.word(0xFFFF_FFFF as UInt32)
      + FrameBuilder.word(0 as UInt32) + FrameBuilder.word(0 as UInt32)
  }

  private func run(
    _ payloads: [[UInt8]], _ transport: Conversation.Transport = .udp, port: UInt16 = 123
  ) throws -> [Record] {
    var conversation = Conversation(transport, serverPort: port)
    for payload in payloads { conversation.server(payload) }
    return try conversation.run(plugins: ["ntp"])
  }

  @Test func everyFieldIsTheHeaders() throws {
    let record = try run([Self.header(first: 0xE4)])[0]
    let numbers = ["Leap", "Version", "Mode", "Stratum", "Poll", "Precision", "Delay", "Dispersion"].map {
      record.number("cesnet:NTP\($0)")
    }
    #expect(numbers == [3, 4, 4, 2, 6, 236, 0x123, 0x10002])
    let texts = ["RefID", "Ref", "Orig", "Recv", "Sent"].map { record.text("cesnet:NTP\($0)") }
    #expect(texts == ["192.0.2.1", "3669302592.000001", "3669303271.500000", "10.000000", "0.000000"])
  }

  @Test(arguments: [
    ("INIT", "INIT"), ("STEP", "STEP"), ("DENY", "DENY"), ("RATE", "RATE"), ("RSTR", "82.83.84.82"),
  ])
  func kissesAreText(code: String, expected: String) throws {
    #expect(
      try run([Self.header(stratum: 0, identifier: Array(code.utf8))])[0].text("cesnet:NTPRefID") == expected)
    // The same four bytes are an address where the clock has a stratum.
    #expect(
      try run([Self.header(identifier: Array("INIT".utf8))])[0].text("cesnet:NTPRefID") == "73.78.73.84")
  }

  @Test(arguments: [
    Self.header(first: 0x1C), Self.header(first: 0x26), Self.header(stratum: 17), Self.header(poll: 18),
    Array(Self.header().dropLast()), [],
  ])
  func othersHaveNoFields(payload: [UInt8]) throws {
    let records = try run([payload])
    #expect(records.count == 1)
    #expect(records[0]["cesnet:NTPVersion"] == nil)
  }

  @Test func eachPacketIsARecord() throws {
    #expect(try run([Self.header(), Self.header(), []]).count == 3)
    #expect(try run([Self.header(), Self.header()], port: 124).count == 1)
    #expect(try run([Self.header(), Self.header()], .tcp).count == 1)
  }

  @Test func morePayloadIsNoHarm() throws {
    // A message authentication code follows (RFC 5905 section 7.3).
    let record = try run([Self.header() + [UInt8](repeating: 7, count: 20)])[0]
    #expect(record.number("cesnet:NTPStratum") == 2)
  }
}
