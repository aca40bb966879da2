// Options templates and records, read back by the decoder: RFC 7011 sections 3.4.2 and 4, RFC 5610.
import IPFIXDecoding
import TestSupport
import Testing

@testable import IPFIX

@Suite struct OptionsTests {
  /// The numbers of IANA's registry "IPFIX Information Elements".
  private static let enterpriseNumber: UInt16 = 346
  private static let elementIdentifier: UInt16 = 303
  private static let name: UInt16 = 341

  private func configuration(flowKeys: [InformationElement] = []) -> MessageStream.Configuration {
    var configuration = MessageStream.Configuration()
    configuration.flowKeys = flowKeys
    return configuration
  }

  private func decode(_ stream: inout MessageStream) throws -> [DecodedMessage] {
    var decoder = MessageDecoder(model: Sample.model)
    return try stream.takeMessages().map { try decoder.decode($0) }
  }

  private func number(_ record: DecodedRecord, _ element: UInt16) -> UInt64? {
    switch record[element] {
    case .octets(let bytes)?: bytes.reduce(0) { $0 << 8 | UInt64($1) }
    case .unsigned(let value)?: value
    default: nil
    }
  }

  private func text(_ record: DecodedRecord, _ element: UInt16, _ enterprise: UInt32 = 0) -> String? {
    guard case .octets(let bytes)? = record[element, enterprise] else { return nil }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  @Test("an options template, octet by octet")
  func octets() {
    // RFC 7011 section 3.4.2.2: template id, field count, scope field count, then scope fields and fields.
    let template = Template(
      identifier: 258,
      fields: [
        FieldSpecifier(identifier: 149, length: 4),
        FieldSpecifier(identifier: 20, length: 2, enterpriseNumber: 32473),
        FieldSpecifier(identifier: 41, length: 8),
      ], scopeCount: 2)
    #expect(template.record == bytes("0102 0003 0002 0095 0004 8014 0002 00007ED9 0029 0008"))
  }

  @Test("a record of each kind, octet by octet where a standard fixes it")
  func kinds() throws {
    var stream = MessageStream()
    let records: [OptionsRecord] = [
      .elementType(Sample.serverName, enterpriseNumber: 8057), .flowKeys(template: 300, indicator: 0b110),
      .exportStatistics(
        domain: 7, process: 2, observedFlows: 9, messages: 3, flowRecords: 1 << 40, octets: 5),
      .meteringReliability(domain: 7, process: 2, packets: 1, octets: 60, first: 1000, last: 2000),
      .exportingReliability(process: 2, flows: 4, first: 1, last: 2),
      .receiveQueue(interface: 5, queue: 3, packets: 77), .port(interface: 5, dropped: 6),
      .timeouts(process: 2, active: 300, idle: 70000), .selector(1, interval: 1, space: 99),
      .selector(1, size: 1, population: 100), .flowSelector(1, probability: 0.25),
      .filter(2, expression: "tcp port 443"),
      .interface(5, name: "net_pcap0"),
      .interfaceDescription(domain: 7, 5, "é" + String(repeating: "x", count: 80)),
    ]
    #expect(records.map(\.kind) == OptionsKind.allCases)
    for record in records { stream.report(record) }
    let messages = try decode(&stream)
    let templates = messages.flatMap(\.optionsTemplates)
    #expect(templates.map(\.scopeCount) == OptionsKind.allCases.map(\.scopeCount))
    #expect(templates.map(\.identifier) == (258..<272).map { UInt16($0) })
    let options = messages.flatMap(\.options)
    #expect(options.count == records.count && messages.allSatisfy { $0.records.isEmpty })
    #expect(number(options[0], 346) == 8057 && number(options[0], 303) == 808)
    // RFC 5610 section 3.1: string is 13. The sample has default semantics and no unit.
    #expect(number(options[0], 339) == 13 && number(options[0], 344) == 0 && number(options[0], 345) == 0)
    #expect(text(options[0], Self.name) == "TLSSNI" && number(options[0], 343) == 0)
    #expect(number(options[1], 145) == 300 && number(options[1], 173) == 6)
    #expect(number(options[2], 149) == 7 && number(options[2], 143) == 2 && number(options[2], 163) == 9)
    #expect(number(options[2], 41) == 3 && number(options[2], 42) == 1 << 40 && number(options[2], 40) == 5)
    #expect(number(options[3], 164) == 1 && number(options[3], 165) == 60)
    #expect(options[3][152] == .time(1_000_000_000) && number(options[3], 153) == 2000)
    #expect(number(options[4], 144) == 2 && number(options[4], 166) == 4)
    #expect(number(options[5], 10) == 5 && number(options[5], 86) == 77)
    #expect(options[5][20, 32473] == .octets([0, 3]))
    #expect(number(options[6], 135) == 6)
    #expect(number(options[7], 36) == 300 && number(options[7], 37) == 65535)
    #expect(number(options[8], 304) == 1 && number(options[8], 305) == 1 && number(options[8], 306) == 99)
    #expect(number(options[9], 304) == 3 && number(options[9], 309) == 1 && number(options[9], 310) == 100)
    #expect(number(options[10], 390) == 4)
    // IANA "PSAMP Parameters": 5 is property match filtering.
    #expect(number(options[11], 302) == 2 && number(options[11], 304) == 5)
    #expect(text(options[11], 21, 32473) == "tcp port 443")
    #expect(text(options[12], 82) == "net_pcap0")
    #expect(text(options[13], 83) == "é" + String(repeating: "x", count: 62))
    #expect(stream.counters.options == 14 && stream.counters.records == 0 && stream.counters.templates == 14)
  }

  @Test("an expression that is too long says so, and is cut between characters")
  func longFilter() throws {
    var stream = MessageStream()
    stream.report(.filter(2, expression: String(repeating: "a", count: 256)))
    stream.report(.filter(2, expression: String(repeating: "a", count: 257)))
    let options = try decode(&stream).flatMap(\.options)
    #expect(text(options[0], 21, 32473) == String(repeating: "a", count: 256))
    #expect(text(options[1], 21, 32473) == String(repeating: "a", count: 253) + "…")
  }

  @Test("descriptions that take the place of others are repeated instead of them, in a new session, too")
  func redescribing() throws {
    var stream = MessageStream(configuration())
    stream.describe(.interface(5, name: "first"))
    stream.describe(.selector(1, interval: 1, space: 0))
    stream.describe(.filter(2, expression: "tcp"))
    stream.describe(.timeouts(process: 1, active: 300, idle: 30))
    stream.append(key: 1, [.unsigned64(Sample.octets, 1)])
    let kinds: [OptionsKind] = [.systematicSelector, .randomSelector, .filter]
    /// What records say: name, timeout, and either selector's.
    func told(_ options: [DecodedRecord]) -> [String] {
      options.map { record in
        if let name = text(record, 82) { return name }
        if let seconds = number(record, 36) { return "\(seconds)" }
        if let expression = text(record, 21, 32473) { return expression }
        if let population = number(record, 310) { return "random \(population)" }
        return number(record, 306).map { "space \($0)" } ?? "?"
      }
    }
    var decoder = MessageDecoder(model: Sample.model)
    func records(_ stream: inout MessageStream) throws -> [String] {
      told(try stream.takeMessages().flatMap { try decoder.decode($0).options })
    }
    #expect(try records(&stream) == ["first", "space 0", "tcp", "300"])
    stream.redescribe(kinds, by: [.selector(1, size: 1, population: 7), .filter(2, expression: "udp")])
    #expect(try records(&stream) == ["random 7", "udp"])
    stream.repeatTemplates()
    #expect(try records(&stream) == ["first", "300", "random 7", "udp"])
    stream.redescribe(kinds, by: [.selector(1, interval: 1, space: 9)])
    #expect(try records(&stream) == ["space 9"])
    stream.reannounce()
    #expect(try records(&stream) == ["first", "300", "space 9"])
    let announced = stream.announcement()
    var fresh = MessageDecoder(model: Sample.model)
    let messages = try fresh.decodeAll(announced.withBytes { Array($0.buffer) })
    #expect(told(messages.flatMap(\.options)) == ["first", "300", "space 9"])
  }

  @Test(
    "an element is described once, and IANA's and their reverse elements never")
  func elements() throws {
    var stream = MessageStream(configuration())
    let fields: [AnyField] = [
      .unsigned64(Sample.octets, 1), .unsigned64(Sample.octets.reversed, 2), .string(Sample.serverName, [65]),
      .list16(Sample.lengths, [1, 2]), .list16(Sample.lengths, []), .times(Sample.preciseTimes, [5]),
    ]
    for element in [
      Sample.octets, Sample.octets.reversed, Sample.serverName, Sample.lengths, Sample.lengths,
      Sample.preciseTimes,
      Sample.serverName.reversed,
    ] { stream.describe(element) }
    stream.append(key: 1, fields)
    stream.append(key: 2, fields + [.string(Sample.method, [66])])
    stream.append(key: 1, fields)
    let messages = try decode(&stream)
    #expect(messages.count == 1)
    let message = messages[0]
    let described = message.options.map { record in
      "\(number(record, Self.enterpriseNumber) ?? 0)/\(number(record, Self.elementIdentifier) ?? 0) "
        + (text(record, Self.name) ?? "")
    }
    #expect(
      described == [
        "8057/808 TLSSNI", "8057/1013 packetLength", "32473/7 packetTimeNanoseconds",
      ])
    // The options template, a set for each record, then templates and their data.
    #expect(message.sets == [3, 258, 258, 258, 2, 259, 2, 260, 259])
    #expect(stream.counters.records == 3 && stream.counters.options == 3)
  }

