// quic: handshakes of which every packet is made here, in one datagram and in many.
import QUICSealing
import TestSupport
import Testing

@testable import FlowCore

@Suite struct QUICTests {
  /// The fields of a record that are QUIC's.
  private func fields(_ record: Record) -> Record { record.filter { $0.key.contains("quic") } }

  private func run(_ conversation: Conversation) throws -> [Record] {
    let (records, counters) = try conversation.capture.run(plugins: ["quic"], configuration: .small)
    #expect(counters.parserFaults.total == 0)
    return records.map(fields)
  }

  private static let id = [UInt8](0x80...0x8B)
  private static let clientID: [UInt8] = [0xC1, 0xC2, 0xC3]
  private static let serverID: [UInt8] = [0x51, 0x52, 0x53, 0x54]

  /// A hello of 1.6 KiB with transport parameters, one of them the user agent.
  private static let hello = TLSBuilder.message(
    1,
    TLSBuilder.clientHello(
      ciphers: [0x1301, 0x1302],
      extensions: TLSBuilder.join(
        TLSBuilder.serverName("www.example.org"), TLSBuilder.protocols(["h3", "h3-29"]),
        TLSBuilder.versions([0x0304]), TLSBuilder.list(51, [UInt8](repeating: 9, count: 1300)),
        TLSBuilder.list(57, [0x01, 0x02, 0x40, 0x10, 0x71, 0x29, 0x05] + Array("agent".utf8)))))
  private static let answer = TLSBuilder.message(
    2, TLSBuilder.serverHello(cipher: 0x1302, extensions: TLSBuilder.list(43, [0x03, 0x04])))

  private static func client() -> InitialSealer {
    var client = InitialSealer(to: id)
    client.source = clientID
    return client
  }

  private static func server() -> InitialSealer {
    var server = InitialSealer(to: clientID)
    (server.sender, server.keyed, server.source) = (.server, id, serverID)
    return server
  }

  private static func crypto(_ message: [UInt8]) -> [UInt8] { InitialSealer.crypto(message, at: 0) }

  /// A packet with a long header of which nothing can be opened: 0-RTT is 1, Handshake 2.
  private static func closed(_ type: UInt8, to destination: [UInt8], from source: [UInt8]) -> [UInt8] {
    TLSBuilder.join(
      [0xC0 | type << 4, 0, 0, 0, 1], TLSBuilder.field8(destination), TLSBuilder.field8(source), [30],
      [UInt8](repeating: 7, count: 30))
  }

  // MARK: Handshakes

