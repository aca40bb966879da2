// passivedns: a record for each answer with an address, over UDP and TCP, and the names of reverse lookup.
import IPFIXDecoding
import Testing
import Wire

@testable import FlowCore

@Suite struct PassiveDNSTests {
  private typealias Build = DNSBuilder

  private static let question = Build.question("example.org", 1)
  /// An alias, two addresses, a signature and an IPv6 address.
  private static let response = Build.response(
    question,
    [
      Build.record(Build.firstName, 5, Build.name("www.example.org")),
      Build.record(Build.name("www.example.org"), 1, [192, 0, 2, 1], timeToLive: 60),
      Build.record(Build.name("www.example.org"), 1, [192, 0, 2, 2], timeToLive: 61),
      Build.record(Build.firstName, 46, [UInt8](repeating: 0, count: 18)),
      Build.record(Build.firstName, 28, [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]),
    ])

  private func answers(_ records: [Record]) -> [String] {
    records.filter { $0["cesnet:DNSAType"] != nil }.map {
      "\($0.text("cesnet:DNSName")) \(Int($0.number("cesnet:DNSAType"))) \($0.text("cesnet:DNSRData"))"
    }
  }
  private static let expected = [
    "www.example.org 1 192.0.2.1", "www.example.org 1 192.0.2.2", "example.org 28 2001:db8::1",
  ]

  @Test func eachAddressIsARecord() throws {
    var conversation = Conversation(.udp, serverPort: 53)
    conversation.client(Build.message([Self.question]))
    conversation.server(Self.response)
    conversation.client(Build.message([Self.question]))
    let records = try conversation.run(plugins: ["passivedns"])
    #expect(answers(records) == Self.expected)
    #expect(records.map(\.packets) == [2, 0, 0, 1])
    #expect(records.prefix(3).map { $0.number("cesnet:DNSRRTTL") } == [60, 61, 300])
    #expect(records.prefix(3).map { $0.number("cesnet:DNSTransactionID") } == [0x1234, 0x1234, 0x1234])
    #expect(records.map { $0.number("iana:destinationTransportPort") } == [53, 53, 53, 53])
  }

  @Test func answersOfTCPInAnyPieces() throws {
    let bytes = Build.framed(Self.response) + Build.framed(Self.response)
    for cut in 0...bytes.count {
      var conversation = Conversation(.tcp, serverPort: 53)
      conversation.handshake()
      for piece in [bytes.prefix(cut), bytes.dropFirst(cut)] where !piece.isEmpty {
        conversation.server(Array(piece))
      }
      let records = try conversation.run(plugins: ["passivedns"])
      #expect(answers(records) == Self.expected + Self.expected, "cut at \(cut)")
      #expect(records.reduce(0) { $0 + $1.packets } == Double(cut == 0 || cut == bytes.count ? 4 : 5))
    }
  }

  @Test func namesOfReverseLookup() throws {
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.d.0.1.0.0.2"
    let owners: [(String, String?)] = [
      ("1.2.0.192.in-addr.arpa", "192.0.2.1"), ("1.2.0.192.IN-ADDR.ARPA", "192.0.2.1"),
      ("2.0.192.in-addr.arpa", nil), ("1.2.0.256.in-addr.arpa", nil), ("0.1.2.0.192.in-addr.arpa", nil),
      ("1.2.0.x.in-addr.arpa", nil), ("\(six).ip6.arpa", "2001:db8::1"),
      ("\(six.dropFirst(2)).ip6.arpa", nil), ("\(six.dropLast())g.ip6.arpa", nil), ("in-addr.arpa", nil),
      ("_http._tcp.example.org", nil),
    ]
    for (owner, address) in owners {
      var conversation = Conversation(.udp, serverPort: 53)
      conversation.server(
        Build.response(
          Build.question(owner, 12), [Build.record(Build.firstName, 12, Build.name("a.example"))]))
      let found = answers(try conversation.run(plugins: ["passivedns"]))
      #expect(found == (address.map { ["a.example 12 \($0)"] } ?? []), "\(owner)")
    }
  }

  @Test func onlyServersAreHeard() throws {
    var conversation = Conversation(.udp, serverPort: 53)
    conversation.client(Self.response)
    #expect(answers(try conversation.run(plugins: ["passivedns"])) == [])
    var query = Conversation(.udp, serverPort: 53)
    query.server(
      Build.message(flags: 0x0100, [Self.question], answers: [Build.record([0], 1, [1, 2, 3, 4])]))
    #expect(answers(try query.run(plugins: ["passivedns"])) == [])
  }

  /// More answers than a packet may make records of, a count that lies, and a message cut anywhere.
  @Test func thirtyTwoAnswersAtTheMost() throws {
    let many = (0..<40).map { Build.record(Build.firstName, 1, [10, 0, 0, UInt8($0)]) }
    var conversation = Conversation(.udp, serverPort: 53)
    conversation.server(Build.response(Self.question, many))
    let records = try conversation.run(plugins: ["passivedns"])
    #expect(answers(records).count == 32)
    #expect(records.reduce(0) { $0 + $1.packets } == 1)
    for length in 0..<Self.response.count {
      var cut = Conversation(.udp, serverPort: 53)
      cut.server(Self.response, captured: length)
      #expect(Self.expected.starts(with: answers(try cut.run(plugins: ["passivedns"]))))
    }
  }
}