  @Test("flow keys: bit n is field n")
  func flowKeys() throws {
    var stream = MessageStream(configuration(flowKeys: [Sample.protocolIdentifier, Sample.sourcePort]))
    stream.append(
      key: 1,
      [
        .unsigned64(Sample.octets, 1), .unsigned8(Sample.protocolIdentifier, 6),
        .unsigned16(Sample.destinationPort, 1), .unsigned16(Sample.sourcePort, 1),
      ])
    stream.append(key: 2, [.unsigned64(Sample.octets, 1)])
    stream.reportFlowKeys()
    let message = try decode(&stream)[0]
    #expect(message.options.count == 1)
    #expect(number(message.options[0], 145) == 258 && number(message.options[0], 173) == 0b1010)
    #expect(message.sets == [2, 258, 2, 259, 3, 260])
  }

  @Test(
    "options records count in the sequence; templates come again by messages, and with descriptions by time")
  func refresh() throws {
    var configuration = configuration()
    configuration.templateRefresh = 600
    configuration.templateRefreshMessages = 3
    var stream = MessageStream(configuration)
    stream.tick(now: 1000)
    stream.describe(Sample.serverName)
    stream.describe(.timeouts(process: 1, active: 300, idle: 30))
    stream.report(.port(interface: 1, dropped: 0))
    stream.append(key: 1, [.string(Sample.serverName, [65])])
    stream.tick(now: 1001)
    let first = try decode(&stream)
    #expect(first[0].options.count == 3 && first[0].sequence == 0)
    // Three options templates, a template, and the two descriptions: not the report, which was for once.
    for (now, isRefresh) in [(1002, false), (1601, true), (1602, false)] {
      stream.tick(now: UInt32(now))
      let messages = try decode(&stream)
      #expect(messages.count == (isRefresh ? 1 : 0))
      if isRefresh {
        #expect(messages[0].sequence == 4)
        #expect(messages[0].optionsTemplates.count == 3 && messages[0].templates.count == 1)
        #expect(messages[0].options.count == 2)
        #expect(messages[0].sets.last == 2)
      }
    }
    // The refresh's own message counts, too.
    for count in 1...3 {
      stream.append(key: 1, [.string(Sample.serverName, [66])])
      _ = stream.takeMessages()
      stream.tick(now: 1603)
      let messages = try decode(&stream)
      #expect(messages.flatMap(\.templates).count == (count == 2 ? 1 : 0))
      #expect(messages.flatMap(\.optionsTemplates).count == (count == 2 ? 3 : 0))
      #expect(messages.flatMap(\.options).isEmpty)
    }
  }

