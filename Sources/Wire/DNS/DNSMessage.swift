// DNS messages: the header, and a reader of the sections behind it. They know neither a flow nor a transport.

/// The header of a DNS message (RFC 1035 section 4.1.1).
///
///     0             2                                                                     4
///     | identifier | response 1, opcode 4, AA, TC, RD, RA, zero 1, AD, CD, RCODE 4 |
///     | questions 2 | answers 2 | authority 2 | additional 2 | … 12
package struct DNSHeader: BitwiseCopyable {
  package let identifier: UInt16
  package let flags: UInt16
  package let questions: UInt16
  package let answers: UInt16
  package let authorities: UInt16
  package let additionals: UInt16

  package static let size = 12
  /// The least that a question takes: the root, type, class.
  private static let shortestQuestion = 5
  /// The least that a resource record takes: the root, type, class, TTL, length.
  private static let shortestRecord = 11
  /// The highest operation code that is assigned: DSO (RFC 8490).
  private static let lastOperation: UInt16 = 6

  /// The header of `message`; nil where it is shorter.
  @inline(__always)
  package init?(_ message: Bytes) {
    guard message.count >= DNSHeader.size else { return nil }
    identifier = message.load(UInt16.self, at: 0)
    flags = message.load(UInt16.self, at: 2)
    questions = message.load(UInt16.self, at: 4)
    answers = message.load(UInt16.self, at: 6)
    authorities = message.load(UInt16.self, at: 8)
    additionals = message.load(UInt16.self, at: 10)
  }

  @inline(__always) package var isResponse: Bool { flags & 0x8000 != 0 }
  @inline(__always) package var responseCode: UInt8 { UInt8(truncatingIfNeeded: flags & 0xF) }
  @inline(__always) private var operation: UInt16 { flags &>> 11 & 0xF }
  /// The bit that has to be zero.
  @inline(__always) private var hasReservedBit: Bool { flags & 0x40 != 0 }

  /// Whether a message of `length` bytes, all its sections included, can have this header.
  @inline(__always)
  package func fits(_ length: Int) -> Bool {
    let records = Int(answers) &+ Int(authorities) &+ Int(additionals)
    return operation <= DNSHeader.lastOperation && !hasReservedBit
      && DNSHeader.size &+ Int(questions) &* DNSHeader.shortestQuestion &+ records
        &* DNSHeader.shortestRecord <= length
  }
}

/// Types of resource records (IANA, "Domain Name System Parameters").
package enum DNSType {
  package static let a: UInt16 = 1
  package static let nameServer: UInt16 = 2
  package static let canonicalName: UInt16 = 5
  package static let startOfAuthority: UInt16 = 6
  package static let pointer: UInt16 = 12
  package static let hostInformation: UInt16 = 13
  package static let mailboxInformation: UInt16 = 14
  package static let mailExchange: UInt16 = 15
  package static let text: UInt16 = 16
  package static let isdn: UInt16 = 20
  package static let aaaa: UInt16 = 28
  package static let service: UInt16 = 33
  package static let delegationName: UInt16 = 39
  package static let options: UInt16 = 41
  package static let delegationSigner: UInt16 = 43
  package static let signature: UInt16 = 46
  package static let key: UInt16 = 48
}

/// An entry of the question section.
package struct DNSQuestion: BitwiseCopyable {
  package let type: UInt16
  package let questionClass: UInt16

  /// No question.
  package static var none: DNSQuestion { DNSQuestion(type: 0, questionClass: 0) }
}

/// A resource record: where its parts lie in the message.
package struct DNSRecord: BitwiseCopyable {
  /// Where the name of its owner begins.
  package let owner: Int
  package let type: UInt16
  /// The class; of an OPT record the size of UDP messages (RFC 6891 section 6.1.2).
  package let recordClass: UInt16
  /// Seconds; of an OPT record flags.
  package let timeToLive: UInt32
  /// Where its data begins.
  package let dataOffset: Int
  package let data: Bytes
}

