// Messages waiting for a TCP connection: bounded, whole, and renumbered when a new session begins.
import IPFIX

/// A queue of whole IPFIX messages in one block of memory.
///
/// A TCP session numbers its own records (RFC 7011 section 3.1), and messages may wait across a reconnection or be
/// dropped. So the queue, not the message stream, fills in the sequence numbers, when a message is about to be sent.
struct MessageQueue: ~Copyable {
  private struct Entry {
    var length: Int
    var records: Int
  }

  private let memory: UnsafeMutableRawPointer
  private let capacity: Int
  private var entries: [Entry] = []
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

  /// A queue of at most `capacity` octets, at least two of the longest messages.
  init(capacity: Int) {
    self.capacity = max(capacity, 1 << 17)
    memory = .allocate(byteCount: self.capacity, alignment: 64)
  }

  deinit { memory.deallocate() }

  var isEmpty: Bool { first == entries.count }

  /// Records in messages that were not sent completely; O(messages).
  var records: Int { entries[first...].reduce(0) { $0 + $1.records } }

  /// Adds a message; false when there is no room for it. Amortised O(length).
  mutating func append(_ message: UnsafeRawBufferPointer, records: Int) -> Bool {
    guard let base = message.baseAddress, tail - head + message.count <= capacity else { return false }
    if tail + message.count > capacity { compact() }
    (memory + tail).copyMemory(from: base, byteCount: message.count)
    tail += message.count
    entries.append(Entry(length: message.count, records: records))
    return true
  }

  private mutating func compact() {
    memory.copyMemory(from: memory + head, byteCount: tail - head)
    tail -= head
    head = 0
    entries.removeFirst(first)
    first = 0
  }

  /// The number of the next message's first record; nil in the middle of a message.
  var sequenceAtBoundary: UInt32? {
    guard sentOfFirst == 0 else { return nil }
    guard numbered > 0 else { return sequence }
    return UInt32(bigEndian: memory.loadUnaligned(fromByteOffset: head + 8, as: UInt32.self))
  }

  /// The octets to send next, numbered: everything that waits, or the first message's. Valid until the queue is changed.
  mutating func pending(firstOnly: Bool = false) -> UnsafeRawBufferPointer {
    if numbered < entries.count - first {
      var offset = head
      for (index, entry) in entries[first...].enumerated() {
        if index >= numbered {
          memory.storeBytes(of: sequence.bigEndian, toByteOffset: offset + 8, as: UInt32.self)
          sequence &+= UInt32(truncatingIfNeeded: entry.records)
        }
        offset += entry.length
      }
      numbered = entries.count - first
    }
    let count = firstOnly && !isEmpty ? entries[first].length : tail - head
    return UnsafeRawBufferPointer(start: memory + head + sentOfFirst, count: count - sentOfFirst)
  }

  /// Takes away octets that were sent; calls `finished` for each message whose last octet was among them.
  mutating func removeSent(_ count: Int, _ finished: (_ length: Int, _ records: Int) -> Void) {
    sentOfFirst += count
    while first < entries.count, sentOfFirst >= entries[first].length {
      let entry = entries[first]
      sentOfFirst -= entry.length
      head += entry.length
      first += 1
      numbered -= 1
      finished(entry.length, entry.records)
    }
    if isEmpty {
      entries.removeAll(keepingCapacity: true)
      (first, head, tail, numbered) = (0, 0, 0, 0)
    }
  }

  /// Prepares what waits for a new session: whole messages, numbered from 0, without templates, which the new session
  /// gets all at once before.
  mutating func restart() {
    sequence = 0
    numbered = 0
    sentOfFirst = 0
    var source = head
    var target = 0
    var kept: [Entry] = []
    for entry in entries[first...] {
      let message = UnsafeMutableRawBufferPointer(start: memory + source, count: entry.length)
      let length = Self.keepSets(of: message) { !Self.isTemplateSet($0) }
      if length > 16 {
        memory.advanced(by: target).copyMemory(from: memory + source, byteCount: length)
        target += length
        kept.append(Entry(length: length, records: entry.records))
      }
      source += entry.length
    }
    (entries, first, head, tail) = (kept, 0, 0, target)
  }

  /// Forgets everything and returns the records forgotten.
  mutating func removeAll() -> Int {
    let lost = records
    entries.removeAll()
    (first, head, tail, numbered, sentOfFirst) = (0, 0, 0, 0, 0)
    return lost
  }

  /// Writes one sequence number into each of several messages without data records.
  static func number(_ messages: UnsafeMutableRawBufferPointer, _ sequence: UInt32) {
    var offset = 0
    while offset + 16 <= messages.count {
      messages.storeBytes(of: sequence.bigEndian, toByteOffset: offset + 8, as: UInt32.self)
      offset += max(16, Int(messages[offset + 2]) << 8 | Int(messages[offset + 3]))
    }
  }

  /// Whether a message has a set of templates.
  static func holdsTemplates(_ message: UnsafeRawBufferPointer) -> Bool {
    var offset = 16
    while offset + 4 <= message.count {
      if isTemplateSet(UInt16(message[offset]) << 8 | UInt16(message[offset + 1])) { return true }
      offset += max(4, Int(message[offset + 2]) << 8 | Int(message[offset + 3]))
    }
    return false
  }

  /// The id of a set of templates (RFC 7011 section 3.3.2).
  static let templateSet: UInt8 = 2
  /// The id of a set of options templates.
  static let optionsTemplateSet: UInt8 = 3

  /// Whether a set describes others: a new session gets all of these at once, before any data.
  static func isTemplateSet(_ identifier: UInt16) -> Bool {
    identifier == UInt16(templateSet) || identifier == UInt16(optionsTemplateSet)
  }

  /// Shortens a message in place to the sets that `keep` wants; returns its new length, 16 when none is left.
  static func keepSets(of message: UnsafeMutableRawBufferPointer, _ keep: (_ identifier: UInt16) -> Bool)
    -> Int
  {
    func load(_ offset: Int) -> Int { Int(message[offset]) << 8 | Int(message[offset + 1]) }
    var source = 16
    var target = 16
    while source + 4 <= message.count {
      let length = load(source + 2)
      guard length >= 4, source + length <= message.count else { break }
      if keep(UInt16(load(source))) {
        let base = message.baseAddress!
        base.advanced(by: target).copyMemory(from: base + source, byteCount: length)
        target += length
      }
      source += length
    }
    message[2] = UInt8(target >> 8)
    message[3] = UInt8(target & 0xFF)
    return target
  }
}