  @Test("an announcement describes a new session, numbered so that what follows has number 0")
  func announcement() throws {
    var configuration = configuration(flowKeys: [Sample.serverName])
    configuration.maximumLength = 300
    var stream = MessageStream(configuration)
    for element in [Sample.serverName, Sample.lengths] { stream.describe(element) }
    stream.describe(.interface(1, name: "eth0"))
    stream.describe(.timeouts(process: 1, active: 300, idle: 30))
    for key in 1...4 as ClosedRange<UInt64> {
      stream.append(key: key, [.string(Sample.serverName, [65]), .list16(Sample.lengths, [1])])
    }
    stream.reportFlowKeys()
    _ = stream.takeMessages()
    let announcement = stream.announcement().withBytes { Array($0.buffer) }
    var decoder = MessageDecoder()
    let messages = try decoder.decodeAll(announcement)
    #expect(messages.count > 1 && messages.allSatisfy { $0.length <= 300 && $0.unknownSets == 0 })
    // Two descriptions, two elements, four templates with their flow keys.
    #expect(messages.flatMap(\.options).count == 8 && messages.flatMap(\.records).isEmpty)
    #expect(messages.flatMap(\.templates).map(\.identifier).count == 4)
    var next = UInt32(0) &- 8
    for message in messages {
      #expect(message.sequence == next)
      next &+= UInt32(message.options.count)
    }
    #expect(next == 0)
    // A new session of the stream itself begins with 0.
    stream.reannounce()
    #expect(try decode(&stream)[0].sequence == 0)
  }

  @Test("an options record that is longer than a message goes in a longer one")
  func long() throws {
    var configuration = MessageStream.Configuration()
    configuration.maximumLength = 64
    var stream = MessageStream(configuration)
    stream.describe(.interface(1, name: "eth0"))
    stream.append(key: 1, [.unsigned8(Sample.version, 4)])
    let messages = try decode(&stream)
    #expect(messages.map(\.length) == [16 + 4 + 6 + 8, 16 + 4 + 68, 16 + 4 + 4 + 4 + 4 + 1])
    #expect(messages.map(\.sequence) == [0, 0, 1])
  }

  /// What makes pmacct 1.7 take a set of one record for one: see `OptionsRecord.elementType`.
  @Test("what is variable in a description is shorter than the rest")
  func pmacct() {
    let record = OptionsRecord.elementType(Sample.serverName, enterpriseNumber: 8057)
    let fixed = record.fields.reduce(0) { $0 + ($1.length == 65535 ? 0 : Int($1.length)) }
    // Two variable lengths of 65535, modulo 65536.
    let divisor = fixed - 2
    let longest = "ipCongestionNotificationCodes".utf8.count + 2
    #expect(fixed + longest < 2 * divisor && fixed + 2 >= divisor)
  }
}
