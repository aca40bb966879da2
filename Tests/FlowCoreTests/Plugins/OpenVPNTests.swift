// ovpn: the handshake's steps, and random ones held against the description taken literally.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct OpenVPNTests {
  // MARK: Messages

  /// A packet of the handshake: who sends it, and what.
  private struct Step {
    var byClient: Bool
    var message: [UInt8]
  }

  private static func control(_ opcode: UInt8, length: Int = 14) -> [UInt8] {
    [opcode << 3] + [UInt8](repeating: 0xAA, count: length - 1)
  }

  /// A control packet whose TLS record begins at `offset` and is a handshake message of `type`.
  private static func hello(_ type: UInt8, at offset: Int) -> [UInt8] {
    control(4, length: offset) + [22, 3, 1, 0, 100, type] + [UInt8](repeating: 0, count: 100)
  }

  private static func data(_ length: Int) -> [UInt8] { control(9, length: length) }

  /// A whole handshake; `authenticated` for `tls-auth`.
  private static func handshake(authenticated: Bool = false, reset: (client: UInt8, server: UInt8) = (7, 8))
    -> [Step]
  {
    [
      Step(byClient: true, message: control(reset.client)),
      Step(byClient: false, message: control(reset.server, length: 26)),
      Step(byClient: true, message: control(5, length: 22)),
      Step(byClient: true, message: hello(1, at: authenticated ? 42 : 14)),
      Step(byClient: false, message: hello(2, at: authenticated ? 54 : 26)),
      Step(byClient: true, message: control(4, length: 50)),
    ]
  }

  /// Runs the steps, over TCP with the length before each; nil where the record has no confidence.
  private func confidence(
    _ steps: [Step], then data: Int = 0, _ transport: Conversation.Transport = .udp, captured: [Int]? = nil,
    isVersion6: Bool = false
  ) throws -> Int? {
    var conversation = Conversation(transport, isVersion6: isVersion6)
    let all = steps + [Step](repeating: Step(byClient: true, message: Self.data(100)), count: data)
    for (index, step) in all.enumerated() {
      let payload =
        (transport == .tcp ? FrameBuilder.word(UInt16(step.message.count)) : []) + step.message
      conversation.send(payload, captured: captured?[index], byClient: step.byClient)
    }
    let records = try conversation.run(plugins: ["ovpn"])
    try #require(records.count == 1)
    return records[0]["cesnet:OVPNConfLevel"] == nil ? nil : Int(records[0].number("cesnet:OVPNConfLevel"))
  }

  // MARK: Handshake

  @Test(arguments: [Conversation.Transport.udp, .tcp], [false, true])
  func handshakeIsRecognised(transport: Conversation.Transport, authenticated: Bool) throws {
    #expect(try confidence(Self.handshake(authenticated: authenticated), then: 15, transport) == 100)
    #expect(
      try confidence(Self.handshake(authenticated: authenticated), then: 15, transport, isVersion6: true)
        == 100)
  }

  @Test(arguments: [(1, 2), (7, 8), (10, 8), (1, 8)] as [(UInt8, UInt8)])
  func allResetsBeginIt(client: UInt8, server: UInt8) throws {
    #expect(try confidence(Self.handshake(reset: (client, server)), then: 15) == 100)
  }

  @Test func moreThanTwentyPacketsAreNeeded() throws {
    #expect(try confidence(Self.handshake(), then: 14) == 0)
    #expect(try confidence(Self.handshake(), then: 15) == 100)
  }

  @Test func upToFivePacketsSayNothing() throws {
    #expect(try confidence(Array(Self.handshake().prefix(5))) == nil)
    #expect(try confidence(Self.handshake()) == 0)
  }

  @Test(arguments: 0..<6)
  func everyStepIsNeeded(index: Int) throws {
    var steps = Self.handshake()
    steps.remove(at: index)
    #expect(try confidence(steps, then: 30) == 0)
  }

  /// The first packet only says who the client is, and the last may come from either side.
  @Test(arguments: 1..<5)
  func everyStepHasADirection(index: Int) throws {
    var steps = Self.handshake()
    steps[index].byClient.toggle()
    #expect(try confidence(steps, then: 30) == 0)
  }

  @Test func theServerMayBeTheFlowsSource() throws {
    let steps = Self.handshake().map { Step(byClient: !$0.byClient, message: $0.message) }
    #expect(try confidence(steps, then: 15) == 100)
    let late = [Step(byClient: false, message: Self.data(100))] + Self.handshake()
    #expect(try confidence(late, then: 15) == 100)
  }

  @Test func anAcknowledgementServesAsLastStep() throws {
    var steps = Self.handshake()
    steps[5] = Step(byClient: false, message: Self.control(5))
    #expect(try confidence(steps, then: 15) == 100)
  }

  @Test func aSoftResetChangesNothing() throws {
    let soft = Step(byClient: true, message: Self.control(3))
    #expect(try confidence(Self.handshake() + [soft], then: 15) == 100)
  }

  @Test func aClientsResetBeginsAgain() throws {
    let again = Self.handshake() + [Step(byClient: true, message: Self.control(7))]
    #expect(try confidence(again, then: 15) == 0)
    #expect(try confidence(again + Self.handshake(), then: 15) == 100)
  }

  @Test func packetsWithoutProgressEndTheHandshake() throws {
    let noise = Step(byClient: true, message: [0, 0, 0])
    let steps = Self.handshake()
    func interrupted(by count: Int, after: Int) -> [Step] {
      Array(steps[..<after]) + [Step](repeating: noise, count: count) + Array(steps[after...])
    }
    for after in 1..<6 {
      #expect(try confidence(interrupted(by: 4, after: after), then: 15) == 100)
      #expect(try confidence(interrupted(by: 5, after: after), then: 15) == 0)
    }
    // A control packet out of place counts twice.
    let misplaced = Step(byClient: true, message: Self.control(4))
    let twice = Array(steps[..<1]) + [misplaced, misplaced] + Array(steps[1...])
    #expect(try confidence(twice, then: 15) == 100)
    let thrice = Array(steps[..<1]) + [misplaced, misplaced, misplaced] + Array(steps[1...])
    #expect(try confidence(thrice, then: 15) == 0)
  }

  // MARK: Share of data

  @Test func withoutAHandshakeLargeDataDecides() throws {
    func mixed(data: Int, other: Int, length: Int = 501) -> [Step] {
      [Step](repeating: Step(byClient: true, message: Self.data(length)), count: data)
        + [Step](repeating: Step(byClient: true, message: Self.control(31, length: length)), count: other)
    }
    #expect(try confidence(mixed(data: 20, other: 0)) == 0)
    #expect(try confidence(mixed(data: 21, other: 0)) == 80)
    #expect(try confidence(mixed(data: 15, other: 10)) == 48)
    #expect(try confidence(mixed(data: 14, other: 10)) == 0)
    #expect(try confidence(mixed(data: 20, other: 3)) == 69)
    #expect(try confidence(mixed(data: 30, other: 0, length: 500)) == 0)
  }

  @Test func realTimeMediaIsNoData() throws {
    // 0x80 is version 2 of RTP; read as an opcode it is 16, and data's opcodes have the top bits 0 and 1.
    let media = [0x80, 96] + [UInt8](repeating: 0, count: 600)
    let steps =
      [Step](repeating: Step(byClient: true, message: media), count: 30)
      + [Step](repeating: Step(byClient: true, message: Self.data(600)), count: 21)
    #expect(try confidence(steps) == 80)
    // Payload types 72 to 95 are RTCP's, so that these are large packets which are not data.
    for (type, expected) in [(71, 80), (72, 0), (95, 0), (96, 80)] as [(UInt8, Int)] {
      let steps = steps.map {
        Step(
          byClient: true,
          message: $0.message[0] == 0x80 ? [0x80, 0x80 | type] + $0.message.dropFirst(2) : $0.message)
      }
      #expect(try confidence(steps) == expected)
    }
  }

  @Test func otherProtocolsHaveNoOpcodes() throws {
    let frame = FrameBuilder.ethernet(0x0800, FrameBuilder.ipv4(47, Self.data(600)))
    let frames = (0..<30).map { CapturedFrame(bytes: frame, wire: frame.count, time: 1_000_000_000 + $0) }
    let records = try Capture(frames: frames).run(plugins: ["ovpn"], configuration: .small).records
    #expect(records.map { $0.number("cesnet:OVPNConfLevel") } == [0])
  }

  // MARK: Against the description

  /// The description, word for word: `s` is the stage, `b` the packets without progress.
  private struct Model {
    var s = 0
    var b = 0
    var clientIsForward = false
    var large = 0
    var data = 0
    var packets = 0

    mutating func see(_ transport: Conversation.Transport, forward: Bool, captured p: [UInt8], length: Int) {
      packets += 1
      if transport == .udp ? p.isEmpty : p.count < 2 { return }
      let at = transport == .udp ? 0 : 2
      let opcode = at < p.count ? p[at] >> 3 : 0
      let isRTP =
        transport == .udp && p.count >= 12 && p[0] >> 6 == 2 && !(72...95).contains(p[1] & 0x7F)
      func has(_ value: UInt8, _ offset: Int) -> Bool { at + offset < p.count && p[at + offset] == value }
      let clientHello = has(0x16, 14) && has(1, 19) || has(0x16, 42) && has(1, 47)
      let serverHello = has(0x16, 26) && has(2, 31) || has(0x16, 54) && has(2, 59)
      let fromClient = forward == clientIsForward
      switch opcode {
      case 1, 7, 10: (s, b, clientIsForward) = (1, -1, forward)
      case 2, 8:
        if s == 1, !fromClient {
          (s, b) = (2, -1)
        } else {
          b += 1
          if b == 4 { s = 0 }
        }
      case 5:
        if s == 2, fromClient { (s, b) = (3, -1) } else if s == 5 || s == 6 { (s, b) = (6, -1) }
      case 4:
        if s == 3, fromClient, clientHello {
          (s, b) = (4, -1)
        } else if s == 4, !fromClient, serverHello {
          (s, b) = (5, -1)
        } else if s == 5 || s == 6 {
          (s, b) = (6, -1)
        } else {
          b += 1
          if b == 4 { s = 0 }
        }
      case 6, 9:
        if s == 6 || s == 7 { (s, b) = (7, -1) }
        if length > 500, !isRTP { data += 1 }
      default: break
      }
      if length > 500, !isRTP { large += 1 }
      if b >= 4 { (s, b) = (0, -1) }
      b += 1
    }

    var confidence: Int? {
      if packets <= 5 { return nil }
      if packets > 20, s == 7 { return 100 }
      if large > 20, Double(data) / Double(large) >= 0.6 {
        return Int((80 * Double(data) / Double(large)).rounded(.down))
      }
      return 0
    }
  }

  @Test(arguments: [Conversation.Transport.udp, .tcp])
  func randomHandshakesMatchTheDescription(transport: Conversation.Transport) throws {
    var random = SeededGenerator(seed: transport == .udp ? 1 : 2)
    var seen: [Int?: Int] = [:]
    for _ in 0..<400 {
      var conversation = Conversation(transport)
      var model = Model()
      let script = Self.handshake(authenticated: .random(using: &random))
      let noise = [0, 2, 10, 30].randomElement(using: &random)!
      let smallest = Bool.random(using: &random) ? 1 : 450
      var position = 0
      for number in 0..<Int.random(in: 1...60, using: &random) {
        var step = Step(byClient: true, message: Self.data(.random(in: smallest...700, using: &random)))
        if Int.random(in: 0..<100, using: &random) < noise {
          step.message = Self.control(.random(in: 0..<32, using: &random), length: 60)
          step.byClient = .random(using: &random)
          if step.message[0] >> 3 == 7 { position = 1 }
        } else if position < script.count {
          step = script[position]
          position += 1
        }
        if number == 0 { step.byClient = true }
        let payload = (transport == .tcp ? [0, 0] : []) + step.message
        let captured =
          Int.random(in: 0..<10, using: &random) == 0
          ? Int.random(in: 0...payload.count, using: &random) : payload.count
        conversation.send(payload, captured: captured, byClient: step.byClient)
        model.see(
          transport, forward: step.byClient, captured: Array(payload.prefix(captured)), length: payload.count)
      }
      let records = try conversation.run(plugins: ["ovpn"])
      try #require(records.count == 1)
      let confidence =
        records[0]["cesnet:OVPNConfLevel"] == nil ? nil : Int(records[0].number("cesnet:OVPNConfLevel"))
      #expect(confidence == model.confidence)
      seen[confidence, default: 0] += 1
    }
    // The run is worth something only if all outcomes occurred.
    #expect(seen[nil] != nil && seen[0] != nil && seen[100] != nil && seen.count > 3)
  }

  // MARK: Hostile input

  /// Every message cut at every length, over both transports; TCP payloads of two bytes are ipfixprobe's error.
  @Test(arguments: [Conversation.Transport.udp, .tcp])
  func everyTruncationSurvives(transport: Conversation.Transport) throws {
    for step in Self.handshake() + Self.handshake(authenticated: true) {
      var conversation = Conversation(transport)
      for length in 0...(step.message.count + 2) {
        conversation.client([0, 0] + step.message, captured: length)
        conversation.server(Array(([0, 0] + step.message).prefix(length)))
      }
      #expect(try conversation.run(plugins: ["ovpn"]).count == 1)
    }
  }

  @Test func randomBytesSurvive() throws {
    var random = SeededGenerator(seed: 3)
    for transport in [Conversation.Transport.udp, .tcp] {
      var conversation = Conversation(transport)
      var model = Model()
      for _ in 0..<3000 {
        var payload = random.bytes(.random(in: 0...80, using: &random))
        if Bool.random(using: &random), payload.count > 2 { payload[0] &= 0x7F }
        let byClient = conversation.frames.isEmpty || .random(using: &random)
        conversation.send(payload, byClient: byClient)
        model.see(transport, forward: byClient, captured: payload, length: payload.count)
      }
      let records = try conversation.run(plugins: ["ovpn"])
      #expect(records.map { Int($0.number("cesnet:OVPNConfLevel")) } == [model.confidence])
    }
  }
}
