// dnssd: names asked for and services offered, gathered over a flow, whole entries only.
import Foundation
import IPFIXDecoding
import Testing

@testable import FlowCore

@Suite struct DNSSDTests {
  private typealias Build = DNSBuilder

  private func fields(_ messages: [[UInt8]], _ plugin: String = "dnssd") throws -> (String, String) {
    var conversation = Conversation(.udp, clientPort: 5353, serverPort: 5353)
    for message in messages { conversation.client(message) }
    let records = try conversation.run(plugins: [plugin])
    try #require(records.count == 1)
    return (records[0].text("cesnet:DNSSDQueries"), records[0].text("cesnet:DNSSDResponses"))
  }

  private static let owner = Build.name("jaja._ssh._tcp.local")
  private static func service(_ port: Int) -> [UInt8] {
    Build.record(owner, 33, [0, 0, 0, 0] + Build.word(port) + Build.name("jaja.local"))
  }
  private static let host = Build.record(
    Build.name("jaja.local"), 13, Build.string("X86_64") + Build.string("LINUX"))
  private static let text = Build.record(
    owner, 16, Build.string("a=1") + Build.string("b") + Build.string("c="))

  @Test func questionsAreDistinct() throws {
    let questions = ["_ssh._tcp.local", "jaja.local", "_ssh._tcp.local", "1.2.0.192.in-addr.arpa"]
    let message = Build.message(flags: 0, questions.map { Build.question($0, 12, class: 0x8001) })
    #expect(try fields([message, message]) == ("_ssh._tcp.local;jaja.local;", ""))
  }

  @Test func recordsAreMergedByOwner() throws {
    let one = Build.message(flags: 0x8400, answers: [Self.host, Self.text])
    let other = Build.message(
      flags: 0x8400, answers: [Build.options(size: 1440, isSecure: false), Self.service(22)],
      additionals: [Self.text])
    let host = "jaja.local;-1;;X86_64:LINUX;;"
    #expect(try fields([one]) == ("", host + "jaja._ssh._tcp.local;-1;;;;"))
    #expect(try fields([one, other]) == ("", host + "jaja._ssh._tcp.local;22;jaja.local;;;"))
    #expect(
      try fields([one, other, other], "dnssd:txt").1
        == host + "jaja._ssh._tcp.local;22;jaja.local;;a=1:b:c=:;")
  }

  /// What a query has as answers is known already; what it has under authority its sender claims.
  @Test func queriesClaimUnderAuthority() throws {
    let message = Build.message(
      flags: 0, answers: [Self.host], authorities: [Self.service(22)], additionals: [Self.text])
    #expect(try fields([message]).1 == "jaja._ssh._tcp.local;22;jaja.local;;;")
  }

  @Test func textsByTheirKeys() throws {
    let path = NSTemporaryDirectory() + "martlet-dnssd-keys-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try "_http._tcp.local,a\n_ssh._tcp.local,c,b\n".write(toFile: path, atomically: true, encoding: .utf8)
    let message = Build.message(flags: 0x8400, answers: [Self.text])
    #expect(try fields([message], "dnssd:txtkeys=\(path)").1 == "jaja._ssh._tcp.local;-1;;;b:c=:;")
  }

  @Test func wholeEntriesThatFit() throws {
    let names = (0..<100).map { "host-\($0)-" + String(repeating: "x", count: 40) + ".local" }
    let (queries, _) = try fields([Build.message(flags: 0, names.map { Build.question($0, 1) })])
    #expect(queries.utf8.count <= 510 && queries.utf8.count > 440)
    #expect(queries == names.prefix(queries.split(separator: ";").count).map { $0 + ";" }.joined())
    let records = names.map { Build.record(Build.name($0), 13, Build.string("a") + Build.string("b")) }
    let (_, responses) = try fields([Build.message(flags: 0x8400, answers: records)])
    #expect(responses.utf8.count <= 509 && responses.utf8.count > 440)
    let entries = names.map { "\($0);-1;;a:b;;" }
    #expect(responses == entries.prefix(responses.utf8.count / entries[0].utf8.count).joined())
  }

  @Test func otherPortsAreLeftAlone() throws {
    var conversation = Conversation(.udp, serverPort: 53)
    conversation.client(Build.message([Build.question("example.org", 1)]))
    #expect(try conversation.run(plugins: ["dnssd"])[0]["cesnet:DNSSDQueries"] == nil)
  }

  @Test func cutMessages() throws {
    let message = Build.message(flags: 0x8400, answers: [Self.host, Self.text, Self.service(22)])
    let whole = try fields([message]).1
    for length in 0..<message.count {
      var conversation = Conversation(.udp, clientPort: 5353, serverPort: 5353)
      conversation.client(message, captured: length)
      let record = try conversation.run(plugins: ["dnssd:txt"])[0]
      #expect((record["cesnet:DNSSDQueries"] != nil) == (length >= 12))
      #expect(record.text("cesnet:DNSSDResponses").utf8.count <= whole.utf8.count + 10)
    }
  }
}
