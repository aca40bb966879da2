// Hellos whose segments and fragments overlap, contradict each other, or change places between the directions.
import TestSupport
import Testing

@testable import FlowCore
@testable import Wire

@Suite struct TLSOverlapTests {
  private static let client = TLSBuilder.records(TLSBuilder.browser)
  private static let server = TLSBuilder.records(TLSBuilder.server, version: 0x0303)

  /// The tls fields of one TCP flow with the segments in the order given, at their offsets in their direction.
  private func fields(_ segments: [(offset: Int, bytes: [UInt8], byClient: Bool)], start: UInt32 = 1000)
    throws
    -> Record
  {
    var conversation = Conversation(.tcp, serverPort: 8000)
    conversation.client(flags: 0x02, sequence: start)
    conversation.server(flags: 0x12, sequence: start &+ 70000)
    for segment in segments {
      let first = segment.byClient ? start &+ 1 : start &+ 70001
      conversation.send(
        segment.bytes, sequence: first &+ UInt32(segment.offset), byClient: segment.byClient)
    }
    let (records, counters) = try conversation.capture.run(plugins: ["tls"])
    #expect(counters.parserFaults.total == 0)
    return TLSBuilder.fields(try #require(records.first))
  }

  private func whole() throws -> Record {
    let record = try fields([(0, Self.client, true), (0, Self.server, false)])
    try #require(record.text("cesnet:TLSSNI") == "www.example.org")
    return record
  }

  /// Random cuts with overlaps, in random order within the window; `lie` changes the bytes that arrived before.
  private func segments(_ stream: [UInt8], byClient: Bool, lie: Bool, _ generator: inout SeededGenerator)
    -> [(offset: Int, bytes: [UInt8], byClient: Bool)]
  {
    var pieces: [(Int, Int)] = []
    var end = 0
    while end < stream.count {
      let start = max(0, end - Int.random(in: 0..<120, using: &generator))
      end = min(stream.count, max(end, start) + Int.random(in: 200...600, using: &generator))
      pieces.append((start, end))
    }
    var filled = [Bool](repeating: false, count: stream.count)
    var result: [(offset: Int, bytes: [UInt8], byClient: Bool)] = []
    // The first segment comes first: what comes before it cannot be known to belong to a hello.
    for (start, end) in [pieces[0]] + pieces.dropFirst().shuffled(using: &generator) {
      let bytes = (start..<end).map { place -> UInt8 in
        lie && filled[place] ? UInt8.random(in: 0...255, using: &generator) : stream[place]
      }
      for place in start..<end { filled[place] = true }
      result.append((start, bytes, byClient))
    }
    return result
  }

  @Test(arguments: [false, true], [1000, UInt32.max - 700]) func firstArrivalWins(lie: Bool, start: UInt32)
    throws
  {
    let whole = try whole()
    var generator = SeededGenerator(seed: 8)
    for fragment in [16384, 211, 37] {
      let client = TLSBuilder.records(TLSBuilder.browser, fragment: fragment)
      for _ in 0..<16 {
        let pieces =
          segments(client, byClient: true, lie: lie, &generator)
          + segments(Self.server, byClient: false, lie: lie, &generator)
        #expect(try fields(pieces, start: start) == whole)
      }
    }
  }

  /// Both directions take turns, each in pieces.
  @Test func bothDirectionsAtOnce() throws {
    let whole = try whole()
    let server = TLSBuilder.records(TLSBuilder.server, fragment: 20)
    for cut in [1, 5, 9, 60, 100] {
      #expect(
        try fields([
          (0, Array(Self.client[..<700]), true), (0, Array(server[..<cut]), false),
          (700, Array(Self.client[700...]), true), (cut, Array(server[cut...]), false),
        ]) == whole)
    }
  }

