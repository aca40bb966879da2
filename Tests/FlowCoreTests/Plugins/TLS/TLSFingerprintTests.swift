// Fingerprints and fields of hellos made by hand, held against published values.
import Testing

@testable import FlowCore

@Suite struct TLSFingerprintTests {
  /// The record of a client's and a server's message.
  private func record(_ client: [UInt8], _ server: [UInt8]? = nil) throws -> Record {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(TLSBuilder.records(client))
    if let server { conversation.server(TLSBuilder.records(server, version: 0x0303)) }
    let records = try conversation.capture.run(plugins: ["tls"]).records
    return try #require(records.count == 1 ? records.first : nil)
  }

  private func hello(_ extensions: [[UInt8]], ciphers: [Int] = [0xC02F], version: Int = 0x0303) -> [UInt8] {
    TLSBuilder.message(
      1, TLSBuilder.clientHello(version: version, ciphers: ciphers, extensions: extensions.flatMap { $0 }))
  }

  /// An extension whose contents do not matter.
  private func other(_ type: Int) -> [UInt8] { TLSBuilder.list(type, []) }

  // MARK: JA4

  /// The example of FoxIO's technical_details/JA4.md: Chrome, with GREASE put in where Chrome does.
  @Test func ja4IsFoxIOsExample() throws {
    let ciphers = [
      0x0A0A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C,
      0x009D, 0x002F, 0x0035,
    ]
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
    let extensions = [
      other(0x1A1A), other(0x001B), TLSBuilder.serverName("example.com"), other(0x0033),
      TLSBuilder.protocols(["h2", "http/1.1"]), other(0x4469), other(0x0017), other(0x002D),
      TLSBuilder.numbers(13, algorithms), other(0x0005), other(0x0023), other(0x0012),
      TLSBuilder.versions([0x2A2A, 0x0304, 0x0303]), other(0xFF01), other(0x000B), other(0x000A),
      other(0x0015), other(0xFAFA),
    ]
    let record = try record(hello(extensions, ciphers: ciphers))
    #expect(record.text("cesnet:tlsJa4") == "t13d1516h2_8daaf6152771_e5627efa2ab1")
  }

  /// The same document's hash of the same extensions without signature algorithms: no `_` behind them.
  @Test func ja4WithoutSignatureAlgorithms() throws {
    let types = [
      0x0005, 0x000A, 0x000B, 0x000D, 0x0012, 0x0015, 0x0017, 0x001B, 0x0023, 0x002B, 0x002D, 0x0033, 0x4469,
      0xFF01,
    ]
    let record = try record(hello(types.reversed().map(other)))
    #expect(record.text("cesnet:tlsJa4").hasSuffix("_6d807ffa2a79"))
    #expect(record.text("cesnet:tlsJa4").hasPrefix("t12i011400_"))
  }

  @Test func ja4OfNothingIsZeros() throws {
    let bare = TLSBuilder.message(1, TLSBuilder.clientHello(version: 0x0301, ciphers: [], extensions: nil))
    #expect(try record(bare).text("cesnet:tlsJa4") == "t10i000000_000000000000_000000000000")
    let empty = TLSBuilder.message(1, TLSBuilder.clientHello(version: 0x0300, ciphers: [], extensions: []))
    #expect(try record(empty).text("cesnet:tlsJa4") == "ts3i000000_000000000000_000000000000")
  }

  /// The ALPN examples of JA4.md.
  @Test(
    arguments: [
      ([0x68, 0x32], "h2"), ([0xAB], "ab"), ([0x20], "20"), ([0xAB, 0xCD], "ad"), ([0x20, 0x61], "21"),
      ([0x30, 0xAB], "3b"), ([0x61, 0x20], "60"), ([0x30, 0x31, 0xAB, 0xCD], "3d"),
      ([0x30, 0xAB, 0xCD, 0x31], "01"), ([0x61], "aa"), ([], "00"),
    ] as [([UInt8], String)])
  func ja4ShowsTheProtocol(name: [UInt8], shown: String) throws {
    let list = TLSBuilder.list(16, TLSBuilder.field16(TLSBuilder.field8(name)))
    let text = try record(hello([list])).text("cesnet:tlsJa4")
    #expect(text.hasPrefix("t12i0101\(shown)_"))
  }

  /// As many cipher suites as a fingerprint is made of; of extensions there is none.
  @Test func countsStopAt99() throws {
    let text = try record(hello([], ciphers: Array(0x100..<0x100 + 105))).text("cesnet:tlsJa4")
    #expect(text.hasPrefix("t12i990000_"))
  }

