// What waits for a file: whole lines or messages, and where they may be cut.
import Wire

/// Lines or messages that are written together. Lines have no units: each is one record.
///
/// Safe between threads: whoever made it changes it until it is in a queue, and the queue is under `FileWriter`'s lock; who
/// takes it out of there has it alone.
final class FileChunk: @unchecked Sendable {
  /// One message: where it ends, and how many records it holds.
  struct Unit: BitwiseCopyable, Sendable {
    var end: Int
    var records: Int
  }

  /// The lines or messages.
  let bytes: SharedBytes
  /// What a file that begins with this chunk gets before it.
  let header: SharedBytes
  /// Records in all.
  let records: Int
  /// The messages, in order; none for lines.
  let units: GrowableList<Unit>
  /// Close the file and open it again by its name first.
  let reopens: Bool
  /// Earlier chunks were dropped, perhaps with templates that this one needs.
  var followsGap = false
  /// The one behind it in the queue.
  fileprivate var next: FileChunk?

  /// A chunk that is in no queue.
  init(
    _ bytes: SharedBytes, header: SharedBytes, records: Int, units: consuming GrowableList<Unit>,
    reopens: Bool = false
  ) {
    self.bytes = bytes
    self.header = header
    self.records = records
    self.units = units
    self.reopens = reopens
  }

  /// The heading of a file that begins at `offset` of the chunk; messages are numbered so that the chunk goes on.
  func header(at offset: Int) -> SharedBytes {
    guard !units.isEmpty, offset &+ 12 <= bytes.count else { return header }
    let sequence = bytes.withBytes { $0.load(UInt32.self, at: offset &+ 8) }
    return header.withBytes { MessageQueue.numbered($0, sequence) }
  }

  /// The end of the last whole line or message within the first `offset` octets; 0 when there is none.
  func boundary(within offset: Int) -> Int {
    if units.isEmpty { return bytes.withBytes { Self.endOfLine($0.prefix(offset)) } }
    var index = units.count
    while index > 0 {
      index &-= 1
      if units[index].end <= offset { return units[index].end }
    }
    return 0
  }

  /// The end of the last whole line; 0 when there is none.
  private static func endOfLine(_ bytes: Bytes) -> Int {
    var end = bytes.count
    while end > 0, bytes[end &- 1] != UInt8(ascii: "\n") { end &-= 1 }
    return end
  }

  /// Records and messages between two boundaries.
  func contents(from start: Int, to end: Int) -> (records: Int, messages: Int) {
    var (records, messages) = (0, 0)
    var index = 0
    while index < units.count {
      let unit = units[index]
      if unit.end > start, unit.end <= end {
        records &+= unit.records
        messages &+= 1
      }
      index &+= 1
    }
    if start == 0, end == bytes.count { return (self.records, messages) }
    if units.isEmpty {
      records = bytes.withBytes { Self.lines($0.prefix(end).dropFirst(start)) }
    }
    return (records, messages)
  }

  /// How many lines end in `bytes`.
  private static func lines(_ bytes: Bytes) -> Int {
    var count = 0
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\n") { count &+= 1 }
      index &+= 1
    }
    return count
  }
}

/// Chunks in a chain, the oldest first: an array would move them all at each removal.
struct FileQueue: ~Copyable {
  private(set) var first: FileChunk?
  private var last: FileChunk?

  /// Adds a chunk behind the last one.
  mutating func append(_ chunk: FileChunk) {
    if let last { last.next = chunk } else { first = chunk }
    last = chunk
  }

  /// Takes the oldest chunk out; nil when there is none.
  mutating func removeFirst() -> FileChunk? {
    guard let chunk = first else { return nil }
    first = chunk.next
    chunk.next = nil
    if first == nil { last = nil }
    return chunk
  }
}