  @Test func theSampleHandshake() throws {
    var conversation = Conversation(.udp)
    conversation.client(QUICVectors.clientPacket)
    conversation.server(QUICVectors.serverPacket)
    let record = try #require(try run(conversation).first)
    #expect(record.text("cesnet:quicSNI") == "example.com")
    #expect(record.text("cesnet:quicUserAgent") == "")
    #expect(record.number("cesnet:quicVersion") == 1)
    #expect(record.number("cesnet:quicClientVersion") == 1)
    #expect(record.number("cesnet:quicTokenLength") == 0)
    #expect(record.text("cesnet:quicOCCID") == "0x")
    #expect(record.text("cesnet:quicOSCID") == "0x8394c8f03e515708")
    #expect(record.text("cesnet:quicSCID") == "0xf067a5502a4262b5")
    #expect(record.text("cesnet:quicRetrySCID") == "0x")
    #expect(record.number("cesnet:quicServerPort") == 443)
    #expect(record["cesnet:quicPackets"] == .numbers([0x81, 0x81]))
    #expect(record.number("cesnet:quicCHParsed") == 1)
    #expect(
      record["cesnet:quicTlsExtType"] == .numbers([0, 0xFF01, 10, 16, 5, 51, 43, 13, 45, 28, 57]))
    #expect(record["cesnet:quicTlsExtLen"] == .numbers([16, 1, 8, 7, 5, 38, 3, 16, 2, 2, 50]))
    #expect(
      record.text("cesnet:quicTlsExt")
        == "0x000504616c706e0408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff"
    )
    #expect(record.text("martlet:quicClientAlpn") == "alpn")
    // Cipher suites and extensions by hand; the digits are those of Python's hashlib.
    #expect(record.text("martlet:quicJa4") == "q13d0211an_62ed6f6ca7ad_4d634acda6c0")
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1301)
    #expect(record.number("martlet:quicTlsServerVersion") == 0x0304)
  }

  private func whole(version: UInt32 = 1) throws -> Record {
    var (client, server) = (Self.client(), Self.server())
    (client.version, server.version) = (version, version)
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    conversation.server(server.seal([2, 0, 0, 0, 0] + Self.crypto(Self.answer)))
    let record = try #require(try run(conversation).first)
    #expect(record.text("cesnet:quicSNI") == "www.example.org")
    #expect(record.text("cesnet:quicUserAgent") == "agent")
    #expect(record.text("martlet:quicClientAlpn") == "h3,h3-29")
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1302)
    #expect(record.text("cesnet:quicOCCID") == "0xc1c2c3")
    #expect(record.text("cesnet:quicOSCID") == "0x808182838485868788898a8b")
    #expect(record.text("cesnet:quicSCID") == "0x51525354")
    return record
  }

  @Test func versionsDifferInNothingElse() throws {
    let first = try whole()
    for version: UInt32 in [0x6B33_43CF, 0xFF00_001D, 0xFF00_001B, 0xFACE_B002, 0x1A2A_3A4A] {
      var record = try whole(version: version)
      #expect(record.number("cesnet:quicVersion") == Double(version))
      for key in ["cesnet:quicVersion", "cesnet:quicClientVersion"] { record[key] = first[key] }
      #expect(record == first)
    }
  }

  /// Cut into pieces and shuffled over datagrams, as browsers do; some pieces come twice, others overlap.
  @Test func hellosMayBeInAnyPieces() throws {
    var expected = try whole()
    expected["cesnet:quicPackets"] = nil
    var generator = SeededGenerator(seed: 9000)
    for round in 0..<120 {
      var cuts = Set(
        (0..<Int.random(in: 0..<24, using: &generator)).map { _ in
          Int.random(in: 1..<Self.hello.count, using: &generator)
        })
      cuts.formUnion([0, Self.hello.count])
      let sorted = cuts.sorted()
      var pieces = zip(sorted, sorted.dropFirst()).map { start, end -> [UInt8] in
        let end = generator.oneIn(5) ? min(Self.hello.count, end + 20) : end
        return InitialSealer.crypto(Array(Self.hello[start..<end]), at: start)
      }
      if generator.oneIn(3), let piece = pieces.randomElement(using: &generator) { pieces.append(piece) }
      pieces.shuffle(using: &generator)
      var client = Self.client()
      var server = Self.server()
      var conversation = Conversation(.udp)
      let datagrams = Int.random(in: 1...3, using: &generator)
      for index in 0..<datagrams {
        let part = pieces[pieces.count * index / datagrams..<pieces.count * (index + 1) / datagrams]
        let padding = [UInt8](repeating: 0, count: Int.random(in: 0..<40, using: &generator))
        conversation.client(client.seal([1] + part.flatMap { $0 + (generator.oneIn(2) ? [1] : padding) }))
      }
      for (offset, byte) in Self.answer.enumerated() where round & 1 == 0 {
        conversation.server(server.seal(InitialSealer.crypto([byte], at: offset)))
        if offset > 10 { break }
      }
      conversation.server(server.seal(Self.crypto(Self.answer)))
      var record = try #require(try run(conversation).first)
      record["cesnet:quicPackets"] = nil
      #expect(record == expected, "round \(round)")
    }
  }

  @Test func packetsOfADatagramAreTakenOneByOne() throws {
    var (client, server) = (Self.client(), Self.server())
    let (first, second) = (Array(Self.hello.prefix(900)), Array(Self.hello.dropFirst(900)))
    var conversation = Conversation(.udp)
    conversation.client(
      TLSBuilder.join(
        client.seal(Self.crypto(first)), client.seal(InitialSealer.crypto(second, at: 900)),
        Self.closed(1, to: Self.id, from: Self.clientID), Self.closed(1, to: Self.id, from: Self.clientID)))
    conversation.server(
      server.seal(Self.crypto(Self.answer)) + Self.closed(2, to: Self.clientID, from: Self.serverID))
    // Packets for another id do not belong there.
    conversation.client(
      Self.closed(2, to: Self.serverID, from: Self.clientID) + Self.closed(1, to: [1], from: [2]))
    let record = try #require(try run(conversation).first)
    #expect(record["cesnet:quicPackets"] == .numbers([0x83, 0x85, 0x84]))
    #expect(record.number("cesnet:quicZeroRTT") == 2)
    #expect(record.text("cesnet:quicSNI") == "www.example.org")
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1302)
    #expect(record.text("cesnet:quicSCID") == "0x51525354")
  }

  // MARK: Retry and negotiation

  private static let retryID: [UInt8] = [0xE1, 0xE2, 0xE3, 0xE4, 0xE5]

  /// A Retry with a token of 40 bytes.
  private static let retry = InitialSealer.retry(
    to: clientID, from: retryID, token: [UInt8](repeating: 5, count: 40), original: id)

  /// Also where the first packet had half a hello only.
  @Test(arguments: [false, true])
  func aRetryChangesTheKeys(isHalf: Bool) throws {
    var (client, server) = (Self.client(), Self.server())
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(isHalf ? Array(Self.hello.prefix(700)) : Self.hello)))
    conversation.server(Self.retry)
    (client.destination, client.keyed, client.token) = (
      Self.retryID, Self.retryID, [UInt8](repeating: 5, count: 40)
    )
    conversation.client(client.seal(Self.crypto(Self.hello)))
    server.keyed = Self.retryID
    conversation.server(server.seal(Self.crypto(Self.answer)))
    let record = try #require(try run(conversation).first)
    #expect(record.text("cesnet:quicRetrySCID") == "0xe1e2e3e4e5")
    #expect(record.text("cesnet:quicOSCID") == "0x808182838485868788898a8b")
    #expect(record.text("cesnet:quicSCID") == "0x51525354")
    #expect(record.number("cesnet:quicTokenLength") == 40)
    #expect(record.number("cesnet:quicMultiplexed") == 0)
    #expect(record["cesnet:quicPackets"] == .numbers([0x81, 0x88, 0x81, 0x81]))
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1302)
  }

  /// Somebody else's Retry, with the id that the server has anyway; also one who has seen the client's id, and can make the tag.
  @Test(arguments: [false, true])
  func aForgedRetryLosesNothing(hasTag: Bool) throws {
    var (client, server) = (Self.client(), Self.server())
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Array(Self.hello.prefix(700)))))
    var forged = InitialSealer.retry(
      to: Self.clientID, from: Self.serverID, token: [1, 2, 3], original: Self.id)
    if !hasTag { forged[forged.count - 1] ^= 1 }
    conversation.server(forged)
    conversation.server(server.seal([2, 0, 0, 0, 0]))
    client.destination = Self.serverID
    conversation.client(client.seal(InitialSealer.crypto(Array(Self.hello.dropFirst(700)), at: 700)))
    conversation.server(server.seal(Self.crypto(Self.answer)))
    let record = try #require(try run(conversation).first)
    #expect(record.text("cesnet:quicSNI") == "www.example.org")
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1302)
    #expect(record.text("cesnet:quicOSCID") == "0x808182838485868788898a8b")
    #expect(record.text("cesnet:quicSCID") == "0x51525354")
    #expect(record.text("cesnet:quicRetrySCID") == (hasTag ? "0x51525354" : "0x"))
    #expect(record.number("cesnet:quicTokenLength") == 0)
    // It is listed: that is what was seen.
    #expect(record["cesnet:quicPackets"] == .numbers([0x81, 0x88, 0x81, 0x81, 0x81]))
  }

  /// The first Retry counts, as for the client.
  @Test func aSecondRetryIsNotFollowed() throws {
    var client = Self.client()
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    conversation.server(Self.retry)
    conversation.server(InitialSealer.retry(to: Self.clientID, from: [9, 9], token: [1], original: Self.id))
    (client.destination, client.keyed) = (Self.retryID, Self.retryID)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    let record = try #require(try run(conversation).first)
    #expect(record.text("cesnet:quicRetrySCID") == "0xe1e2e3e4e5")
    #expect(record.number("cesnet:quicTokenLength") == 40)
    #expect(record.number("cesnet:quicMultiplexed") == 0)
  }

  @Test func negotiationEndsTheRecord() throws {
    var client = Self.client()
    client.version = 0x5A6A_7A8A
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    conversation.server(
      TLSBuilder.join(
        [0x80, 0, 0, 0, 0], TLSBuilder.field8(Self.clientID), TLSBuilder.field8(Self.id), [0, 0, 0, 1]))
    client.version = 1
    conversation.client(client.seal(Self.crypto(Self.hello)))
    let records = try run(conversation)
    #expect(records.map { $0["cesnet:quicPackets"] } == [.numbers([0x81, 0x10]), .numbers([0x81])])
    #expect(records.map { $0.number("cesnet:quicVersion") } == [0, 1])
    #expect(records.map { $0.number("cesnet:quicClientVersion") } == [0x5A6A_7A8A, 1])
    #expect(records.map { $0.number("cesnet:quicServerPort") } == [443, 443])
  }

  /// The server may go on in another version (RFC 9368): its keys are made of the same id.
  @Test func theServerMayChooseAnotherVersion() throws {
    var (client, server) = (Self.client(), Self.server())
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    server.version = 0x6B33_43CF
    conversation.server(server.seal(Self.crypto(Self.answer)))
    let record = try #require(try run(conversation).first)
    #expect(record.number("cesnet:quicVersion") == 0x6B33_43CF)
    #expect(record.number("cesnet:quicClientVersion") == 1)
    #expect(record.number("martlet:quicTlsCipherSuite") == 0x1302)
  }

  @Test func otherConnectionsAreCounted() throws {
    var conversation = Conversation(.udp)
    var client = Self.client()
    conversation.client(client.seal(Self.crypto(Self.hello)))
    // Sent again, and an acknowledgement to the server's id: the same connection.
    conversation.client(client.seal(Self.crypto(Self.hello)))
    client.destination = Self.serverID
    conversation.client(client.seal([2, 0, 0, 0, 0]))
    for last: UInt8 in 1...3 {
      var other = InitialSealer(to: [9, 8, 7, 6, 5, 4, 3, last])
      for _ in 0..<2 { conversation.client(other.seal(Self.crypto(Self.hello))) }
    }
    let record = try #require(try run(conversation).first)
    #expect(record.number("cesnet:quicMultiplexed") == 3)
    #expect(record.text("cesnet:quicOSCID") == "0x808182838485868788898a8b")
    #expect(record.text("cesnet:quicSCID") == "0x51525354")
  }

  // MARK: What is left alone

  @Test func theListEndsWithThirtyPackets() throws {
    var (client, server) = (Self.client(), Self.server())
    var conversation = Conversation(.udp)
    conversation.client(client.seal(Self.crypto(Self.hello)))
    conversation.server(server.seal(Self.crypto(Self.answer)))
    for index in 0..<40 {
      conversation.send([0x40] + [UInt8](repeating: 1, count: 30), byClient: index & 1 == 0)
    }
    // Nobody looks any more.
    conversation.client(Self.closed(1, to: Self.serverID, from: Self.clientID))
    let record = try #require(try run(conversation).first)
    #expect(record["cesnet:quicPackets"] == .numbers([0x81, 0x81] + Array(repeating: 0x80, count: 28)))
    #expect(record.number("cesnet:quicZeroRTT") == 0)
    #expect(record.text("martlet:quicShortHeaderID") == "0x")
  }

  @Test func otherTrafficIsLeftAlone() throws {
    var client = Self.client()
    let packet = client.seal(Self.crypto(Self.hello))
    // RTP; a DNS query whose first bytes are those of a negotiation; an unknown version; TCP.
    let others: [[UInt8]] = [
      [0x80, 0x60] + [UInt8](repeating: 3, count: 60),
      [0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1, 0, 0],
      [0xC0, 0, 0, 0, 2] + packet.dropFirst(5),
    ]
    for other in others {
      var conversation = Conversation(.udp, serverPort: 5004)
      for _ in 0..<4 { conversation.client(other) }
      conversation.client(packet)
      #expect(try run(conversation) == [[:]])
    }
    var conversation = Conversation(.tcp)
    conversation.client(packet)
    #expect(try run(conversation) == [[:]])
    // Three packets of something else may come before.
    conversation = Conversation(.udp, serverPort: 5004)
    for _ in 0..<3 { conversation.client(others[0]) }
    conversation.client(packet)
    #expect(try run(conversation).first?.text("cesnet:quicSNI") == "www.example.org")
  }

  /// A connection that came from other addresses has no handshake: the ids of both directions are what it is known by.
  @Test func whatBeginsInTheMidstHasItsIDs() throws {
    var conversation = Conversation(.udp)
    conversation.client([0x43] + Self.serverID + [UInt8](repeating: 1, count: 40))
    conversation.server([0x54] + Self.clientID + [UInt8](repeating: 2, count: 40))
    conversation.client([0x43, 0x99] + [UInt8](repeating: 1, count: 40))
    let record = try #require(try run(conversation).first)
    #expect(record.text("martlet:quicShortHeaderID") == "0x51525354" + String(repeating: "01", count: 16))
    #expect(
      record.text("martlet:quicReverseShortHeaderID") == "0xc1c2c3" + String(repeating: "02", count: 17))
    #expect(record.number("cesnet:quicCHParsed") == 0)
    #expect(record.number("cesnet:quicTokenLength") == Double(UInt64.max))
    #expect(record["cesnet:quicPackets"] == .numbers([0x80, 0x80, 0x80]))
    // What has other packets, too, is something else.
    conversation.server([0x28] + [UInt8](repeating: 2, count: 40))
    #expect(try run(conversation) == [[:]])
    // Only at QUIC's port: elsewhere a bit says nothing.
    conversation = Conversation(.udp, serverPort: 5004)
    conversation.client([0x43] + Self.serverID + [UInt8](repeating: 1, count: 40))
    #expect(try run(conversation) == [[:]])
  }

  // MARK: Damage

  /// Each packet of a handshake cut at every byte, as sent and as captured.
  @Test func everyPrefixIsSurvived() throws {
    var client = Self.client()
    let first = client.seal(Self.crypto(Array(QUICVectors.clientFrame.dropFirst(4))))
    let packets = [first, QUICVectors.serverPacket, Self.retry, QUICVectors.retry2]
    var frames: [CapturedFrame] = []
    var port: UInt16 = 2000
    for packet in packets {
      for count in 0..<packet.count {
        port += 1
        var conversation = Conversation(.udp, clientPort: port)
        conversation.client(Array(packet.prefix(count)))
        conversation.client(packet, captured: count)
        frames += conversation.frames
      }
    }
    let (records, counters) = try Capture(frames: frames).run(plugins: ["quic"])
    #expect(counters.parserFaults.total == 0)
    #expect(records.count == Int(port) - 2000)
    #expect(!records.contains { $0.number("cesnet:quicCHParsed") == 1 })
  }

  /// Random frames, well sealed, and hellos that lie about their lengths.
  @Test func sealedNonsenseIsSurvived() throws {
    var generator = SeededGenerator(seed: 369)
    for _ in 0..<60 {
      var (client, server) = (Self.client(), Self.server())
      var conversation = Conversation(.udp)
      for _ in 0..<40 {
        let byClient = generator.oneIn(2)
        var frames: [UInt8] = []
        for _ in 0..<Int.random(in: 1..<90, using: &generator) {
          let offset = Int.random(in: 0..<(generator.oneIn(9) ? 1 << 20 : 2000), using: &generator)
          var message = byClient ? Self.hello : Self.answer
          message[Int.random(in: 0..<message.count, using: &generator)] = UInt8(
            truncatingIfNeeded: generator.next())
          let start = min(offset, message.count - 1)
          let end = min(message.count, start + Int.random(in: 0..<40, using: &generator))
          frames += InitialSealer.crypto(Array(message[start..<end]), at: offset)
          if generator.oneIn(6) { frames += generator.bytes(3) }
        }
        frames = Array(frames.prefix(3900))
        if generator.oneIn(4) { client.destination = generator.bytes(8) }
        if generator.oneIn(8) { client.keyed = client.destination }
        let packet = byClient ? client.seal(frames) : server.seal(frames)
        conversation.send(generator.oneIn(5) ? packet + packet : packet, byClient: byClient)
      }
      _ = try run(conversation)
    }
  }

  /// A few bytes far behind the start: memory is taken for what came, not for what may come between.
  @Test func aFarOffsetTakesNoMemory() throws {
    func flows(_ count: Int, offset: Int) throws -> UInt64 {
      var frames: [CapturedFrame] = []
      for port in 0..<count {
        var conversation = Conversation(.udp, clientPort: UInt16(2000 + port))
        var client = Self.client()
        for step in 0..<3 {
          conversation.client(client.seal(InitialSealer.crypto([1, 2, 3, 4], at: offset + 10 * step)))
        }
        frames += conversation.frames
      }
      let run = try Capture(frames: frames).run(plugins: ["quic"], configuration: .small)
      #expect(run.records.count == count)
      #expect(run.records.allSatisfy { $0.number("cesnet:quicCHParsed") == 0 })
      return run.counters.slabFull
    }
    // The slab has 1 MiB: for each flow 512 bytes for its connection, and 2 KiB for the start of a stream; 8 KiB for its
    // whole would be too much for 200.
    #expect(try flows(200, offset: 7000) == 0)
    #expect(try flows(200, offset: 1) == 0)
    #expect(try flows(200, offset: 1 << 24) == 0)
  }

  /// The 33rd packet that might be opened is not, nor the fifth of a datagram.
  @Test func attemptsAreCounted() throws {
    var conversation = Conversation(.udp)
    for index in 0..<60 {
      // Opened by no keys, so that each is one attempt; but for the last, which has a hello.
      var packet = InitialSealer(to: [1, 2, 3, 4, 5, 6, 7, UInt8(index)])
      if index != 32 { packet.keyed = [0] }
      conversation.client(packet.seal(Self.crypto(Self.hello)))
    }
    var record = try #require(try run(conversation).first)
    #expect(record.number("cesnet:quicCHParsed") == 0)
    #expect(record["cesnet:quicPackets"] == .numbers(Array(repeating: 0x81, count: 30)))
    for closed in 3...4 {
      conversation = Conversation(.udp)
      var other = Self.client()
      other.keyed = [0]
      var client = Self.client()
      let packets = (0..<closed).flatMap { _ in other.seal([1]) } + client.seal(Self.crypto(Self.hello))
      conversation.client(packets)
      record = try #require(try run(conversation).first)
      #expect(record.number("cesnet:quicCHParsed") == (closed == 3 ? 1 : 0))
    }
  }
}
