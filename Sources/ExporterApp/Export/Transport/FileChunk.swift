// What waits for a file: whole lines or messages, and where they may be cut.
import Wire

/// Lines or messages that are written together. Lines have no units: each is one record.
///
/// Safe between threads: whoever made it changes it until it is in a queue, and the queue is under `FileWriter`'s lock; who
/// takes it out of there has it alone.
final class FileChunk: ChainLink, @unchecked Sendable {
  typealias Unit = MessageUnit

  /// The lines or messages.
  let bytes: SharedBytes
  /// What a file that begins with this chunk gets before it.
  let header: SharedBytes
  /// What one gets that begins within it or behind it: this chunk's own templates, too. Nil: the same.
  private let headerWithin: SharedBytes?
  /// Records in all.
  let records: Int
  /// The messages, in order; none for lines.
  let units: GrowableList<Unit>
  /// Close the file and open it again by its name first.
  let reopens: Bool
  /// Earlier chunks were dropped, perhaps with templates that this one needs.
  var followsGap = false
  var next: FileChunk?

  /// A chunk that is in no queue.
  init(
    _ bytes: SharedBytes, header: SharedBytes, headerWithin: SharedBytes? = nil, records: Int,
    units: consuming GrowableList<Unit>, reopens: Bool = false
  ) {
    self.bytes = bytes
    self.header = header
    self.headerWithin = headerWithin
    self.records = records
    self.units = units
    self.reopens = reopens
  }

  /// The heading of a file that begins at `offset` of the chunk; messages are numbered so that the chunk goes on.
  func header(at offset: Int) -> SharedBytes {
    let header = offset > 0 ? headerWithin ?? header : header
    guard let sequence = sequence(at: offset) else { return header }
    return header.withBytes { MessageQueue.numbered($0, sequence) }
  }

  /// The heading of a file that gets nothing, as if it began behind the chunk.
  var heading: SharedBytes { header(at: bytes.count) }

  /// The number of the next record at a boundary; nil where there are lines.
  private func sequence(at offset: Int) -> UInt32? {
    guard !units.isEmpty else { return nil }
    var (start, records) = (offset, 0)
    if offset >= bytes.count {
      start = units.count > 1 ? units[units.count &- 2].end : 0
      let last = units[units.count &- 1]
      records = last.records &+ last.options
    }
    let place = start &+ MessageQueue.sequenceOffset
    guard place &+ 4 <= bytes.count else { return nil }
    return bytes.withBytes { $0.load(UInt32.self, at: place) } &+ UInt32(truncatingIfNeeded: records)
  }

  /// The octets between two offsets, with a heading before them; no copy where that is the whole chunk.
  func bytes(from start: Int, to end: Int, behind header: SharedBytes) -> SharedBytes {
    if header.isEmpty, start == 0, end == bytes.count { return bytes }
    return bytes.withBytes { all in
      header.withBytes { SharedBytes(copying: $0, all.prefix(end).dropFirst(start)) }
    }
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

  /// The end of the first line or message that ends behind `offset`; the chunk's where there is none.
  func boundary(behind offset: Int) -> Int {
    var index = units.isEmpty ? max(0, offset) : 0
    guard units.isEmpty else {
      while index < units.count {
        if units[index].end > offset { return units[index].end }
        index &+= 1
      }
      return bytes.count
    }
    return bytes.withBytes { all in
      while index < all.count {
        if all[index] == UInt8(ascii: "\n") { return index &+ 1 }
        index &+= 1
      }
      return all.count
    }
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

/// Chunks on their way to a file.
typealias FileQueue = Chain<FileChunk>
