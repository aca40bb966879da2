// netbios: names decoded as RFC 1001 section 14.1 has them, and a record for each.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct NetBIOSTests {
  /// A question for an encoded name.
  private func question(_ encoded: String, count: UInt8 = 1, label: UInt8 = 32) -> [UInt8] {
    [0x12, 0x34, 1, 0x10, 0, count, 0, 0, 0, 0, 0, 0, label] + Array(encoded.utf8) + [0, 0, 0x20, 0, 1]
  }

  private func run(_ payloads: [[UInt8]], port: UInt16 = 137) throws -> [Record] {
    var conversation = Conversation(.udp, serverPort: port)
    for payload in payloads { conversation.client(payload) }
    return try conversation.run(plugins: ["netbios"])
  }

  /// RFC 1001 section 14.1's example, `The NetBIOS name` (16 characters, the last is the suffix), with its second letter
  /// right: the document has `GH`, which is a g.
  private static let example = "FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF"
  /// `WORKGROUP` with suffix 0x1D.
  private static let workgroup = "FHEPFCELEHFCEPFFFACACACACACACABN"

  @Test func theExampleOfTheStandard() throws {
    let record = try run([question(Self.example)])[0]
    #expect(record.text("cesnet:NBName") == "The NetBIOS nam")
    #expect(record.number("cesnet:NBSuffix") == 0x65)
  }

  @Test func blanksStay() throws {
    let record = try run([question(Self.workgroup)])[0]
    #expect(record.text("cesnet:NBName") == "WORKGROUP      ")
    #expect(record.number("cesnet:NBSuffix") == 0x1D)
  }

  @Test func eachNameIsARecordWithItsPackets() throws {
    let (one, two) = (question(Self.example), question(Self.workgroup))
    let records = try run([one, one, two, [0], two, two, one])
    #expect(records.map { $0.text("cesnet:NBName").prefix(3) } == ["The", "WOR", "The"])
    #expect(records.map(\.packets) == [2, 4, 1])
  }

  @Test func othersHaveNoFields() throws {
    let short = String(Self.example.dropLast())
    for payload in [
      question(Self.example, count: 0), question(Self.example, label: 33), question(short + "Q"),
      question(short + "@"), [],
    ] {
      #expect(try run([payload])[0]["cesnet:NBName"] == nil)
    }
    #expect(try run([question(Self.example)], port: 138)[0]["cesnet:NBName"] == nil)
  }

  @Test func cutQuestionsAreNoHarm() throws {
    let payload = question(Self.example)
    for length in 0...payload.count {
      var conversation = Conversation(.udp, serverPort: 137)
      conversation.client(payload, captured: length)
      #expect((try conversation.run(plugins: ["netbios"])[0]["cesnet:NBName"] != nil) == (length >= 45))
    }
  }
}
