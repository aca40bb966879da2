// Hellos that lie, end early, or are made to cost memory and time.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct TLSHostileTests {
  private static let client = TLSBuilder.records(TLSBuilder.browser)
  private static let server = TLSBuilder.records(TLSBuilder.server)

  private func run(_ conversation: Conversation, slabBytes: Int? = nil) throws -> (Record, WorkerCounters) {
    var configuration = FlowConfiguration()
    if let slabBytes { configuration.slabBytes = slabBytes }
    let (records, counters) = try conversation.capture.run(plugins: ["tls"], configuration: configuration)
    return (TLSBuilder.fields(try #require(records.first)), counters)
  }

  /// Runs as many conversations, a port each, in one worker: making one takes longer than a conversation.
  private func run(_ count: Int, _ fill: (Int, inout Conversation) -> Void) throws -> [Record] {
    let frames = (0..<count).flatMap { index in
      var conversation = Conversation(.tcp, clientPort: UInt16(2000 + index))
      conversation.handshake()
      fill(index, &conversation)
      return conversation.frames
    }
    return try Capture(frames: frames).run(plugins: ["tls"]).records.map(TLSBuilder.fields)
  }

  // MARK: Truncation

  /// Each prefix both as a captured part and as all that was sent.
  @Test func everyPrefixIsSurvived() throws {
    let records = try run(Self.client.count) { count, conversation in
      conversation.client(Self.client, captured: count)
      conversation.server(Self.server, captured: count % Self.server.count)
    }
    #expect(records.count == Self.client.count)
    #expect(!records.contains { !$0.isEmpty })
  }

  /// The message says that it ends where the prefix does.
  @Test func everyShortenedMessageIsSurvived() throws {
    for message in [TLSBuilder.browser, TLSBuilder.server] {
      let body = Array(message.dropFirst(4))
      let records = try run(body.count) { count, conversation in
        conversation.client(TLSBuilder.records(TLSBuilder.message(message[0], Array(body.prefix(count)))))
      }
      #expect(records.count == body.count)
    }
  }

  /// Every hello of the corpus, each packet cut at many places.
  @Test(
    .enabled(if: Corpus.directory != nil, "needs ../shared/corpus"),
    arguments: ["functional/tls.pcap", "ndpi/tls_with_huge_ch.pcapng", "ndpi/ja3_lots_of_cipher_suites.pcap"])
  func truncatedCapturesAreSurvived(name: String) throws {
    let capture = try #require(Capture(path: "\(Corpus.directory!)/\(name)"))
    for length in [54, 55, 58, 60, 63, 64, 70, 98, 99, 120, 200, 300, 500, 1000] {
      let frames = capture.frames.prefix(400).map {
        CapturedFrame(bytes: Array($0.bytes.prefix(length)), wire: $0.wire, time: $0.time)
      }
      _ = try Capture(frames: Array(frames), linkType: capture.linkType).run(plugins: ["tls"])
    }
  }

  // MARK: Lies

  @Test func mutatedHellosAreSurvived() throws {
    var generator = SeededGenerator(seed: 1)
    let records = try run(3000) { _, conversation in
      for (stream, byClient) in [(Self.client, true), (Self.server, false)] {
        var bytes = stream
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
          // Lengths lie near the start more often than not.
          let reach = Bool.random(using: &generator) ? 150 : bytes.count
          bytes[Int.random(in: 0..<min(reach, bytes.count), using: &generator)] =
            Bool.random(using: &generator)
            ? UInt8.random(in: 0...255, using: &generator)
            : [0, 1, 0x7F, 0xFF].randomElement(using: &generator)!
        }
        let cut = Int.random(in: 0...bytes.count, using: &generator)
        if Bool.random(using: &generator) {
          conversation.send(Array(bytes[..<cut]), byClient: byClient)
          conversation.send(Array(bytes[cut...]), byClient: byClient)
        } else {
          conversation.send(bytes, byClient: byClient)
        }
      }
    }
    #expect(records.count == 3000)
  }

  /// Each two-byte length of the hello in turn says 0, one more, one less, and the most.
  @Test func lyingLengthsAreSurvived() throws {
    let lies: [(UInt16) -> UInt16] = [{ _ in 0 }, { $0 &+ 1 }, { $0 &- 1 }, { _ in 0xFFFF }, { _ in 0x7FFF }]
    let records = try run(240 * lies.count) { index, conversation in
      let place = 3 + index / lies.count
      let length = UInt16(Self.client[place]) << 8 | UInt16(Self.client[place + 1])
      var bytes = Self.client
      bytes.replaceSubrange(place..<place + 2, with: FrameBuilder.word(lies[index % lies.count](length)))
      conversation.client(bytes)
      conversation.client(bytes)
    }
    #expect(records.count == 240 * lies.count)
  }

  @Test func emptyAndNestedListsAreSurvived() throws {
    let oddities: [[UInt8]] = [
      TLSBuilder.list(0, []), TLSBuilder.list(0, [0, 0]), TLSBuilder.list(0, [0, 3, 0, 0, 0]),
      TLSBuilder.list(0, [0xFF, 0xFF, 0, 0xFF, 0xFF]), TLSBuilder.list(0, [0, 5, 0, 0xFF, 0xFF, 1, 2]),
      TLSBuilder.list(10, []), TLSBuilder.list(10, [0]), TLSBuilder.list(10, [0, 1, 7]),
      TLSBuilder.list(11, []),
      TLSBuilder.list(11, [200]), TLSBuilder.list(13, [0, 3, 1, 2, 3]), TLSBuilder.list(16, [0, 0]),
      TLSBuilder.list(16, [0, 1, 0]), TLSBuilder.list(16, [0, 3, 9, 0x68, 0x32]), TLSBuilder.list(43, []),
      TLSBuilder.list(43, [1, 3]), TLSBuilder.list(43, [0]), [0], [0, 0, 0], [0, 0, 0xFF, 0xFF, 1],
    ]
    for oddity in oddities {
      var conversation = Conversation(.tcp)
      conversation.handshake()
      conversation.client(
        TLSBuilder.records(TLSBuilder.message(1, TLSBuilder.clientHello(extensions: oddity + oddity))))
      conversation.server(
        TLSBuilder.records(TLSBuilder.message(2, TLSBuilder.serverHello(extensions: oddity + oddity))))
      let (record, _) = try run(conversation)
      #expect(record.text("cesnet:TLSSNI") == "")
      #expect(record.text("cesnet:tlsJa4").utf8.count == 36)
    }
  }

  // MARK: Cost

  /// What one flow can take of the slab at most: five sizes of buffer in each direction, and two summaries. Four of the
  /// sizes share a page each with others of their size, two blocks of the largest are pages of their own.
  private static let mostPerFlow = 64 + 6 * 32768

  /// A hello of 64 KiB, in records and segments, and the flow goes on as if nothing had been.
  @Test func hugeHellosAreDropped() throws {
    let ciphers = [Int](repeating: 0x1301, count: 30000)
    let huge = TLSBuilder.message(1, TLSBuilder.clientHello(ciphers: ciphers))
    var conversation = Conversation(.tcp)
    conversation.handshake()
    let stream = TLSBuilder.records(huge)
    for start in stride(from: 0, to: stream.count, by: 1400) {
      conversation.client(Array(stream[start..<min(start + 1400, stream.count)]))
    }
    let (record, counters) = try run(conversation, slabBytes: Self.mostPerFlow)
    #expect(record.isEmpty)
    #expect(counters.slabFull == 0)
  }

  /// The largest that is kept; more cipher suites than exist give no JA4, and all else as usual.
  @Test func largestHello() throws {
    let ciphers = (0..<2000).map { $0 + 0x4000 }
    let message = TLSBuilder.message(
      1,
      TLSBuilder.clientHello(
        ciphers: ciphers,
        extensions: TLSBuilder.serverName("large.example")
          + TLSBuilder.list(21, [UInt8](repeating: 0, count: 12000))))
    var conversation = Conversation(.tcp)
    conversation.handshake()
    let stream = TLSBuilder.records(message)
    for start in stride(from: 0, to: stream.count, by: 1400) {
      conversation.client(Array(stream[start..<min(start + 1400, stream.count)]))
    }
    let (record, _) = try run(conversation)
    #expect(record.text("cesnet:TLSSNI") == "large.example")
    #expect(record.text("cesnet:tlsJa4") == "")
  }

  /// Whatever segments come in whatever order, one flow never takes more.
  @Test func memoryIsCapped() throws {
    var generator = SeededGenerator(seed: 2)
    let stream = TLSBuilder.records(
      TLSBuilder.message(
        1, TLSBuilder.clientHello(extensions: TLSBuilder.list(21, [UInt8](repeating: 0, count: 15000)))),
      fragment: 700)
    for _ in 0..<60 {
      var conversation = Conversation(.tcp, serverPort: 25)
      conversation.handshake()
      for _ in 0..<250 {
        let byClient = Bool.random(using: &generator)
        let start =
          Int.random(in: 0..<stream.count, using: &generator) / Int.random(in: 1...8, using: &generator)
        let count = min(stream.count - start, Int.random(in: 1...1460, using: &generator))
        let bytes =
          Int.random(in: 0..<8, using: &generator) == 0
          ? Self.client : Array(stream[start..<start + count])
        conversation.send(
          bytes, sequence: (byClient ? 1001 : 5001) &+ UInt32(start), byClient: byClient)
      }
      let (_, counters) = try run(conversation, slabBytes: Self.mostPerFlow)
      #expect(counters.slabFull == 0)
    }
  }

  /// ServerHellos without end: the summary is written over, not beside.
  @Test func repeatedHellosTakeNoMore() throws {
    for message in [TLSBuilder.server, TLSBuilder.browser] {
      var conversation = Conversation(.tcp)
      conversation.handshake()
      for _ in 0..<300 { conversation.client(TLSBuilder.records(message)) }
      let (record, counters) = try run(conversation, slabBytes: 64 + 2 * 32768)
      #expect(!record.isEmpty)
      #expect(counters.slabFull == 0)
    }
  }

  /// The first part of a hello in each of 200 flows, a millisecond apart.
  private static var halfHellos: [CapturedFrame] {
    (0..<200).flatMap { port in
      var conversation = Conversation(.tcp, clientPort: UInt16(1000 + port))
      conversation.time += UInt64(port) * 1_000_000
      conversation.handshake()
      conversation.client(Array(client.prefix(1200)))
      return conversation.frames
    }
  }

  /// Half a hello in many flows: each takes what it sent, and the flows after them are served when those are gone.
  @Test func usedUpSlabIsCountedAndReturned() throws {
    var late = Conversation(.tcp, clientPort: 50000)
    late.time += 120_000_000_000
    late.handshake()
    late.client(Array(Self.client.prefix(1200)))
    late.client(Array(Self.client.dropFirst(1200)))
    // The flows before have timed out, but a sweep comes only after a burst.
    var configuration = FlowConfiguration()
    configuration.slabBytes = 64 + 7 * 32768
    var pause = Conversation(.udp, clientPort: 7)
    pause.time += 110_000_000_000
    for _ in 0..<40 { pause.client([1]) }
    let (records, counters) = try Capture(frames: Self.halfHellos + pause.frames + late.frames)
      .run(plugins: ["tls"], configuration: configuration)
    #expect(counters.slabFull >= 100)
    let record = try #require(records.first { $0.number("iana:sourceTransportPort") == 50000 })
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
  }

  /// Half a hello in more flows than there is memory for: whole hellos of one segment are told of meanwhile, and another
  /// plugin keeps its payloads.
  @Test func halfHellosLeaveMemoryToOthers() throws {
    var whole = Conversation(.tcp, clientPort: 50000)
    whole.time += 1_000_000_000
    whole.handshake()
    whole.client(Self.client)
    var configuration = FlowConfiguration()
    configuration.slabBytes = 64 + 8 * 32768
    let (records, counters) = try Capture(frames: Self.halfHellos + whole.frames)
      .run(plugins: ["tls", "idpcontent"], configuration: configuration)
    #expect(counters.slabFull > 0)
    let record = try #require(records.first { $0.number("iana:sourceTransportPort") == 50000 })
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
    #expect(!records.contains { $0.text("cesnet:IDPContent") == "0x" })
  }
}
