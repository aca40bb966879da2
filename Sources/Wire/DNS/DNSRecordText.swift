// What a resource record says, as text.

extension ScratchText {
  /// Adds the data of `record` in the form that ipfixprobe gives it. False where a name in it is none.
  package mutating func append(_ record: DNSRecord, of message: Bytes) -> Bool {
    let data = record.data
    switch record.type {
    case DNSType.a:
      if data.count == 4 { append(version4: data.load(UInt32.self, at: 0)) }
    case DNSType.aaaa:
      if data.count == 16 {
        append(version6High: data.load(UInt64.self, at: 0), low: data.load(UInt64.self, at: 8))
      }
    case DNSType.nameServer, DNSType.canonicalName, DNSType.pointer, DNSType.delegationName:
      return appendName(message, at: record.dataOffset) != nil
    case DNSType.startOfAuthority: return appendAuthority(record, of: message)
    case DNSType.service: return appendService(record, of: message)
    case DNSType.mailExchange:
      guard data.count >= 2 else { return true }
      append(decimal: UInt32(data.load(UInt16.self, at: 0)))
      append(Self.blank)
      return appendName(message, at: record.dataOffset &+ 2) != nil
    case DNSType.text: append(strings: data, separator: Self.blank, endsWithSeparator: false)
    case DNSType.mailboxInformation:
      guard let next = appendName(message, at: record.dataOffset) else { return false }
      return appendName(message, at: next) != nil
    case DNSType.hostInformation, DNSType.isdn: append(data)
    case DNSType.delegationSigner:
      // | key tag 2 | algorithm 1 | digest type 1 | digest … |: RFC 4034 section 5.1
      guard data.count >= 4 else { return true }
      append(words: UInt32(data.load(UInt16.self, at: 0)), UInt32(data[2]), UInt32(data[3]))
      append("<key>")
    case DNSType.key:
      // | flags 2 | protocol 1 | algorithm 1 | key … |: RFC 4034 section 2.1
      guard data.count >= 4 else { return true }
      append(words: UInt32(data.load(UInt16.self, at: 0)), UInt32(data[2]), UInt32(data[3]))
      append("<key>")
    case DNSType.signature:
      // | type 2 | algorithm 1 | labels 1 | TTL 4 | expiration 4 | inception 4 | key tag 2 | …: RFC 4034 section 3.1
      guard data.count >= 18 else { return true }
      append(words: UInt32(data.load(UInt16.self, at: 0)), UInt32(data[2]), UInt32(data[3]))
      append(
        words: data.load(UInt32.self, at: 4), data.load(UInt32.self, at: 8), data.load(UInt32.self, at: 12))
      append(decimal: UInt32(data.load(UInt16.self, at: 16)))
      append(" <key>")
    default: append("(not_impl)")
    }
    return true
  }

  private static var blank: UInt8 { UInt8(ascii: " ") }

  /// Adds the name at `offset`; gives what follows it, nil where there is none.
  package mutating func appendName(_ message: Bytes, at offset: Int) -> Int? {
    guard case .at(let end) = DNSName.append(message, at: offset, to: &self) else { return nil }
    return end
  }

  /// Three numbers, each with a blank behind it.
  private mutating func append(words first: UInt32, _ second: UInt32, _ third: UInt32) {
    append(decimal: first)
    append(Self.blank)
    append(decimal: second)
    append(Self.blank)
    append(decimal: third)
    append(Self.blank)
  }

  /// The character strings (RFC 1035 section 3.3) that `data` consists of.
  ///
  ///     | length 1 | … | length 1 | … |
  package mutating func append(strings data: Bytes, separator: UInt8, endsWithSeparator: Bool) {
    var offset = 0
    while offset < data.count {
      let length = Int(data[offset])
      if offset > 0, !endsWithSeparator { append(separator) }
      append(data.dropFirst(offset &+ 1).prefix(length))
      if endsWithSeparator { append(separator) }
      offset &+= length &+ 1
    }
  }

  /// SOA (RFC 1035 section 3.3.13):
  ///
  ///     | primary server … | mailbox … | serial 4 | refresh 4 | retry 4 | expire 4 | minimum 4 |
  private mutating func appendAuthority(_ record: DNSRecord, of message: Bytes) -> Bool {
    guard let mailbox = appendName(message, at: record.dataOffset) else { return false }
    append(Self.blank)
    guard let numbers = appendName(message, at: mailbox) else { return false }
    guard message.count &- numbers >= 20 else { return true }
    var offset = numbers
    while offset < numbers &+ 20 {
      append(Self.blank)
      append(decimal: message.load(UInt32.self, at: offset))
      offset &+= 4
    }
    return true
  }

  /// SRV (RFC 2782), after its owner `_service._protocol.domain`, of which service, protocol and domain are told apart by
  /// blanks:
  ///
  ///     | priority 2 | weight 2 | port 2 | target … |
  private mutating func appendService(_ record: DNSRecord, of message: Bytes) -> Bool {
    let data = record.data
    guard data.count >= 6 else { return true }
    let start = count
    guard appendName(message, at: record.owner) != nil else { return false }
    separateService(from: start)
    append(Self.blank)
    guard appendName(message, at: record.dataOffset &+ 6) != nil else { return false }
    var offset = 0
    while offset < 6 {
      append(Self.blank)
      append(decimal: UInt32(data.load(UInt16.self, at: offset)))
      offset &+= 2
    }
    return true
  }

  /// Takes the first two underscores away from what begins at `start`, and makes blanks of the first two dots.
  private mutating func separateService(from start: Int) {
    let end = count
    let owner = bytes
    shorten(to: start)
    var (underscores, dots) = (0, 0)
    var offset = start
    // What is written is never ahead of what is read.
    while offset < end {
      let character = owner[offset]
      offset &+= 1
      if character == UInt8(ascii: "_"), underscores < 2 {
        underscores &+= 1
      } else if character == UInt8(ascii: "."), dots < 2 {
        dots &+= 1
        append(Self.blank)
      } else {
        append(character)
      }
    }
  }
}
