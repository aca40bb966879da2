// Hellos of DTLS 1.0 to 1.3, whole and in fragments.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct DTLSTests {
  private static let browser = TLSBuilder.clientHello(
    version: 0xFEFD,
    extensions: [
      TLSBuilder.serverName("dtls.example"), TLSBuilder.versions([0xFEFC, 0xFEFD]),
      TLSBuilder.protocols(["coap"]), TLSBuilder.list(51, [UInt8](repeating: 1, count: 900)),
    ].flatMap { $0 }, cookie: [])
  private static let server = TLSBuilder.serverHello(
    version: 0xFEFD, cipher: 0x1301, extensions: TLSBuilder.list(43, [0xFE, 0xFC]))

  /// Datagrams, those of the client first.
  private func record(_ client: [[UInt8]], _ server: [[UInt8]] = []) throws -> Record {
    var conversation = Conversation(.udp)
    for datagram in client { conversation.client(datagram) }
    for datagram in server { conversation.server(datagram) }
    let records = try conversation.capture.run(plugins: ["tls"]).records
    return TLSBuilder.fields(try #require(records.count == 1 ? records.first : nil))
  }

  @Test(arguments: [(0xFEFF, "d1"), (0xFEFD, "d2"), (0xFEFC, "d3")]) func versions(
    version: Int, label: String
  )
    throws
  {
    let hello = TLSBuilder.clientHello(version: version, cookie: [1, 2, 3])
    let answer = TLSBuilder.serverHello(version: version, cipher: 0xC02B, extensions: nil)
    let record = try record(TLSBuilder.datagrams(1, hello), TLSBuilder.datagrams(2, answer))
    #expect(record.text("cesnet:tlsJa4").hasPrefix("d\(label)i020000_"))
    #expect(record.number("flowmon:tlsServerVersion") == Double(version))
    #expect(record.number("martlet:tlsClientVersion") == Double(version))
  }

  /// Records of a version too, as all implementations have them; 0x0100 is the draft's that AnyConnect speaks, for which JA4 has
  /// no letters.
  @Test(arguments: [(0xFEFF, "d1"), (0x0100, "00")]) func versionsOfRecords(version: Int, label: String)
    throws
  {
    let hello = TLSBuilder.clientHello(version: version, cookie: [])
    let answer = TLSBuilder.serverHello(version: version, cipher: 0x0039, extensions: nil)
    let record = try record(
      TLSBuilder.datagrams(1, hello, version: version), TLSBuilder.datagrams(2, answer, version: version))
    #expect(record.text("cesnet:tlsJa4").hasPrefix("d\(label)i"))
    #expect(record.number("martlet:tlsClientVersion") == Double(version))
    #expect(record.number("martlet:tlsCipherSuite") == 0x39)
  }

  /// A version that nobody has is no handshake.
  @Test(arguments: [0x0200, 0x0101, 0xFEFB, 0xFF00]) func recordsOfOtherVersionsAreNone(version: Int) throws {
    let hello = TLSBuilder.clientHello(version: version, cookie: [])
    var conversation = Conversation(.udp)
    for datagram in TLSBuilder.datagrams(1, hello, version: version) { conversation.client(datagram) }
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(record["cesnet:tlsJa4"] == nil)
  }

  @Test func newestVersionIsTheLowestNumber() throws {
    let record = try record(TLSBuilder.datagrams(1, Self.browser), TLSBuilder.datagrams(2, Self.server))
    #expect(record.number("martlet:tlsClientVersion") == 0xFEFC)
    #expect(record.number("flowmon:tlsServerVersion") == 0xFEFC)
    #expect(record.text("cesnet:tlsJa4").hasPrefix("dd3d0204cp_"))
    #expect(record.text("cesnet:TLSSNI") == "dtls.example")
  }

  @Test(arguments: [12, 60, 100, 400, 900]) func fragments(length: Int) throws {
    let whole = try record(TLSBuilder.datagrams(1, Self.browser), TLSBuilder.datagrams(2, Self.server))
    let pieces = TLSBuilder.datagrams(1, Self.browser, fragment: max(length, 60))
    let answer = TLSBuilder.datagrams(2, Self.server, fragment: length)
    #expect(try record(pieces, answer) == whole)
    #expect(try record(pieces.reversed(), answer.reversed()) == whole)
    var generator = SeededGenerator(seed: UInt64(length))
    #expect(try record(pieces.shuffled(using: &generator), answer) == whole)
    #expect(try record(pieces.flatMap { [$0, $0] }, answer) == whole)
  }

  /// A HelloVerifyRequest makes the client send its hello again, with a cookie.
  @Test func secondHelloReplacesTheFirst() throws {
    let first = TLSBuilder.clientHello(
      version: 0xFEFD, extensions: TLSBuilder.serverName("a.example"), cookie: [])
    let second = TLSBuilder.clientHello(
      version: 0xFEFD, extensions: TLSBuilder.serverName("b.example"),
      cookie: [UInt8](repeating: 9, count: 20))
    var conversation = Conversation(.udp)
    for piece in TLSBuilder.datagrams(1, first, fragment: 40) { conversation.client(piece) }
    for piece in TLSBuilder.datagrams(3, [0xFE, 0xFF, 0]) { conversation.server(piece) }
    for piece in TLSBuilder.datagrams(1, second, number: 1, fragment: 40) { conversation.client(piece) }
    for piece in TLSBuilder.datagrams(2, Self.server, number: 1) { conversation.server(piece) }
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(record.text("cesnet:TLSSNI") == "b.example")
    #expect(record.number("martlet:tlsCipherSuite") == 0x1301)
  }

  /// RFC 6347 sections 4.2.2 and 4.2.4: a hello sent again, or overtaken, comes with its old message_seq among the fragments
  /// of the next one.
  @Test(arguments: [0, 1, 2, 3]) func fragmentsOfAnEarlierMessageChangeNothing(place: Int) throws {
    let first = TLSBuilder.clientHello(
      version: 0xFEFD, extensions: TLSBuilder.serverName("first.example"), cookie: [])
    let second = TLSBuilder.clientHello(
      version: 0xFEFD, extensions: TLSBuilder.serverName("second.example"),
      cookie: [UInt8](repeating: 9, count: 20))
    let before = TLSBuilder.datagrams(1, first, fragment: 40)
    var client = TLSBuilder.datagrams(1, second, number: 1, fragment: 40)
    try #require(client.count == 3)
    client.insert(before[before.count - 1], at: place)
    let record = try record(before + client, TLSBuilder.datagrams(2, Self.server, number: 1))
    #expect(record.text("cesnet:TLSSNI") == "second.example")
    #expect(record.number("martlet:tlsCipherSuite") == 0x1301)
  }

  @Test func severalRecordsInADatagram() throws {
    let pieces = TLSBuilder.datagrams(1, Self.browser, fragment: 300)
    let whole = try record(TLSBuilder.datagrams(1, Self.browser))
    #expect(try record([pieces.flatMap { $0 }]) == whole)
  }

  /// WebRTC: STUN first, on the same ports.
  @Test func helloAfterSTUN() throws {
    let stun: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + [UInt8](repeating: 5, count: 12)
    let whole = try record(TLSBuilder.datagrams(1, Self.browser))
    let checks = [[UInt8]](repeating: stun, count: 20)
    #expect(try record(checks + TLSBuilder.datagrams(1, Self.browser)) == whole)
  }

  @Test func everyPrefixIsSurvived() throws {
    let datagram = TLSBuilder.datagrams(1, Self.browser)[0]
    let frames = (0..<datagram.count).flatMap { count in
      var conversation = Conversation(.udp, clientPort: UInt16(2000 + count))
      conversation.client(datagram, captured: count)
      conversation.client(Array(datagram.prefix(count)))
      return conversation.frames
    }
    let records = try Capture(frames: frames).run(plugins: ["tls"]).records
    #expect(records.count == datagram.count)
    #expect(!records.contains { !TLSBuilder.fields($0).isEmpty })
  }

  @Test func fragmentsFarBehindTheStartTakeNoMemory() throws {
    let body = [UInt8](repeating: 0x5A, count: 16000)
    let last = try #require(TLSBuilder.datagrams(1, body, fragment: 15990).last)
    var frames: [CapturedFrame] = []
    for port in 0..<400 {
      var conversation = Conversation(.udp, clientPort: UInt16(2000 + port))
      conversation.client(last)
      frames += conversation.frames
    }
    // A block of 32 KiB for each would be twelve times what the slab has.
    let counters = try Capture(frames: frames).run(plugins: ["tls"], configuration: .small).counters
    #expect(counters.slabFull == 0)
  }
}
