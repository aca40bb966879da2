// Records that no message can hold: what is cut, where, and that nothing vanishes.
import IPFIXDecoding
import TestSupport
import Testing

@testable import IPFIX

@Suite struct ShorteningTests {
  private func stream(largest: Int = 65507, maximum: Int = 1458) -> MessageStream {
    var configuration = MessageStream.Configuration()
    configuration.largestLength = largest
    configuration.maximumLength = maximum
    return MessageStream(configuration)
  }

  private func decode(_ stream: inout MessageStream) throws -> [DecodedMessage] {
    var decoder = MessageDecoder(model: Sample.model)
    return try stream.takeMessages().map { try decoder.decode($0) }
  }

  private func lengths(_ record: DecodedRecord) -> [Int] {
    record.fields.map {
      switch $0.value {
      case .octets(let bytes), .string(let bytes): bytes.count
      case .list(let list): list.entries.count
      default: -1
      }
    }
  }

  @Test("the longest fields are cut to one length, shorter ones and fixed ones stay")
  func longestFirst() throws {
    var stream = stream(largest: 1000, maximum: 500)
    let short = Array("short".utf8)
    stream.append(key: 1, [.unsigned8(Sample.version, 4), .octets(Sample.content, short)])
    stream.append(
      key: 2,
      [
        .unsigned64(Sample.octets, 7), .octets(Sample.content, Array(repeating: 1, count: 900)),
        .octets(Sample.content, short), .octets(Sample.content, Array(repeating: 2, count: 300)),
        .octets(Sample.content, Array(repeating: 3, count: 800)), .unsigned16(Sample.sourcePort, 99),
      ])
    stream.append(key: 1, [.unsigned8(Sample.version, 6), .octets(Sample.content, short)])
    let messages = try decode(&stream)
    let records = messages.flatMap(\.records)
    #expect(records.count == 3)
    // 1000 - 16 (message) - 4 (set) - 8 - 2 (fixed) - 1 - 5 (short) - 3 * 3 (lengths) = 955 for three fields: 300 stay, and 327
    // of each of the two that are longer.
    let cut = lengths(records[1])
    #expect(cut == [-1, 327, 5, 300, 327, -1])
    #expect(records[1].fields[0].value == .unsigned(7) && records[1].fields[5].value == .unsigned(99))
    #expect(records[1].fields[4].value == .octets(Array(repeating: 3, count: cut[4])))
    #expect(messages.map(\.length).max() == 999)
    #expect(stream.counters.shortened == 1 && stream.counters.dropped == 0 && stream.counters.records == 3)
    #expect(messages.map(\.sequence) == [0, 1, 2])
  }

  @Test("a text ends behind a whole character", arguments: ["a", "é", "€", "𝄞"])
  func characters(_ character: String) throws {
    for offset in 0..<4 {
      var stream = stream(largest: 200, maximum: 100)
      let text = String(repeating: "b", count: offset) + String(repeating: character, count: 300)
      stream.append(key: 1, [.string(Sample.serverName, Array(text.utf8))])
      guard case .string(let kept)? = try decode(&stream).flatMap(\.records).first?.fields.first?.value else {
        Issue.record("no text")
        return
      }
      let width = character.utf8.count
      // 200 - 16 - 4 - 3 = 177 octets of room.
      #expect(kept.count == offset + (177 - offset) / width * width)
      #expect(text.hasPrefix(String(decoding: kept, as: UTF8.self)))
    }
  }

  @Test("a list ends behind a whole entry, and may be left without any")
  func lists() throws {
    var first = stream(largest: 200, maximum: 100)
    first.append(key: 1, [.list16(Sample.lengths, Array(repeating: 5, count: 300))])
    guard case .list(let list)? = try decode(&first).flatMap(\.records).first?.fields.first?.value else {
      Issue.record("no list")
      return
    }
    // 177 octets: 1 semantic, 8 field specifier with enterprise number, 84 entries of 2.
    #expect(list.entries == Array(repeating: .signed(5), count: 84))
    var second = stream(largest: 64, maximum: 64)
    second.append(
      key: 1,
      [
        .list16(Sample.lengths, Array(repeating: 5, count: 90)), .ipv6(Sample.source6, 1, 2),
        .unsigned64(Sample.octets, 3),
      ])
    // 64 - 20 - 24 = 20 octets: 3 of the length and 9 of the list's header, 4 entries.
    guard case .list(let rest)? = try decode(&second).flatMap(\.records).first?.fields.first?.value else {
      Issue.record("no list")
      return
    }
    #expect(rest.entries.count == 4)
  }

  @Test("what has nothing to cut is dropped and counted; the stream goes on")
  func dropped() throws {
    var stream = stream(largest: 64, maximum: 64)
    stream.append(key: 1, (0..<6).map { _ in .ipv6(Sample.source6, 1, 2) })
    stream.append(key: 2, [.unsigned8(Sample.version, 4)])
    let records = try decode(&stream).flatMap(\.records)
    #expect(records.count == 1 && records[0].template == 259)
    #expect(stream.counters.dropped == 1 && stream.counters.shortened == 0)
  }

  @Test("random records in small messages: each arrives, none is longer than allowed")
  func random() throws {
    var generator = SeededGenerator(seed: 12)
    var stream = stream(largest: 700, maximum: 300)
    for _ in 0..<2000 {
      let shape = UInt64.random(in: 0..<40, using: &generator)
      stream.append(key: shape, [AnyField].random(shape: shape, using: &generator))
    }
    let messages = try decode(&stream)
    #expect(messages.flatMap(\.records).count + Int(stream.counters.dropped) == 2000)
    #expect(
      stream.counters.shortened > 100 && messages.allSatisfy { $0.length <= 700 && $0.unknownSets == 0 })
    var next: UInt32 = 0
    for message in messages {
      #expect(message.sequence == next)
      next &+= UInt32(message.records.count)
    }
  }
}
