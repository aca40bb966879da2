// wg: the four messages, what they say of the two indexes, and when a record ends because of them.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct WireGuardTests {
  private static func littleEndian(_ index: UInt32) -> [UInt8] { FrameBuilder.word(index.byteSwapped) }

  private static func initiation(_ sender: UInt32) -> [UInt8] {
    [1, 0, 0, 0] + littleEndian(sender) + [UInt8](repeating: 0x55, count: 140)
  }

  private static func response(_ sender: UInt32, to receiver: UInt32) -> [UInt8] {
    [2, 0, 0, 0] + littleEndian(sender) + littleEndian(receiver) + [UInt8](repeating: 0x55, count: 80)
  }

  private static func cookie(to receiver: UInt32) -> [UInt8] {
    [3, 0, 0, 0] + littleEndian(receiver) + [UInt8](repeating: 0x55, count: 56)
  }

  private static func data(to receiver: UInt32, length: Int = 32) -> [UInt8] {
    [4, 0, 0, 0] + littleEndian(receiver) + [UInt8](repeating: 0x55, count: length - 8)
  }

  /// What a record says of WireGuard.
  private struct Finding: Equatable {
    var confidence: Int
    var source: UInt32
    var destination: UInt32
  }

  private func finding(_ record: Record) -> Finding? {
    guard record["cesnet:WGConfLevel"] != nil else { return nil }
    return Finding(
      confidence: Int(record.number("cesnet:WGConfLevel")),
      source: UInt32(record.number("cesnet:WGSrcPeer")),
      destination: UInt32(record.number("cesnet:WGDstPeer")))
  }

  private func run(_ packets: [(byClient: Bool, payload: [UInt8])], isVersion6: Bool = false) throws
    -> [Record]
  {
    var conversation = Conversation(.udp, serverPort: 51820, isVersion6: isVersion6)
    for packet in packets { conversation.send(packet.payload, byClient: packet.byClient) }
    return try conversation.run(plugins: ["wg"])
  }

  private func findings(_ packets: [(byClient: Bool, payload: [UInt8])]) throws -> [Finding?] {
    try run(packets).map(finding)
  }

  // MARK: Messages

  @Test func eachMessageNamesIndexes() throws {
    #expect(
      try findings([(true, Self.initiation(0x1234_5678))])
        == [Finding(confidence: 100, source: 0x1234_5678, destination: 0)])
    #expect(
      try findings([(true, Self.response(7, to: 9))])
        == [Finding(confidence: 100, source: 7, destination: 9)])
    #expect(
      try findings([(true, Self.cookie(to: 9))]) == [Finding(confidence: 100, source: 0, destination: 9)])
    #expect(
      try findings([(true, Self.data(to: 9))]) == [Finding(confidence: 100, source: 0, destination: 9)])
  }

  @Test func theReverseDirectionExchangesThem() throws {
    let first = (true, Self.data(to: 9))
    #expect(
      try findings([first, (false, Self.data(to: 7))])
        == [Finding(confidence: 100, source: 7, destination: 9)])
    #expect(
      try findings([first, (false, Self.cookie(to: 7))])
        == [Finding(confidence: 100, source: 7, destination: 9)])
    #expect(
      try findings([(true, Self.initiation(7)), (false, Self.response(9, to: 7))])
        == [Finding(confidence: 100, source: 7, destination: 9)])
    #expect(
      try findings([(true, Self.data(to: 9)), (false, Self.initiation(9))])
        == [Finding(confidence: 100, source: 0, destination: 9)])
  }

  @Test func aWholeSessionIsOneRecord() throws {
    for isVersion6 in [false, true] {
      let records = try run(
        [
          (true, Self.initiation(7)), (false, Self.response(9, to: 7)), (true, Self.data(to: 9)),
          (false, Self.data(to: 7, length: 1452)), (true, Self.initiation(7)),
        ], isVersion6: isVersion6)
      #expect(records.map(finding) == [Finding(confidence: 100, source: 7, destination: 9)])
    }
  }

  // MARK: What is not WireGuard

  @Test func lengthAndZerosMustFit() throws {
    let messages = [
      Self.initiation(7), Self.response(7, to: 9), Self.cookie(to: 9), Self.data(to: 9),
    ]
    for message in messages.prefix(3) {
      #expect(try findings([(true, message + [0])]) == [nil])
      #expect(try findings([(true, Array(message.dropLast()))]) == [nil])
    }
    #expect(try findings([(true, Array(messages[3].dropLast()))]) == [nil])
    for message in messages {
      for index in 1...3 {
        var message = message
        message[index] = 1
        #expect(try findings([(true, message)]) == [nil])
      }
      for type: UInt8 in [0, 5, 0x84, 0xFF] {
        var message = message
        message[0] = type
        #expect(try findings([(true, message)]) == [nil])
      }
    }
  }

  @Test func onlyTheFirstPacketMakesItWireGuard() throws {
    #expect(try findings([(true, [1, 2, 3]), (true, Self.initiation(7))]) == [nil])
    #expect(try findings([(true, []), (true, Self.initiation(7))]) == [nil])
    var conversation = Conversation(.tcp)
    conversation.client(Self.initiation(7))
    #expect(try conversation.run(plugins: ["wg"]).map(finding) == [nil])
  }

  @Test func aPacketThatDoesNotFitEndsIt() throws {
    // The indexes stay, and neither they nor the confidence change any more; nor does an initiation begin a record.
    #expect(
      try findings([
        (true, Self.initiation(7)), (false, [1, 2, 3]), (false, Self.response(9, to: 8)),
        (true, Self.initiation(6)),
      ]) == [Finding(confidence: 0, source: 7, destination: 0)])
  }

  @Test func whatMayBeNameServiceIsUncertain() throws {
    // As bytes 00 01 00 00: a query with one question.
    let alike: UInt32 = 0x0000_0100
    #expect(
      try findings([(true, Self.data(to: alike))])
        == [Finding(confidence: 1, source: 0, destination: alike)])
    #expect(
      try findings([(true, Self.data(to: alike)), (true, Self.data(to: 9))])
        == [Finding(confidence: 100, source: 0, destination: 9)])
    #expect(
      try findings([(true, Self.data(to: 9)), (true, Self.data(to: alike))])
        == [Finding(confidence: 1, source: 0, destination: alike)])
  }

  // MARK: New sessions

  @Test func anotherIndexBeginsARecord() throws {
    let records = try run([
      (true, Self.initiation(7)), (false, Self.response(9, to: 7)), (true, Self.initiation(8)),
      (false, Self.response(10, to: 8)),
    ])
    #expect(
      records.map(finding) == [
        Finding(confidence: 100, source: 7, destination: 9),
        Finding(confidence: 100, source: 8, destination: 10),
      ])
    #expect(records.map { $0.number("iana:flowEndReason") } == [4, 4])
    #expect(records.map { $0.number("iana:packetDeltaCount") } == [1, 1])
    #expect(records.map { $0.number("iana@reverse:packetDeltaCount") } == [1, 1])
    // The second begins when the first ended, not with its own packet.
    #expect(records[1].text("iana:flowStartMicroseconds") == records[0].text("iana:flowEndMicroseconds"))
  }

  @Test func aRecordMayBeginWithTheOtherSidesPacket() throws {
    let records = try run([
      (true, Self.initiation(7)), (false, Self.response(9, to: 7)), (false, Self.initiation(11)),
      (true, Self.response(12, to: 11)),
    ])
    #expect(
      records.map(finding) == [
        Finding(confidence: 100, source: 7, destination: 9),
        Finding(confidence: 100, source: 12, destination: 11),
      ])
    // Same direction as before: its first packet is counted in reverse.
    #expect(records[1].text("iana:sourceIPv4Address") == "192.0.2.1")
    #expect(records[1].text("iana:sourceMacAddress") == "02:00:00:00:00:01")
    let only = try run([
      (true, Self.initiation(7)), (false, Self.data(to: 7)), (false, Self.initiation(3)),
      (false, Self.initiation(4)),
    ])
    #expect(only.map { $0.number("iana:packetDeltaCount") } == [1, 0])
    #expect(only.map { $0.number("iana@reverse:packetDeltaCount") } == [2, 1])
    #expect(
      only.map(finding) == [
        Finding(confidence: 100, source: 7, destination: 3),
        Finding(confidence: 100, source: 0, destination: 4),
      ])
  }

  @Test func anUnknownIndexIsNoOtherOne() throws {
    #expect(
      try findings([(true, Self.initiation(0)), (true, Self.initiation(7))])
        == [Finding(confidence: 100, source: 7, destination: 0)])
    #expect(
      try findings([(true, Self.initiation(7)), (true, Self.initiation(0))]) == [
        Finding(confidence: 100, source: 7, destination: 0),
        Finding(confidence: 100, source: 0, destination: 0),
      ])
  }

  @Test func everyInitiationMayBeginARecord() throws {
    let records = try run((1...100).map { (true, Self.initiation($0)) })
    #expect(records.map { $0.number("cesnet:WGSrcPeer") } == (1...100).map(Double.init))
  }

  // MARK: Hostile input

  @Test func everyTruncationSurvives() throws {
    for message in [Self.initiation(7), Self.response(7, to: 9), Self.cookie(to: 9), Self.data(to: 9)] {
      for length in 0...message.count {
        // Cut by the sender.
        let short = try run([(true, Array(message.prefix(length))), (true, Self.initiation(8))])
        #expect((finding(short[0]) != nil) == (length == message.count))
        // Cut by the capture: the headers still tell the length.
        var conversation = Conversation(.udp)
        conversation.client(message, captured: length)
        conversation.server(message, captured: length)
        let records = try conversation.run(plugins: ["wg"])
        #expect((finding(records[0]) != nil) == (length >= 32))
      }
    }
  }

  @Test func randomMessagesSurvive() throws {
    var random = SeededGenerator(seed: 4)
    for _ in 0..<50 {
      var packets: [(Bool, [UInt8])] = [(true, Self.initiation(1))]
      for _ in 0..<100 {
        let length = [0, 7, 31, 32, 64, 92, 148, 1400].randomElement(using: &random)!
        var payload = random.bytes(length)
        if length > 3, Int.random(in: 0..<20, using: &random) > 0 {
          payload.replaceSubrange(0..<4, with: [.random(in: 1...4, using: &random), 0, 0, 0])
        }
        packets.append((.random(using: &random), payload))
      }
      let records = try run(packets)
      let counted = records.reduce(0) {
        $0 + $1.number("iana:packetDeltaCount") + $1.number("iana@reverse:packetDeltaCount")
      }
      #expect(counted == 101)
    }
  }
}
