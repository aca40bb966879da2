// mqtt: packets of versions 3.1, 3.1.1 and 5 made by hand, in whatever segments they come, and what is no MQTT.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct MQTTTests {
  // MARK: Packets

  private static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
    // The remaining length (MQTT 5 section 1.5.5).
    var length: [UInt8] = []
    var rest = body.count
    repeat {
      length.append(UInt8(rest % 128) | (rest >= 128 ? 0x80 : 0))
      rest /= 128
    } while rest > 0
    return [first] + length + body
  }

  private static func text(_ text: String) -> [UInt8] {
    [UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 255)] + Array(text.utf8)
  }

  private static func connect(
    _ name: String = "MQTT", level: UInt8 = 4, flags: UInt8 = 0xC2, rest: [UInt8] = text("client")
  ) -> [UInt8] {
    packet(0x10, text(name) + [level, flags, 0x01, 0x2C] + rest)
  }

  private static let acknowledgement: [UInt8] = [0x20, 2, 1, 0]
  private static let disconnect: [UInt8] = [0xE0, 0]

  private static func publish(_ topic: String, flags: UInt8 = 0, payload: Int = 5) -> [UInt8] {
    packet(0x30 | flags, text(topic) + [UInt8](repeating: 0x78, count: payload))
  }

  private struct Finding: Equatable {
    var types: Int
    var version = 4
    var flags = 0xC2
    var keepAlive = 300
    var code = 0
    var publishFlags = 0
    var topics = ""
  }

  private func finding(_ record: Record) -> Finding? {
    guard record["cesnet:mqttVersion"] != nil else { return nil }
    let numbers = [
      "TypeCumulative", "Version", "ConnectionFlags", "KeepAlive", "ConnectionReturnCode", "PublishFlags",
    ].map { Int(record.number("cesnet:mqtt\($0)")) }
    return Finding(
      types: numbers[0], version: numbers[1], flags: numbers[2], keepAlive: numbers[3], code: numbers[4],
      publishFlags: numbers[5], topics: record.text("cesnet:mqttTopics"))
  }

  /// The client's bytes and then the server's, in segments of `size`.
  private func run(
    _ client: [UInt8], _ server: [UInt8] = [], size: Int = 1400, topics: Int = 9, hasHandshake: Bool = true
  ) throws -> [Record] {
    var conversation = Conversation(.tcp, serverPort: 7777)
    if hasHandshake { conversation.handshake() }
    for start in stride(from: 0, to: client.count, by: size) {
      conversation.client(Array(client[start..<min(start + size, client.count)]))
    }
    for start in stride(from: 0, to: server.count, by: size) {
      conversation.server(Array(server[start..<min(start + size, server.count)]))
    }
    return try conversation.run(plugins: ["mqtt:topiccount=\(topics)"])
  }

  // MARK: What is found

  @Test func versionsAreKnown() throws {
    #expect(try finding(run(Self.connect("MQIsdp", level: 3))[0])?.version == 3)
    #expect(try finding(run(Self.connect())[0])?.version == 4)
    // Properties: receive maximum 20 (MQTT 5 section 3.1.2.11).
    #expect(
      try finding(run(Self.connect(level: 5, rest: [3, 0x21, 0, 20] + Self.text("c")))[0])?.version == 5)
    // A bridge of mosquitto.
    #expect(try finding(run(Self.connect(level: 0x84))[0])?.version == 4)
  }

  /// A connection with a CONNECT packet of more than 127 bytes; bits 1, 3, 8 from the client, 0, 2, 9 and 3 from the server.
  @Test(arguments: [1, 2, 3, 7, 50, 1400])
  func segmentsDoNotMatter(size: Int) throws {
    let client =
      Self.connect(rest: Self.text("client") + Self.text(String(repeating: "p", count: 300)))
      + Self.publish("a/b", flags: 1, payload: 200) + [0x82, 6, 0, 1, 0, 1, 0x61, 0]
      + Self.publish("", flags: 4)
    let server = Self.acknowledgement + [0x90, 3, 0, 1, 0] + Self.publish("c/d", flags: 8, payload: 20_000)
    for hasHandshake in [true, false] {
      let record = try run(client, server, size: size, hasHandshake: hasHandshake)[0]
      #expect(finding(record) == Finding(types: 0x30F, publishFlags: 13, topics: "a/b##c/d#"))
    }
  }

  @Test func topicsAreCounted() throws {
    let client = Self.connect() + ["one", "two", "three"].flatMap { Self.publish($0) }
    #expect(try finding(run(client, topics: 2)[0])?.topics == "one#two#")
    #expect(try finding(run(client, topics: 0)[0])?.topics == "")
    let long = Self.connect() + Self.publish(String(repeating: "x", count: 1000)) + Self.publish("y")
    #expect(try finding(run(long)[0])?.topics == "y#")
  }

  @Test func disorderDoesNotMatter() throws {
    var conversation = Conversation(.tcp, serverPort: 1883)
    conversation.handshake()
    let bytes = Self.connect() + Self.publish("topic")
    conversation.client(Array(bytes[30...]), sequence: 1031)
    conversation.client(Array(bytes[10..<30]), sequence: 1011)
    conversation.client(Array(bytes[..<10]), sequence: 1001)
    #expect(
      try finding(conversation.run(plugins: ["mqtt:topiccount=1"])[0])
        == Finding(types: 0xA, topics: "topic#"))
  }

  @Test func disconnectEndsTheRecord() throws {
    var conversation = Conversation(.tcp, serverPort: 1883)
    conversation.handshake()
    conversation.client(Self.connect())
    conversation.client(Self.disconnect)
    conversation.client(flags: 0x11)
    let records = try conversation.run(plugins: ["mqtt"])
    #expect(records.map { finding($0)?.types } == [0x4002, nil])
    #expect(records.map(\.packets) == [5, 1])
  }

  // MARK: What is not

  @Test(arguments: [
    "GET / HTTP/1.1\r\n", "\u{10}\u{10}\u{0}\u{4}MQTX\u{4}\u{2}\u{0}\u{3C}\u{0}\u{4}abcd",
    "\u{10}\u{10}\u{0}\u{4}MQTT\u{3}\u{2}\u{0}\u{3C}\u{0}\u{4}abcd", "\u{10}\u{5}\u{0}\u{4}MQT",
    "\u{10}\u{10}\u{0}\u{5}MQTTT\u{4}\u{2}\u{0}\u{3C}\u{0}\u{3}abc",
  ])
  func othersHaveNoFields(bytes: String) throws {
    #expect(try finding(run(Array(bytes.utf8))[0]) == nil)
    #expect(try finding(run(Self.publish("a") + Self.connect())[0]) == nil)
  }

  /// Lengths that reach beyond their packet, or have no end: the direction is not followed any more.
  @Test(arguments: [
    [0x30, 5, 0xFF, 0xFF, 1, 1, 1], [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0x30, 1, 0], [0x20, 0], [0, 0],
  ])
  func liesEndADirection(lie: [UInt8]) throws {
    let record = try run(Self.connect() + lie + Self.disconnect, Self.acknowledgement)[0]
    #expect(finding(record)?.types == 7)
  }

  /// What was not captured may be anything: what follows is not taken for packets.
  @Test func nothingIsGuessedBehindAGap() throws {
    var conversation = Conversation(.tcp, serverPort: 1883)
    conversation.handshake()
    conversation.client(Self.connect())
    conversation.client(Self.publish("a", payload: 50), captured: 10)
    conversation.client(Self.disconnect)
    conversation.server(Self.acknowledgement)
    #expect(try conversation.run(plugins: ["mqtt"]).map { finding($0)?.types } == [0xF])
  }
}
