// The stream: what collectors rely on, read back by the decoder.
import IPFIXDecoding
import TestSupport
import Testing

@testable import IPFIX

@Suite struct MessageStreamTests {
  @Test("random records come back unchanged, in order, with correct sequence numbers and lengths")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 10)
    for maximumLength in [64, 200, 1458, 9000, 65535] {
      var configuration = MessageStream.Configuration()
      configuration.maximumLength = maximumLength
      configuration.observationDomain = 77
      var stream = MessageStream(configuration)
      var decoder = MessageDecoder(model: Sample.model)
      var expected: [[FieldValue]] = []
      var got: [[FieldValue]] = []
      var sequence: UInt32 = 0
      for _ in 0..<3000 {
        let shape = UInt64.random(in: 0..<40, using: &generator)
        let fields = [AnyField].random(shape: shape, using: &generator)
        expected.append(fields.map(\.decoded))
        stream.append(key: shape << 20, fields)
        guard stream.isBatchFull || Int.random(in: 0..<100, using: &generator) == 0 else { continue }
        try read(&stream, &decoder, &sequence, &got, maximumLength)
      }
      try read(&stream, &decoder, &sequence, &got, maximumLength)
      #expect(got == expected)
      #expect(stream.counters.records == 3000)
      #expect(stream.counters.templates == 40)
      #expect(stream.counters.dropped == 0)
    }
  }

  private func read(
    _ stream: inout MessageStream, _ decoder: inout MessageDecoder, _ sequence: inout UInt32,
    _ got: inout [[FieldValue]], _ maximumLength: Int
  ) throws {
    for bytes in stream.takeMessages() {
      let message = try decoder.decode(bytes)
      #expect(message.unknownSets == 0)
      #expect(message.sequence == sequence)
      #expect(message.observationDomain == 77)
      // Only a record, or a template, of its own makes a message longer than asked for.
      if bytes.count > maximumLength { #expect(message.records.count + message.templates.count == 1) }
      sequence &+= UInt32(message.records.count)
      got += message.records.map { $0.fields.map(\.value) }
    }
  }

  @Test("padded messages are full, and hold the same records", arguments: [200, 700, 1458, 9000])
  func padded(_ maximumLength: Int) throws {
    var generator = SeededGenerator(seed: 11)
    var configuration = MessageStream.Configuration()
    configuration.maximumLength = maximumLength
    configuration.padsMessages = true
    var stream = MessageStream(configuration)
    var decoder = MessageDecoder(model: Sample.model)
    var expected: [[FieldValue]] = []
    var got: [[FieldValue]] = []
    var lengths: [Int] = []
    for _ in 0..<3000 {
      let shape = UInt64.random(in: 0..<8, using: &generator)
      let fields = [AnyField].random(shape: shape, using: &generator)
      expected.append(fields.map(\.decoded))
      stream.append(key: shape, fields)
    }
    for bytes in stream.takeMessages() {
      let message = try decoder.decode(bytes)
      #expect(message.unknownSets == 0)
      lengths.append(bytes.count)
      for record in message.records {
        let padding = record.fields.last.flatMap { $0.specifier.identifier == 210 ? $0 : nil }
        if case .octets(let zeros)? = padding?.value { #expect(zeros.allSatisfy { $0 == 0 }) }
        got.append(record.fields.dropLast(padding == nil ? 0 : 1).map(\.value))
      }
    }
    #expect(got == expected)
    // In small messages a record that does not fit may leave more than half of one.
    let full = lengths.filter { $0 == maximumLength }.count
    #expect(full > lengths.count / (maximumLength > 1000 ? 2 : 10))
  }

  @Test("fixed records are padded by zeros that are too few for a record")
  func paddedFixed() throws {
    var configuration = MessageStream.Configuration()
    configuration.padsMessages = true
    // A message's header has 16 octets, a set's 4, five records 40: 4 are left.
    configuration.maximumLength = 64
    var stream = MessageStream(configuration)
    for number in 0..<20 as Range<UInt16> {
      stream.append(key: 1, [.unsigned64(Sample.octets, UInt64(number))])
    }
    let messages = stream.takeMessages()
    var decoder = MessageDecoder(model: Sample.model)
    let records = try messages.flatMap { try decoder.decode($0).records }
    #expect(records.count == 20 && records.allSatisfy { $0.fields.count == 1 })
    #expect(messages.dropLast().allSatisfy { $0.count == 64 })
  }

  @Test("records with one template share a set; another template opens another set in the same message")
  func sets() throws {
    var stream = MessageStream()
    let first: [AnyField] = [.unsigned8(Sample.version, 4)]
    let second: [AnyField] = [.unsigned8(Sample.version, 6), .unsigned16(Sample.sourcePort, 1)]
    for fields in [first, first, second, second, first] { stream.append(key: UInt64(fields.count), fields) }
    var decoder = MessageDecoder(model: Sample.model)
    let messages = stream.takeMessages()
    #expect(messages.count == 1)
    let message = try decoder.decode(messages[0])
    #expect(message.sets == [2, 258, 2, 259, 258])
    #expect(message.records.map(\.template) == [258, 258, 259, 259, 258])
  }

  @Test("describe is called once for each key")
  func describedOnce() {
    var stream = MessageStream()
    var described: [UInt64] = []
    for key: UInt64 in [5, 5, 9, 5, 0, 9, 0] {
      stream.append(
        key: key,
        describe: {
          described.append(key)
          $0.unsigned8(Sample.version, 0)
        }, encode: { $0.unsigned8(Sample.version, 4) })
    }
    #expect(described == [5, 9, 0])
  }

  @Test("a record that a message has no room for is encoded once, and begins the next message")
  func encodedOnce() throws {
    for pads in [false, true] {
      var configuration = MessageStream.Configuration()
      configuration.maximumLength = 200
      configuration.padsMessages = pads
      var stream = MessageStream(configuration)
      var encoded = 0
      for number in 0..<500 {
        stream.append(
          key: 1, describe: { $0.octets(Sample.content, [UInt8]().span.bytes) },
          encode: {
            encoded += 1
            $0.octets(
              Sample.content, [UInt8](repeating: UInt8(number % 256), count: 70 + number % 30).span.bytes)
          })
      }
      // Only the batch's end has no room behind it, if nobody takes the batch.
      #expect(encoded >= 500 && encoded <= 500 + stream.batch.messages.count / 10)
      var decoder = MessageDecoder(model: Sample.model)
      let contents = try stream.takeMessages().flatMap { try decoder.decode($0).records }.map {
        $0.fields.first?.value
      }
      #expect(
        contents
          == (0..<500).map { .octets([UInt8](repeating: UInt8($0 % 256), count: 70 + $0 % 30)) })
    }
  }

  @Test(
    "a record longer than a message goes alone in a longer one; one longer than 65535 octets is shortened")
  func oversize() throws {
    var stream = MessageStream()
    func record(_ length: Int) -> [AnyField] { [.octets(Sample.content, Array(repeating: 1, count: length))] }
    for length in [10, 3000, 10, 65535, 10, 65512, 65513, 10] { stream.append(key: 1, record(length)) }
    let messages = stream.takeMessages()
    var decoder = MessageDecoder(model: Sample.model)
    let lengths = try messages.flatMap { try decoder.decode($0).records }.map { record in
      guard case .octets(let bytes)? = record.fields.first?.value else { return -1 }
      return bytes.count
    }
    // 65535 - 16 (message) - 4 (set) - 3 (length) = 65512.
    #expect(lengths == [10, 3000, 10, 65512, 10, 65512, 65512, 10])
    #expect(stream.counters.oversize == 4)
    #expect(stream.counters.shortened == 2)
    #expect(stream.counters.dropped == 0)
    #expect(stream.counters.records == 8)
    #expect(messages.map(\.count).max() == 65535)
  }

  @Test("a transport's own limit is kept")
  func largestLength() throws {
    var configuration = MessageStream.Configuration()
    configuration.largestLength = 2000
    var stream = MessageStream(configuration)
    for length in [1976, 1978] {
      stream.append(key: 1, [.octets(Sample.content, Array(repeating: 1, count: length))])
    }
    #expect(stream.takeMessages().map(\.count).max() == 2000)
    #expect(stream.counters.shortened == 1)
  }

  @Test("templates are repeated by age, all of them, and a clock that jumps back does no harm")
  func refresh() throws {
    var configuration = MessageStream.Configuration()
    configuration.templateRefresh = 600
    var stream = MessageStream(configuration)
    stream.tick(now: 1000)
    for key in 1...3 as ClosedRange<UInt64> { stream.append(key: key, [.unsigned8(Sample.version, 4)]) }
    stream.tick(now: 1001)
    _ = stream.takeMessages()
    var decoder = MessageDecoder(model: Sample.model)
    for (now, count) in [(1599, 0), (1601, 3), (1602, 0), (2200, 0), (2201, 3), (100, 0), (699, 0), (700, 3)]
    {
      stream.tick(now: UInt32(now))
      let templates = try stream.takeMessages().flatMap { try decoder.decode($0).templates }
      #expect(templates.count == count, "at \(now)")
    }
    // Templates do not count in the sequence.
    stream.append(key: 2, [.unsigned8(Sample.version, 4)])
    #expect(try decoder.decode(stream.takeMessages()[0]).sequence == 3)
  }

  @Test("a new session restarts the sequence and sends every template before data")
  func reannounce() throws {
    var stream = MessageStream()
    for key in 1...5 as ClosedRange<UInt64> { stream.append(key: key, [.unsigned8(Sample.version, 4)]) }
    _ = stream.takeMessages()
    stream.reannounce()
    stream.append(key: 3, [.unsigned8(Sample.version, 6)])
    var decoder = MessageDecoder(model: Sample.model)
    let message = try decoder.decode(stream.takeMessages()[0])
    #expect(message.sequence == 0)
    #expect(message.templates.map(\.identifier) == [258, 259, 260, 261, 262])
    #expect(message.sets == [2, 260])
  }

  @Test("announcement() holds the templates of finished messages only")
  func announcement() throws {
    var stream = MessageStream()
    stream.append(key: 1, [.unsigned8(Sample.version, 4)])
    #expect(stream.announcement().isEmpty)
    stream.flush()
    stream.append(key: 2, [.unsigned16(Sample.sourcePort, 4)])
    var decoder = MessageDecoder()
    let announced = try decoder.decodeAll(stream.announcement().withBytes { Array($0.buffer) })
    #expect(announced.flatMap(\.templates).map(\.identifier) == [258])
  }

  @Test("a template longer than a message is sent in a longer one")
  func longTemplate() throws {
    var configuration = MessageStream.Configuration()
    configuration.maximumLength = 100
    var stream = MessageStream(configuration)
    let fields = (0..<60).map { AnyField.unsigned8(Sample.version, UInt8($0)) }
    stream.append(key: 1, fields)
    stream.append(key: 1, fields)
    var decoder = MessageDecoder(model: Sample.model)
    let messages = try stream.takeMessages().map { try decoder.decode($0) }
    #expect(messages.map(\.length) == [16 + 4 + 4 + 240, 16 + 4 + 60, 16 + 4 + 60])
    #expect(stream.counters.oversize == 1)
  }

  @Test("thousands of templates: the key table grows, the numbers go on, and the last number is 65535")
  func manyTemplates() throws {
    var stream = MessageStream()
    for key in 0..<66000 {
      stream.append(key: UInt64(key) << 32, [.unsigned8(Sample.version, 4)])
      if stream.isBatchFull { stream.removeBatch() }
    }
    // 258 ... 65535
    #expect(stream.counters.templates == 65278)
    #expect(stream.counters.dropped == 66000 - 65278)
    stream.append(key: 7 << 32, [.unsigned8(Sample.version, 4)])
    #expect(stream.counters.templates == 65278)
  }

  @Test("messages that nobody takes stay whole")
  func untakenBatch() throws {
    var stream = MessageStream()
    for index in 0..<20000 { stream.append(key: 1, [.unsigned32(Sample.ingress, UInt32(index))]) }
    stream.flush()
    var decoder = MessageDecoder(model: Sample.model)
    let records = try decoder.decodeAll(Array(stream.batch.bytes)).flatMap(\.records)
    #expect(records.map { $0[10] } == (0..<20000).map { .unsigned(UInt64($0)) })
  }
}