/// Reads the sections of a message from front to back. Each entry is longer than nothing, so a message has fewer than
/// its bytes, whatever the header says.
package struct DNSReader: BitwiseCopyable {
  package let message: Bytes
  /// Where the next entry begins.
  package private(set) var offset = DNSHeader.size
  /// Whether an entry was no such thing; where one is missing otherwise, the message ended.
  package private(set) var isInvalid = false

  /// A reader behind the header.
  @inline(__always)
  package init(_ message: Bytes) { self.message = message }

  /// A reader at an entry that begins at `offset`.
  @inline(__always)
  package init(_ message: Bytes, at offset: Int) {
    self.message = message
    self.offset = offset
  }

  /// The next question:
  ///
  ///     | name … | type 2 | class 2 |
  package mutating func question() -> DNSQuestion? {
    take(DNSName.skip(message, at: offset))
  }

  /// The next question, whose name is added to `text`.
  package mutating func question(name text: inout ScratchText) -> DNSQuestion? {
    take(DNSName.append(message, at: offset, to: &text))
  }

  @inline(__always)
  private mutating func take(_ name: DNSName.End) -> DNSQuestion? {
    guard let end = place(name), message.count &- end >= 4 else { return nil }
    offset = end &+ 4
    return DNSQuestion(
      type: message.load(UInt16.self, at: end), questionClass: message.load(UInt16.self, at: end &+ 2))
  }

  /// The next resource record:
  ///
  ///     | owner … | type 2 | class 2 | time to live 4 | length 2 | data … |
  package mutating func record() -> DNSRecord? {
    guard let end = place(DNSName.skip(message, at: offset)), message.count &- end >= 10 else { return nil }
    let length = Int(message.load(UInt16.self, at: end &+ 8))
    guard message.count &- end &- 10 >= length else { return nil }
    let record = DNSRecord(
      owner: offset, type: message.load(UInt16.self, at: end),
      recordClass: message.load(UInt16.self, at: end &+ 2),
      timeToLive: message.load(UInt32.self, at: end &+ 4), dataOffset: end &+ 10,
      data: message.slice(end &+ 10, length))
    offset = end &+ 10 &+ length
    return record
  }

  /// Moves past `count` questions; false where there are not so many.
  package mutating func skipQuestions(_ count: UInt16) -> Bool {
    var left = count
    while left > 0 {
      guard question() != nil else { return false }
      left &-= 1
    }
    return true
  }

  /// Moves past `count` resource records; false where there are not so many.
  package mutating func skipRecords(_ count: Int) -> Bool {
    var left = count
    while left > 0 {
      guard record() != nil else { return false }
      left &-= 1
    }
    return true
  }

  @inline(__always)
  private mutating func place(_ name: DNSName.End) -> Int? {
    switch name {
    case .at(let end): return end
    case .cut: return nil
    case .invalid:
      isInvalid = true
      return nil
    }
  }
}

extension DNSReader {
  /// The classes that questions have: Internet, Chaos, Hesiod, none, any.
  private static func isKnown(_ questionClass: UInt16) -> Bool {
    questionClass == 1 || questionClass == 3 || questionClass == 4 || questionClass == 254
      || questionClass == 255
  }

  /// Whether `message`, of which nothing else is known, is a DNS message beyond doubt: it has one question of a known class,
  /// and ends where its header says.
  package static func isSurely(_ message: Bytes) -> Bool {
    guard let header = DNSHeader(message), header.questions == 1, header.fits(message.count) else {
      return false
    }
    var reader = DNSReader(message)
    guard let question = reader.question(), isKnown(question.questionClass), question.type != 0 else {
      return false
    }
    guard
      reader.skipRecords(Int(header.answers) &+ Int(header.authorities) &+ Int(header.additionals))
    else { return false }
    return reader.offset == message.count
  }
}
