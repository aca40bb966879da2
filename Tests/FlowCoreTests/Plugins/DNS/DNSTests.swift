// dns: names with pointers, what each message says, and messages over TCP in any pieces.
import IPFIXDecoding
import Testing
import Wire

@testable import FlowCore

@Suite struct DNSTests {
  private typealias Build = DNSBuilder

  private func datagrams(_ messages: [UInt8]...) -> Conversation {
    var conversation = Conversation(.udp, serverPort: 53)
    for message in messages { conversation.send(message, byClient: message[2] < 0x80) }
    return conversation
  }

  // MARK: Names

  /// Reads a name; nil where there is none. `end` is what follows it.
  private func read(_ message: [UInt8], at offset: Int) -> (name: String, end: Int)? {
    var memory = [UInt8](repeating: 0, count: 300)
    return memory.withUnsafeMutableBytes { memory in
      message.withUnsafeBytes { message in
        var text = ScratchText(MutableBytes(memory.baseAddress!, count: memory.count))
        guard case .at(let end) = DNSName.append(Bytes(message), at: offset, to: &text) else { return nil }
        return (String(decoding: text.bytes.buffer, as: UTF8.self), end)
      }
    }
  }

  /// The example of RFC 1035 section 4.1.4.
  @Test func pointersAreFollowed() {
    var message = [UInt8](repeating: 0xFF, count: 93)
    func put(_ bytes: [UInt8], at offset: Int) {
      message.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    put(Build.name("F.ISI.ARPA"), at: 20)
    put([3] + Array("FOO".utf8) + Build.pointer(20), at: 40)
    put(Build.pointer(26), at: 64)
    put([0], at: 92)
    #expect(read(message, at: 20)! == ("F.ISI.ARPA", 32))
    #expect(read(message, at: 40)! == ("FOO.F.ISI.ARPA", 46))
    #expect(read(message, at: 64)! == ("ARPA", 66))
    #expect(read(message, at: 92)! == ("", 93))
  }

  @Test func circlesAndLiesAreNoNames() {
    #expect(read([0xC0, 0], at: 0) == nil)  // to itself
    #expect(read([0xC0, 2, 0xC0, 0], at: 0) == nil)  // forward
    #expect(read([0xC0, 2, 0xC0, 0], at: 2) == nil)  // and back
    #expect(read([1, 0x61, 0xC0, 0], at: 0) == nil)  // to the labels before it
    #expect(read([0, 0xC0, 0, 0xC0, 1], at: 3)! == ("", 5))
    #expect(read([0x40, 0], at: 0) == nil)
    #expect(read([0x80, 0], at: 0) == nil)
    #expect(read([5, 0x61], at: 0) == nil)
    #expect(read([1, 0x61], at: 0) == nil)
    #expect(read([0xC0], at: 0) == nil)
    #expect(read([], at: 0) == nil)
  }

  /// 255 octets with the root at the most, RFC 1035 section 3.1.
  @Test func longNamesEnd() {
    let label = [UInt8(63)] + [UInt8](repeating: 0x61, count: 63)
    let longest = label + label + label + [61] + [UInt8](repeating: 0x62, count: 61) + [0]
    #expect(longest.count == 255)
    #expect(read(longest, at: 0)?.name.count == 253)
    #expect(read(label + label + label + label + [0], at: 0) == nil)
    let chain = (0..<200).flatMap { Build.pointer(max(0, 2 * $0 - 2)) }
    #expect(read([0, 0] + chain.dropFirst(2), at: 396) == nil)
  }

  // MARK: Messages

  @Test func queryAndAnswerAreTwoRecords() throws {
    let question = Build.question("kernel.org", 1)
    let records = try datagrams(
      Build.message(0x4943, [question], additionals: [Build.options(size: 4096, isSecure: true)]),
      Build.message(
        0x4943, flags: 0x8183, [question],
        answers: [Build.record(Build.firstName, 1, [199, 204, 44, 194], timeToLive: 360)])
    ).run(plugins: ["dns"])
    try #require(records.count == 2)
    #expect(records.map { $0.text("cesnet:DNSName") } == ["kernel.org", "kernel.org"])
    #expect(records.map { $0.text("cesnet:DNSRData") } == ["", "199.204.44.194"])
    #expect(records.map { $0.number("cesnet:DNSRDataLength") } == [0, 14])
    #expect(records.map { $0.number("cesnet:DNSRRTTL") } == [0, 360])
    #expect(records.map { $0.number("cesnet:DNSAnswers") } == [0, 1])
    #expect(records.map { $0.number("cesnet:DNSRCode") } == [0, 3])
    #expect(records.map { $0.number("cesnet:DNSQType") } == [1, 1])
    #expect(records.map { $0.number("cesnet:DNSClass") } == [1, 1])
    #expect(records.map { $0.number("cesnet:DNSPSize") } == [4096, 0])
    #expect(records.map { $0.number("cesnet:DNSRDO") } == [1, 0])
    #expect(records.map { $0.number("cesnet:DNSTransactionID") } == [0x4943, 0x4943])
  }

  private static let answers: [(type: Int, data: [UInt8], text: String)] = [
    (1, [192, 0, 2, 1], "192.0.2.1"), (1, [192, 0, 2], ""),
    (28, [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1], "2001:db8::1"),
    (28, [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1], "::ffff:192.0.2.1"),
    (28, [UInt8](repeating: 0, count: 16), "::"),
    (2, Build.name("ns.example.org"), "ns.example.org"), (5, Build.firstName, "_sip._tcp.example.org"),
    (12, [1, 0x61] + Build.pointer(22), "a.example.org"), (39, Build.name("b.example"), "b.example"),
    (
      6, Build.name("ns") + Build.name("root") + [1, 2, 3, 4, 5].flatMap { Build.long($0) },
      "ns root 1 2 3 4 5"
    ),
    (13, [1, 0x61, 1, 0x62], "\u{1}a\u{1}b"), (14, Build.name("a") + Build.name("b.c"), "ab.c"),
    (15, Build.word(20) + Build.name("mx.example.org"), "20 mx.example.org"),
    (16, Build.string("v=spf1") + Build.string("") + Build.string("-all"), "v=spf1  -all"),
    (16, [200, 0x61], "a"),
    (
      33, Build.word(10) + Build.word(5) + Build.word(5060) + Build.name("a.b"),
      "sip tcp example.org a.b 10 5 5060"
    ),
    // RFC 4034 section 5.4 and 2.3: key tag 60485, algorithm 5, digest type 1; flags 256, protocol 3, algorithm 5.
    (43, Build.word(60485) + [5, 1, 0x2B, 0xB1], "60485 5 1 <key>"),
    (48, Build.word(256) + [3, 5, 1], "256 3 5 <key>"),
    (
      46,
      Build.word(1) + [5, 3] + [86400, 1_048_354_263, 1_045_762_263].flatMap { Build.long($0) }
        + Build.word(2642) + Build.name("example.com"),
      "1 5 3 86400 1048354263 1045762263 2642 <key>"
    ),
    (257, [0, 5], "(not_impl)"),
  ]

  @Test(arguments: answers.indices)
  func answersAreText(index: Int) throws {
    let (type, data, text) = Self.answers[index]
    let message = Build.response(
      Build.question("_sip._tcp.example.org", type), [Build.record(Build.firstName, type, data)])
    let record = try datagrams(message).run(plugins: ["dns"])[0]
    #expect(record.text("cesnet:DNSRData") == text)
    #expect(record.number("cesnet:DNSRDataLength") == Double(text.utf8.count))
  }

  @Test func namesAndAnswersHaveLimits() throws {
    let labels = Array(repeating: String(repeating: "x", count: 49), count: 4).joined(separator: ".")
    let text = (0..<4).flatMap { _ in Build.string(String(repeating: "y", count: 99)) }
    let message = Build.response(Build.question(labels, 16), [Build.record(Build.firstName, 16, text)])
    let record = try datagrams(message).run(plugins: ["dns"])[0]
    #expect(record.text("cesnet:DNSName") == String(labels.prefix(127)))
    #expect(record.text("cesnet:DNSRData").utf8.count == 159)
  }

  /// What is there is kept; a message without its header is none.
  @Test func cutMessages() throws {
    let message = Build.response(
      Build.question("example.org", 1), [Build.record(Build.firstName, 1, [192, 0, 2, 1])])
    for length in 0..<message.count {
      var conversation = Conversation(.udp, serverPort: 53)
      conversation.server(message, captured: length)
      let record = try conversation.run(plugins: ["dns"])[0]
      #expect((record["cesnet:DNSTransactionID"] == .number(0x1234)) == (length >= 12))
      if length >= 12 {
        #expect(record.text("cesnet:DNSName") == (length >= 29 ? "example.org" : ""))
        #expect(record.text("cesnet:DNSRData") == "")
      }
    }
  }

  @Test func otherTrafficIsLeftAlone() throws {
    var conversation = Conversation(.udp, serverPort: 53)
    for _ in 0..<20 { conversation.client([UInt8](repeating: 0xFF, count: 40)) }
    #expect(try conversation.run(plugins: ["dns"]).map { $0.packets } == [20])
    let query = Build.message([Build.question("example.org", 1)])
    for port in [5300, 5353] as [UInt16] {
      var other = Conversation(.udp, serverPort: port)
      other.client(query)
      #expect(try other.run(plugins: ["dns"])[0]["cesnet:DNSName"] == nil)
      let record = try other.run(plugins: ["dns:anyport"])[0]
      #expect((record["cesnet:DNSName"] != nil) == (port == 5300))
    }
    var similar = Conversation(.udp, serverPort: 5300)
    similar.client(query + [0])
    #expect(try similar.run(plugins: ["dns:anyport"])[0]["cesnet:DNSName"] == nil)
  }

  // MARK: TCP

  private static let first = Build.message(1, [Build.question("one.example", 1)])
  private static let second = Build.message(2, [Build.question("two.example", 28)])

  private func names(_ conversation: Conversation, _ plugin: String = "dns") throws -> [String] {
    try conversation.run(plugins: [plugin]).filter { $0["cesnet:DNSName"] != nil }.map {
      $0.text("cesnet:DNSName")
    }
  }

  @Test func messagesOfTCPInAnyPieces() throws {
    let bytes = Build.framed(Self.first) + Build.framed(Self.second)
    for cut in 0...bytes.count {
      var conversation = Conversation(.tcp, serverPort: 53)
      conversation.handshake()
      for piece in [bytes.prefix(cut), bytes.dropFirst(cut)] where !piece.isEmpty {
        conversation.client(Array(piece))
      }
      let records = try conversation.run(plugins: ["dns"])
      #expect(try names(conversation) == ["one.example", "two.example"], "cut at \(cut)")
      #expect(records.reduce(0) { $0 + $1.packets } == Double(cut == 0 || cut == bytes.count ? 4 : 5))
    }
  }

  @Test func segmentsInDisorder() throws {
    let bytes = Build.framed(Self.first) + Build.framed(Self.second)
    var conversation = Conversation(.tcp, serverPort: 53)
    conversation.handshake()
    conversation.client(Array(bytes[10..<40]), sequence: 1011)
    conversation.client(Array(bytes[0..<10]), sequence: 1001)
    conversation.client(Array(bytes[40...]), sequence: 1041)
    #expect(try names(conversation) == ["one.example", "two.example"])
  }

  /// Where the answer begins is known from the handshake, which is in the query's record.
  @Test func answersInDisorder() throws {
    let answer = Build.message(
      1, flags: 0x8180, [Build.question("one.example", 1)],
      answers: [Build.record(Build.firstName, 1, [192, 0, 2, 1])])
    let bytes = Build.framed(answer)
    var conversation = Conversation(.tcp, serverPort: 53)
    conversation.handshake()
    conversation.client(Build.framed(Self.first), sequence: 1001)
    conversation.client(Build.framed(Self.first), sequence: 1001)
    conversation.server(Array(bytes[20...]), sequence: 5021)
    conversation.server(Array(bytes[..<20]), sequence: 5001)
    let records = try conversation.run(plugins: ["dns"]).filter { $0["cesnet:DNSName"] != nil }
    #expect(records.map { $0.text("cesnet:DNSRData") } == ["", "192.0.2.1"])
    // What came too early says nothing yet, so that it counts in the query's record.
    #expect(records.map(\.packets) == [6, 1])
  }

  /// 40 000 bytes: read at the beginning; what follows them is the next message.
  @Test func longMessagesAreGoneThrough() throws {
    let long = Build.message(
      7, flags: 0x8180, [Build.question("zone.example", 252)],
      answers: (0..<1250).map { Build.record(Build.firstName, 1, [10, 0, 0, UInt8($0 & 0xFF)] + []) }
        + [Build.record(Build.firstName, 16, [UInt8](repeating: 0, count: 20_000))])
    #expect(long.count > 32_767)
    let bytes = Build.framed(long) + Build.framed(Self.second)
    var conversation = Conversation(.tcp, serverPort: 53)
    conversation.handshake()
    for start in stride(from: 0, to: bytes.count, by: 1400) {
      conversation.server(Array(bytes[start..<min(start + 1400, bytes.count)]))
    }
    #expect(try names(conversation) == ["zone.example", "two.example"])
  }

  @Test func lengthsThatLie() throws {
    for length in [0, 1, 11, 12, 28, 60_000] {
      var conversation = Conversation(.tcp, serverPort: 53)
      conversation.handshake()
      conversation.client(Build.word(length) + Self.first)
      for _ in 0..<12 { conversation.client([UInt8](repeating: 0xFF, count: 1000)) }
      let found = try names(conversation)
      #expect(found.count <= 1)
    }
  }
}