  /// A retransmission that contradicts the lengths of records that were read already.
  @Test func recordHeadersAreNotReadAgain() throws {
    let whole = try whole()
    let stream = TLSBuilder.records(TLSBuilder.browser, fragment: 50)
    for lie in [UInt8(0), 0xFF, 22] {
      let wrong = [UInt8](repeating: lie, count: 900)
      #expect(
        try fields([
          (0, Array(stream[..<1000]), true), (3, wrong, true), (53, wrong, true),
          (1000, Array(stream[1000...]), true), (0, Self.server, false),
        ]) == whole)
    }
  }

  /// A whole hello of another name in the midst of one under way is part of it, and a SYN changes nothing.
  @Test func anotherHelloInTheMidst() throws {
    let whole = try whole()
    let other = TLSBuilder.records(
      TLSBuilder.message(1, TLSBuilder.clientHello(extensions: TLSBuilder.serverName("other.example"))))
    for offset in [0, 10, 300] {
      #expect(
        try fields([
          (0, Array(Self.client[..<700]), true), (offset, other, true),
          (700, Array(Self.client[700...]), true), (0, Self.server, false),
        ]) == whole)
    }
    var conversation = Conversation(.tcp, serverPort: 8000)
    conversation.client(flags: 0x02, sequence: 1000)
    conversation.client(Array(Self.client[..<700]), sequence: 1001)
    conversation.client(flags: 0x02, sequence: 1000)
    conversation.client(Array(Self.client[700...]), sequence: 1701)
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
  }

  // MARK: DTLS

  private static func datagramHello(_ name: String) -> [UInt8] {
    TLSBuilder.clientHello(
      version: 0xFEFD,
      extensions: TLSBuilder.serverName(name) + TLSBuilder.list(21, [UInt8](repeating: 0, count: 300)),
      cookie: [])
  }

  private func datagrams(_ datagrams: [(bytes: [UInt8], byClient: Bool)]) throws -> Record {
    var conversation = Conversation(.udp)
    for datagram in datagrams { conversation.send(datagram.bytes, byClient: datagram.byClient) }
    let (records, counters) = try conversation.capture.run(plugins: ["tls"])
    #expect(counters.parserFaults.total == 0)
    return TLSBuilder.fields(try #require(records.first))
  }

  /// A fragment, a whole hello, and the second fragment, in both directions.
  @Test func wholeHelloBetweenFragments() throws {
    let pieces = TLSBuilder.datagrams(1, Self.datagramHello("first.example"), fragment: 200)
    let other = TLSBuilder.datagrams(1, Self.datagramHello("whole.example"), number: 1)
    let answer = TLSBuilder.datagrams(
      2, TLSBuilder.serverHello(version: 0xFEFD, cipher: 0x1301), number: 1, fragment: 20)
    for byClient in [true, false] {
      var sent: [(bytes: [UInt8], byClient: Bool)] = []
      for piece in [pieces[0], other[0], pieces[1]] { sent.append((piece, byClient)) }
      for piece in answer { sent.append((piece, !byClient)) }
      let record = try datagrams(sent)
      #expect(record.text("cesnet:TLSSNI") == "whole.example")
      #expect(record.number("martlet:tlsCipherSuite") == 0x1301)
    }
  }

  /// The second fragment overlaps the first and says otherwise.
  @Test func firstFragmentWins() throws {
    let body = Self.datagramHello("first.example")
    let first = TLSBuilder.datagrams(1, body, fragment: 200)
    let lie = TLSBuilder.datagrams(1, [UInt8](repeating: 0x41, count: body.count), fragment: 150)
    let rest = TLSBuilder.datagrams(1, body, fragment: 200)[1...]
    var sent: [(bytes: [UInt8], byClient: Bool)] = []
    for piece in [first[0], lie[0]] + rest { sent.append((piece, true)) }
    let record = try datagrams(sent)
    #expect(record.text("cesnet:TLSSNI") == "first.example")
  }

  // MARK: Bounds

  private func hellos(_ hellos: [[UInt8]]) throws -> (Record, WorkerCounters) {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    for hello in hellos { conversation.client(TLSBuilder.records(TLSBuilder.message(1, hello))) }
    let (records, counters) = try conversation.capture.run(plugins: ["tls"])
    return (TLSBuilder.fields(try #require(records.first)), counters)
  }

  /// 468 units have fingerprints, 469 none: a server name's extension is 5, a cipher suite 4. They are counted, and all else is
  /// told.
  @Test func costlyHellosHaveNoFingerprint() throws {
    for (count, leftOut) in [(115, false), (116, true), (630, true)] {
      let hello = TLSBuilder.clientHello(
        ciphers: (0..<count).map { 0x4000 + ($0 * 7919) % 1024 },
        extensions: TLSBuilder.serverName("many.example"))
      let (record, counters) = try hellos([hello])
      #expect(record.text("cesnet:TLSSNI") == "many.example")
      #expect((record.text("flowmon:tlsJa3Fingerprint") == "0x") == leftOut)
      #expect((record.text("cesnet:tlsJa4") == "") == leftOut)
      #expect(counters.fingerprintsLeftOut == (leftOut ? 1 : 0))
    }
  }

  @Test func twoHellosOfASideAreRead() throws {
    let names = ["a.example", "b.example", "c.example"]
    let made = names.map { TLSBuilder.clientHello(extensions: TLSBuilder.serverName($0)) }
    #expect(try hellos(made).0.text("cesnet:TLSSNI") == "b.example")
    let many = TLSBuilder.clientHello(ciphers: [Int](repeating: 0x1301, count: 630))
    #expect(try hellos([many, many, many, many]).1.fingerprintsLeftOut == 2)
  }

  @Test(arguments: [0, 1, 2, 24, 32, 33, 128, 192]) func numbersAreSorted(count: Int) {
    var generator = SeededGenerator(seed: UInt64(count))
    let numbers = (0..<count).map { _ in UInt16.random(in: 0...UInt16.max, using: &generator) }
    var sorted = TLS.SortedNumbers<192>()
    for number in numbers { sorted.append(number) }
    sorted.sort()
    var result: [UInt16] = []
    for index in 0..<sorted.count { result.append(sorted[index]) }
    #expect(result == numbers.sorted())
  }
}
