// Messages waiting for a TCP connection: bounded, whole, and renumbered when a new session begins.
import IPFIX
import Wire

/// A queue of whole IPFIX messages in one block of memory.
///
/// A TCP session numbers its own records (RFC 7011 section 3.1), and messages may wait across a reconnection or be
/// dropped. So the queue, not the message stream, fills in the sequence numbers, when a message is about to be sent.
struct MessageQueue: ~Copyable {
  private struct Entry: BitwiseCopyable {
    var length: Int
    var records: Int
    var options: Int
  }

  private var memory: OwnedBytes
  private let capacity: Int
  private var entries = GrowableList<Entry>()
  /// Index of the first message that is not sent completely.
  private var first = 0
  /// Where that message starts in memory, and where the last one ends.
  private var head = 0
  private var tail = 0
  /// Octets of the first message that were sent.
  private(set) var sentOfFirst = 0
  /// Messages, counted from `first`, that have their sequence number.
  private var numbered = 0
  private var sequence: UInt32 = 0

  /// Where the sequence number of a message is.
  static var sequenceOffset: Int { 8 }

  /// A queue of at most `capacity` octets, at least two of the longest messages.
  init(capacity: Int) {
    self.capacity = max(capacity, 1 << 17)
    memory = OwnedBytes(count: self.capacity)
  }

  var isEmpty: Bool { first >= entries.count }

  /// Records in messages that were not sent completely; O(messages).
  var records: Int {
    var sum = 0
    var index = first
    while index < entries.count {
      sum &+= entries[index].records
      index &+= 1
    }
    return sum
  }

  /// Whether there is room for a message of so many octets.
  func hasRoom(for octets: Int) -> Bool { octets <= capacity &- (tail &- head) }

  /// Adds a message with so many flows' and options records; false when there is no room for it. Amortised O(length).
  mutating func append(_ message: Bytes, records: Int, options: Int) -> Bool {
    guard hasRoom(for: message.count) else { return false }
    if message.count > capacity &- tail { compact() }
    memory.copy(message, to: tail)
    tail &+= message.count
    entries.append(Entry(length: message.count, records: records, options: options))
    return true
  }

  private mutating func compact() {
    memory.move(from: head, to: 0, count: tail &- head)
    tail &-= head
    head = 0
    entries.removeFirst(first)
    first = 0
  }

  /// The number of the next message's first record; nil in the middle of a message.
  var sequenceAtBoundary: UInt32? {
    guard sentOfFirst == 0 else { return nil }
    guard numbered > 0 else { return sequence }
    return memory.load(UInt32.self, at: head &+ Self.sequenceOffset)
  }

  /// The octets to send next, numbered: everything that waits, or the first message's. Valid until the queue is changed.
  mutating func pending(firstOnly: Bool = false) -> Bytes {
    if numbered < entries.count &- first {
      var offset = head
      var index = first
      while index < entries.count {
        let entry = entries[index]
        if index &- first >= numbered {
          memory.store(sequence, at: offset &+ Self.sequenceOffset)
          sequence &+= UInt32(truncatingIfNeeded: entry.records &+ entry.options)
        }
        offset &+= entry.length
        index &+= 1
      }
      numbered = entries.count &- first
    }
    let count = firstOnly && !isEmpty ? entries[first].length : tail &- head
    return memory.view(head &+ sentOfFirst, count &- sentOfFirst)
  }

  /// Takes away octets that were sent; calls `finished` for each message whose last octet was among them.
  mutating func removeSent(_ count: Int, _ finished: (_ length: Int, _ records: Int) -> Void) {
    sentOfFirst &+= count
    while first < entries.count {
      let entry = entries[first]
      guard sentOfFirst >= entry.length else { break }
      sentOfFirst &-= entry.length
      head &+= entry.length
      first &+= 1
      numbered &-= 1
      finished(entry.length, entry.records)
    }
    if isEmpty {
      entries.removeAll()
      (first, head, tail, numbered, sentOfFirst) = (0, 0, 0, 0, 0)
    }
  }

