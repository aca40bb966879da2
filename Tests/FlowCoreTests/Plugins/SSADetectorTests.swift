// ssadetector: its thresholds one by one, and random flows held against the description taken literally.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct SSADetectorTests {
  /// The result of a flow; nil where the record has none.
  private func level(_ conversation: Conversation, _ configuration: FlowConfiguration = .small)
    throws
    -> Int?
  {
    let records = try conversation.run(plugins: ["ssadetector"], configuration: configuration)
    try #require(records.count == 1)
    return records[0]["cesnet:ssaConfLevel"] == nil ? nil : Int(records[0].number("cesnet:ssaConfLevel"))
  }

  /// A flow whose first 29 packets, all without payload, were sent.
  private func started(_ transport: Conversation.Transport = .udp) -> Conversation {
    var conversation = Conversation(transport)
    for _ in 0..<29 { conversation.client(flags: 0x10) }
    return conversation
  }

  private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  // MARK: Thresholds

  @Test func threePairsAreNeeded() throws {
    for isVersion6 in [false, true] {
      for pairs in 1...5 {
        var conversation = started()
        conversation.isVersion6 = isVersion6
        if isVersion6 {
          conversation = Conversation(.udp, isVersion6: true)
          for _ in 0..<29 { conversation.client() }
        }
        for _ in 0..<pairs {
          conversation.client(zeros(80))
          conversation.server(zeros(80))
        }
        #expect(try level(conversation) == (pairs >= 3 ? 1 : 0))
      }
    }
  }

  @Test func theFirst29PacketsDoNotCount() throws {
    var conversation = Conversation(.udp)
    for _ in 0..<28 { conversation.client() }
    // The 29th is not noted, so that the first answer finds nothing.
    conversation.client(zeros(80))
    conversation.server(zeros(80))
    for _ in 0..<2 {
      conversation.client(zeros(80))
      conversation.server(zeros(80))
    }
    #expect(try level(conversation) == 0)
    // The server's packet that found nothing was the 30th, and was noted: the client's next one answered it.
    conversation.client(zeros(80))
    #expect(try level(conversation) == 1)
  }

  @Test func upToThirtyPacketsSayNothing() throws {
    var conversation = started()
    #expect(try level(conversation) == nil)
    conversation.client(zeros(80))
    #expect(try level(conversation) == nil)
    conversation.server(zeros(80))
    #expect(try level(conversation) == 0)
  }

  /// The answer is at most 12 bytes longer, never shorter; both have 60 to 150 bytes.
  @Test(
    arguments: [
      (80, 80, 1), (80, 92, 1), (80, 93, 0), (80, 79, 0), (60, 60, 1), (60, 72, 1), (59, 60, 0), (60, 59, 0),
      (150, 150, 1), (138, 150, 1), (137, 150, 0), (150, 151, 0), (140, 151, 0), (60, 73, 0),
    ])
  func lengthsMustFit(question: Int, answer: Int, expected: Int) throws {
    // The second packet may also be the question for the third one's answer: two seconds apart and then a long pause
    // keep the pairs from mixing.
    for clientFirst in [true, false] {
      var conversation = started()
      for _ in 0..<5 {
        conversation.send(zeros(question), byClient: clientFirst)
        conversation.send(zeros(answer), byClient: !clientFirst)
        conversation.time += 4_000_000_000
      }
      #expect(try level(conversation) == expected)
    }
  }

  @Test func theSameDirectionIsNoAnswer() throws {
    var conversation = started()
    for _ in 0..<20 { conversation.client(zeros(80)) }
    #expect(try level(conversation) == 0)
  }

  @Test func anAnswerComesWithinThreeSeconds() throws {
    for (gap, expected) in [(2_999_999_999, 1), (3_000_000_000, 1), (3_000_000_001, 0)] as [(UInt64, Int)] {
      var conversation = started()
      for _ in 0..<3 {
        conversation.client(zeros(80))
        conversation.time += gap - conversation.pace
        conversation.server(zeros(80))
        conversation.time += 4_000_000_000
      }
      #expect(try level(conversation) == expected)
    }
  }

  @Test func aPairForgetsWhatWasNoted() throws {
    // Three questions and three answers at once are one pair: the first answer forgets the other questions, the second
    // is noted as a question, which the next client's packet answers.
    var conversation = started()
    for _ in 0..<3 { conversation.client(zeros(80)) }
    for _ in 0..<3 { conversation.server(zeros(80)) }
    conversation.client(zeros(80))
    #expect(try level(conversation) == 0)
    conversation.server(zeros(80))
    conversation.client(zeros(80))
    #expect(try level(conversation) == 1)
  }

  @Test func atMost2500PacketsForEachPair() throws {
    for (packets, expected) in [(7500, 1), (7501, 0)] {
      var conversation = started()
      conversation.pace = 1000
      for _ in 0..<3 {
        conversation.client(zeros(80))
        conversation.server(zeros(80))
      }
      for _ in 0..<packets - 35 { conversation.client() }
      #expect(try level(conversation) == expected)
    }
  }

  /// Pairs, how many different lengths they have, and the result.
  @Test(
    arguments: [
      (5, 3, 1), (5, 4, 0), (3, 1, 1), (3, 2, 0), (14, 8, 1), (14, 9, 0), (15, 6, 1), (15, 7, 0), (39, 15, 1),
      (39, 16, 0), (40, 8, 1), (40, 9, 0), (100, 20, 1), (100, 21, 0), (300, 20, 1), (300, 21, 0),
      (300, 91, 0),
    ])
  func lengthsMustBeFew(pairs: Int, lengths: Int, expected: Int) throws {
    var conversation = started()
    for pair in 0..<pairs {
      conversation.client(zeros(60 + pair % lengths))
      conversation.server(zeros(60 + pair % lengths))
    }
    #expect(try level(conversation) == expected)
  }

  @Test func onlyTheFirst100PairsHaveLengths() throws {
    var conversation = started()
    for pair in 0..<190 {
      let length = pair < 100 ? 60 : 60 + pair - 100
      conversation.client(zeros(length))
      conversation.server(zeros(length))
    }
    #expect(try level(conversation) == 1)
  }

  @Test func withoutMemoryItGoesWithout() throws {
    var configuration = FlowConfiguration.small
    configuration.slabBytes = 128
    var conversation = started()
    for _ in 0..<10 {
      conversation.client(zeros(80))
      conversation.server(zeros(80))
    }
    #expect(try level(conversation, configuration) == 0)
    #expect(
      try conversation.capture.run(plugins: ["ssadetector"], configuration: configuration).counters.slabFull
        == 1)
  }

  // MARK: Against the description

  /// The description, word for word.
  private struct Model {
    var packets = 0
    var noted: [Bool: [(length: Int, time: UInt64)]] = [:]
    var suspects = 0
    var lengths: [Int] = []

    mutating func see(forward: Bool, captured: Int, time: UInt64) {
      packets += 1
      guard packets >= 30, (60...150).contains(captured) else { return }
      let isAnswer = noted[!forward, default: []].contains {
        ($0.time >= time || time - $0.time <= 3_000_000_000)
          && (captured - 12...captured).contains($0.length)
      }
      if isAnswer {
        suspects += 1
        if lengths.count < 100 { lengths.append(captured) }
        noted = [:]
      } else {
        // A length's newer packet takes the place of the older one.
        noted[forward, default: []].removeAll { $0.length == captured }
        noted[forward, default: []].append((captured, time))
      }
    }

    var level: Int? {
      if packets <= 30 { return nil }
      guard suspects >= 3, Double(packets) / Double(suspects) <= 2500 else { return 0 }
      let ratio = Double(Set(lengths).count) / Double(lengths.count)
      return ratio <= (suspects < 15 ? 0.6 : suspects < 40 ? 0.4 : 0.2) ? 1 : 0
    }
  }

  @Test func randomFlowsMatchTheDescription() throws {
    var random = SeededGenerator(seed: 5)
    var seen: [Int?: Int] = [:]
    for _ in 0..<400 {
      var conversation = Conversation(Bool.random(using: &random) ? .udp : .tcp)
      var model = Model()
      let count = [20, 31, 60, 100, 200, 400].randomElement(using: &random)!
      let lowest = [50, 60, 80, 140].randomElement(using: &random)!
      let spread = [0, 1, 3, 8, 13, 20, 110].randomElement(using: &random)!
      // A forward majority leaves many notes; long paces let them grow old; some times step back.
      let forward = [50, 80, 95].randomElement(using: &random)!
      conversation.pace = [1_000_000, 700_000_000, 1_500_000_000].randomElement(using: &random)!
      for number in 0..<count {
        let byClient = number == 0 || Int.random(in: 0..<100, using: &random) < forward
        let payload = zeros(.random(in: lowest...lowest + spread, using: &random))
        let captured =
          Int.random(in: 0..<20, using: &random) == 0
          ? Int.random(in: 0...payload.count, using: &random) : payload.count
        if Int.random(in: 0..<50, using: &random) == 0 { conversation.time -= 500_000_000 }
        model.see(forward: byClient, captured: captured, time: conversation.time)
        conversation.send(payload, flags: 0x10, captured: captured, byClient: byClient)
      }
      var configuration = FlowConfiguration.small
      configuration.activeTimeout = 3_600_000_000_000
      let level = try level(conversation, configuration)
      #expect(level == model.level)
      seen[level, default: 0] += 1
    }
    #expect([nil, 0, 1].allSatisfy { seen[$0, default: 0] >= 20 }, "\(seen)")
  }

  @Test func randomBytesSurvive() throws {
    var random = SeededGenerator(seed: 6)
    for transport in [Conversation.Transport.udp, .tcp] {
      var conversation = Conversation(transport)
      for _ in 0..<2000 {
        let payload = random.bytes(.random(in: 0...200, using: &random))
        conversation.send(
          payload, flags: 0x10, captured: .random(in: 0...200, using: &random),
          byClient: .random(using: &random))
      }
      #expect(try level(conversation) != nil)
    }
  }
}
