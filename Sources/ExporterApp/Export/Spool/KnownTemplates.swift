// Which templates a session has: behind damage on the disk some may be missing, and a collector that gets records without
// theirs ends the session (RFC 7011 section 8).
import Wire

/// The numbers of the templates that were sent in a session.
struct KnownTemplates: ~Copyable {
  /// A bit for each number.
  private var bits = OwnedBytes(count: 8192)

  /// The templates in an announcement.
  init(_ messages: SharedBytes) {
    messages.withBytes { messages in
      var offset = 0
      while offset &+ MessageQueue.headerLength <= messages.count {
        let length = max(MessageQueue.headerLength, Int(messages.load(UInt16.self, at: offset &+ 2)))
        _ = note(messages.dropFirst(offset).prefix(length))
        offset &+= length
      }
    }
  }

  /// Notes the templates in a message; true where all of them were known.
  mutating func note(_ message: Bytes) -> Bool {
    var wereKnown = true
    Self.forEachSet(of: message) { identifier, set in
      guard MessageQueue.isTemplateSet(identifier) else { return true }
      let isOptions = identifier == UInt16(MessageQueue.optionsTemplateSet)
      wereKnown = note(set, headerLength: isOptions ? 6 : 4) && wereKnown
      return true
    }
    return wereKnown
  }

  /// Notes the templates of a set.
  ///
  ///     0  number
  ///     2  fields, each of 4 octets, or 8 where the first bit says that an enterprise follows; 0 fields: no scope either
  ///     4  of options only: how many of them are the scope's
  private mutating func note(_ set: Bytes, headerLength: Int) -> Bool {
    var wereKnown = true
    var offset = 0
    while offset &+ 4 <= set.count {
      let number = set.load(UInt16.self, at: offset)
      var fields = Int(set.load(UInt16.self, at: offset &+ 2))
      // Padding.
      guard number >= 256 else { break }
      wereKnown = wereKnown && contains(number)
      insert(number)
      offset &+= fields > 0 ? headerLength : 4
      while fields > 0, offset < set.count {
        offset &+= set[offset] & 0x80 != 0 ? 8 : 4
        fields &-= 1
      }
    }
    return wereKnown
  }

  /// Whether all data sets of a message have their templates.
  func cover(_ message: Bytes) -> Bool {
    var areKnown = true
    Self.forEachSet(of: message) { identifier, _ in
      areKnown = identifier < 256 || contains(identifier)
      return areKnown
    }
    return areKnown
  }

  private func contains(_ number: UInt16) -> Bool {
    bits.load(UInt8.self, at: Int(number >> 3)) & (1 << (number & 7)) != 0
  }

  private mutating func insert(_ number: UInt16) {
    let place = Int(number >> 3)
    bits.store(bits.load(UInt8.self, at: place) | 1 << UInt8(number & 7), at: place)
  }

  /// Calls `body` with each set's number and content until it says no.
  private static func forEachSet(of message: Bytes, _ body: (UInt16, Bytes) -> Bool) {
    var offset = MessageQueue.headerLength
    while offset &+ 4 <= message.count {
      let length = max(4, Int(message.load(UInt16.self, at: offset &+ 2)))
      let content = message.dropFirst(offset &+ 4).prefix(length &- 4)
      guard body(message.load(UInt16.self, at: offset), content) else { return }
      offset &+= length
    }
  }
}