  /// Prepares what waits for a new session: whole messages without templates, which the new session gets all at once before,
  /// with the `records` that they need: what waits is numbered behind these.
  mutating func restart(behind records: UInt32 = 0) {
    sequence = records
    numbered = 0
    sentOfFirst = 0
    var source = head
    var target = 0
    var kept = 0
    var index = first
    while index < entries.count {
      let entry = entries[index]
      let length = Self.keepSets(of: &memory, source, entry.length) { !Self.isTemplateSet($0) }
      if length > Self.headerLength {
        memory.move(from: source, to: target, count: length)
        target &+= length
        entries[kept] = Entry(length: length, records: entry.records, options: entry.options)
        kept &+= 1
      }
      source &+= entry.length
      index &+= 1
    }
    entries.truncate(to: kept)
    (first, head, tail) = (0, 0, target)
  }

  /// Forgets everything and returns the records forgotten.
  mutating func removeAll() -> Int {
    let lost = records
    entries.removeAll()
    (first, head, tail, numbered, sentOfFirst) = (0, 0, 0, 0, 0)
    return lost
  }

  static var headerLength: Int { 16 }

  /// How many records there are in a stream's announcement, by whose numbers the first record behind it has number 0.
  static func records(inAnnouncement messages: Bytes) -> UInt32 {
    messages.count < headerLength ? 0 : 0 &- messages.load(UInt32.self, at: sequenceOffset)
  }

  /// A copy of messages, such as an announcement, whose sequence numbers are `sequence` higher.
  static func numbered(_ messages: Bytes, _ sequence: UInt32) -> SharedBytes {
    var copy = OwnedBytes(copying: messages)
    var offset = 0
    while offset &+ headerLength <= messages.count {
      let place = offset &+ sequenceOffset
      copy.store(messages.load(UInt32.self, at: place) &+ sequence, at: place)
      offset &+= max(headerLength, Int(messages.load(UInt16.self, at: offset &+ 2)))
    }
    return SharedBytes(copy, count: messages.count)
  }

  /// Whether a message has a set of templates.
  static func holdsTemplates(_ message: Bytes) -> Bool {
    var offset = headerLength
    while offset &+ 4 <= message.count {
      if isTemplateSet(message.load(UInt16.self, at: offset)) { return true }
      offset &+= max(4, Int(message.load(UInt16.self, at: offset &+ 2)))
    }
    return false
  }

  /// A message with the templates of another one, and number 0; nil where that has none.
  static func templates(of message: Bytes) -> SharedBytes? {
    var copy = OwnedBytes(copying: message)
    let length = keepSets(of: &copy, 0, message.count, isTemplateSet)
    guard length > headerLength else { return nil }
    copy.store(0 as UInt32, at: sequenceOffset)
    return SharedBytes(copy, count: length)
  }

  /// The id of a set of templates (RFC 7011 section 3.3.2).
  static let templateSet: UInt8 = 2
  /// The id of a set of options templates.
  static let optionsTemplateSet: UInt8 = 3

  /// Whether a set describes others: a new session gets all of these at once, before any data.
  static func isTemplateSet(_ identifier: UInt16) -> Bool {
    identifier == UInt16(templateSet) || identifier == UInt16(optionsTemplateSet)
  }

  /// Shortens the message of `count` octets at `start` in place to the sets that `keep` wants; returns its new length, 16
  /// when none is left.
  static func keepSets(
    of memory: inout OwnedBytes, _ start: Int, _ count: Int, _ keep: (_ identifier: UInt16) -> Bool
  ) -> Int {
    var source = headerLength
    var target = headerLength
    while source &+ 4 <= count {
      let length = Int(memory.load(UInt16.self, at: start &+ source &+ 2))
      guard length >= 4, source &+ length <= count else { break }
      if keep(memory.load(UInt16.self, at: start &+ source)) {
        memory.move(from: start &+ source, to: start &+ target, count: length)
        target &+= length
      }
      source &+= length
    }
    memory.store(UInt16(truncatingIfNeeded: target), at: start &+ 2)
    return target
  }
}