  /// draft-ietf-tls-tls13-18 section 4.1.3; what tshark 4.0.17 says of this message.
  @Test func serverHellosOfEarlyDrafts() throws {
    let body = [0x7F, 0x12] + [UInt8](repeating: 0x33, count: 32) + [0x13, 0x01]
    let message = TLSBuilder.message(2, body + TLSBuilder.field16(TLSBuilder.list(40, [0, 29])))
    let record = try record(hello([]), message)
    #expect(record.number("flowmon:tlsServerVersion") == 0x7F12)
    #expect(record.number("martlet:tlsCipherSuite") == 0x1301)
    #expect(record["martlet:tlsServerExtType"] == .numbers([40]))
    // MD5 of 32530,4865,40.
    #expect(record["martlet:tlsJa3sFingerprint"] == .text("0xb8a8031b301aef7618403061e9f33065"))
  }

  // MARK: JA3

  /// The examples of Salesforce's README: `769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0` and
  /// `769,4-5-10-9-100-98-3-6-19-18-99,,,`.
  @Test func ja3IsSalesforcesExample() throws {
    let ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4]
    let full = hello(
      [
        TLSBuilder.serverName("example.com"), TLSBuilder.numbers(10, [23, 24, 25]),
        TLSBuilder.list(11, TLSBuilder.field8([0])),
      ], ciphers: ciphers, version: 0x0301)
    #expect(try record(full).text("flowmon:tlsJa3Fingerprint") == "0xada70206e40642a3e4461f35503241d5")
    let bare = TLSBuilder.message(
      1,
      TLSBuilder.clientHello(
        version: 0x0301, ciphers: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], extensions: nil))
    #expect(try record(bare).text("flowmon:tlsJa3Fingerprint") == "0xde350869b8c85de67a350c8d186f11e6")
  }

  /// Number 0 at the end of a list is a number: fingerprints of hellos that differ in nothing else, of one worker.
  @Test func numbersThatAreZeroCount() throws {
    // Type 11 has client formats; `server_name` is type 0.
    let formats: [[UInt8]] = [[], [0], [0, 0]]
    let serverTypes = [[0xFF01], [0xFF01, 0], [0xFF01, 0, 0]]
    let suites = [[0xC02F], [0xC02F, 0], [0xC02F, 0, 0]]
    var frames: [CapturedFrame] = []
    for index in 0..<3 {
      var conversation = Conversation(.tcp, clientPort: UInt16(1000 + index))
      conversation.handshake()
      conversation.client(
        TLSBuilder.records(hello([TLSBuilder.list(11, TLSBuilder.field8(formats[index]))])))
      let types = serverTypes[index].flatMap { other($0) }
      conversation.server(
        TLSBuilder.records(TLSBuilder.message(2, TLSBuilder.serverHello(cipher: 0xC02F, extensions: types))))
      frames += conversation.frames
      var plain = Conversation(.tcp, clientPort: UInt16(2000 + index))
      plain.handshake()
      plain.client(TLSBuilder.records(hello([], ciphers: suites[index])))
      frames += plain.frames
    }
    let records = try Capture(frames: frames).run(plugins: ["tls"]).records
    func texts(_ field: String, _ firstPort: Int) throws -> [String] {
      try (0..<3).map { index in
        let port = Double(firstPort + index)
        return try #require(records.first { $0.number("iana:sourceTransportPort") == port }).text(field)
      }
    }
    // MD5 of 771,49199,11,,  and with 0 and 0-0 at the end.
    #expect(
      try texts("flowmon:tlsJa3Fingerprint", 1000) == [
        "0x7b192cb7c68c30d1d5d275042ad428b6", "0x1d04fd79e647c68ca96662d40c17fe0b",
        "0x88ac9d8c80425d8921b85e5aa42664b6",
      ])
    // MD5 of 771,49199,65281 and with -0 and -0-0 behind it.
    #expect(
      try texts("martlet:tlsJa3sFingerprint", 1000) == [
        "0xfbe78c619e7ea20046131294ad087f05", "0xebc4d9674023776e56b32a2cd3cb5e97",
        "0x6fff6d417f0b40f20e924edd351806d6",
      ])
    // SHA-256 of c02f, of 0000,c02f and of 0000,0000,c02f.
    #expect(
      try texts("cesnet:tlsJa4", 2000) == [
        "t12i010000_f06271c2b022_000000000000", "t12i020000_892a258ab6dd_000000000000",
        "t12i030000_f921f80dec6a_000000000000",
      ])
  }

  // MARK: Fields

  @Test func allFieldsOfAModernHandshake() throws {
    let record = try record(TLSBuilder.browser, TLSBuilder.server)
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
    #expect(record.number("flowmon:tlsServerVersion") == 0x0304)
    #expect(record.number("martlet:tlsClientVersion") == 0x0304)
    #expect(record.text("flowmon:tlsAlpn") == "")
    #expect(record.text("martlet:tlsClientAlpn") == "h2,http/1.1")
    #expect(record.number("martlet:tlsCipherSuite") == 0x1302)
    #expect(record.number("martlet:tlsEncryptedClientHello") == 1)
    #expect(record["martlet:tlsServerExtType"] == .list([.number(43), .number(51)]))
    #expect(
      record["cesnet:tlsExtTypeField"]
        == .list([0x3A3A, 0, 16, 43, 13, 10, 11, 0xFE0D, 51].map { .number($0) }))
    #expect(
      record["cesnet:tlsExtLenField"] == .list([0, 20, 14, 7, 6, 8, 2, 40, 1300].map { .number($0) }))
  }

  @Test func onlyThirtyExtensionsAreListed() throws {
    let record = try record(hello((0..<60).map { other(0x4000 + $0) }))
    #expect(record["cesnet:tlsExtTypeField"] == .list((0..<30).map { .number(Double(0x4000 + $0)) }))
  }

  @Test func overlongNameIsLeftOut() throws {
    let fits = String(repeating: "a", count: 253)
    #expect(try record(hello([TLSBuilder.serverName(fits)])).text("cesnet:TLSSNI") == fits)
    #expect(try record(hello([TLSBuilder.serverName(fits + "a")])).text("cesnet:TLSSNI") == "")
  }

  @Test func namesOfTheGreatestLengthsFitTogether() throws {
    let name = String(repeating: "n", count: 253)
    let protocols = (0..<40).map { "protocol-\($0)" }
    let chosen = String(repeating: "c", count: 255)
    let server = TLSBuilder.serverHello(extensions: TLSBuilder.protocols([chosen]))
    let record = try record(
      hello([TLSBuilder.serverName(name), TLSBuilder.protocols(protocols)]), TLSBuilder.message(2, server))
    #expect(record.text("cesnet:TLSSNI") == name)
    #expect(record.text("flowmon:tlsAlpn") == chosen)
    let offered = record.text("martlet:tlsClientAlpn")
    #expect(offered.utf8.count <= 255)
    #expect(protocols.joined(separator: ",").hasPrefix(offered + ","))
  }

  // MARK: Which hellos count

  @Test func withoutServerHelloTheVersionIsTheClients() throws {
    let record = try record(hello([TLSBuilder.versions([0x0304])], version: 0x0302))
    #expect(record.number("flowmon:tlsServerVersion") == 0x0302)
    #expect(record.text("martlet:tlsJa3sFingerprint") == "0x")
  }

  @Test func laterClientHelloReplacesTheFirst() throws {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(TLSBuilder.records(hello([TLSBuilder.serverName("first.example.com")])))
    conversation.client(TLSBuilder.records(hello([TLSBuilder.serverName("second.example")])))
    conversation.server(TLSBuilder.records(TLSBuilder.server))
    conversation.client(TLSBuilder.records(hello([TLSBuilder.serverName("third.example")])))
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(record.text("cesnet:TLSSNI") == "second.example")
  }

  /// ipfixprobe keeps such a server's ALPN and exports it in another flow.
  @Test func serverHelloAloneStaysInItsFlow() throws {
    let server = TLSBuilder.serverHello(extensions: TLSBuilder.protocols(["h2"]))
    var lonely = Conversation(.tcp, clientPort: 1000)
    lonely.handshake()
    lonely.server(TLSBuilder.records(TLSBuilder.message(2, server)))
    var other = Conversation(.tcp, clientPort: 2000)
    other.handshake()
    other.client(TLSBuilder.records(TLSBuilder.browser))
    other.server(TLSBuilder.records(TLSBuilder.server))
    let records = try Capture(frames: lonely.frames + other.frames).run(plugins: ["tls"]).records
    let first = try #require(records.first { $0.number("iana:sourceTransportPort") == 1000 })
    #expect(first.text("flowmon:tlsAlpn") == "h2")
    #expect(first.text("flowmon:tlsJa3Fingerprint") == "0x")
    let second = try #require(records.first { $0.number("iana:sourceTransportPort") == 2000 })
    #expect(second.text("flowmon:tlsAlpn") == "")
    #expect(second.number("martlet:tlsCipherSuite") == 0x1302)
  }

  @Test func serverHelloMayComeFirst() throws {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.server(TLSBuilder.records(TLSBuilder.server))
    conversation.client(TLSBuilder.records(TLSBuilder.browser))
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
    #expect(record.number("flowmon:tlsServerVersion") == 0x0304)
  }

  @Test func flowsWithoutHelloHaveNoFields() throws {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(TLSBuilder.fields(record).isEmpty)
  }
}
