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
  /// The lines are of CSV, where a line feed in a quoted cell ends no record (RFC 4180 section 2).
  private let hasQuotedCells: Bool
  /// Close the file and open it again by its name first.
  let reopens: Bool
  /// Earlier chunks were dropped, perhaps with templates that this one needs.
  var followsGap = false
  var next: FileChunk?

  /// A chunk that is in no queue.
  init(
    _ bytes: SharedBytes, header: SharedBytes, headerWithin: SharedBytes? = nil, records: Int,
    units: consuming GrowableList<Unit>, hasQuotedCells: Bool = false, reopens: Bool = false
  ) {
    self.bytes = bytes
    self.header = header
    self.headerWithin = headerWithin
    self.records = records
    self.units = units
    self.hasQuotedCells = hasQuotedCells
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
    if units.isEmpty {
      return bytes.withBytes { all in
        var end = 0
        while let next = endOfLine(all.prefix(offset), from: end) { end = next }
        return end
      }
    }
    var index = units.count
    while index > 0 {
      index &-= 1
      if units[index].end <= offset { return units[index].end }
    }
    return 0
  }

  /// The end of the first line or message behind a boundary; the chunk's where there is none.
  func boundary(behind offset: Int) -> Int {
    if units.isEmpty { return bytes.withBytes { endOfLine($0, from: offset) ?? $0.count } }
    var index = 0
    while index < units.count {
      if units[index].end > offset { return units[index].end }
      index &+= 1
    }
    return bytes.count
  }

  /// Behind the line that begins at `start`; nil where it does not end.
  private func endOfLine(_ bytes: Bytes, from start: Int) -> Int? {
    var index = max(0, start)
    var isQuoted = false
    while index < bytes.count {
      let octet = bytes[index]
      index &+= 1
      if octet == UInt8(ascii: "\n"), !isQuoted { return index }
      // A quote within a cell is written twice, which changes nothing.
      if octet == UInt8(ascii: "\""), hasQuotedCells { isQuoted.toggle() }
    }
    return nil
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
      records = bytes.withBytes { lines($0.prefix(end), from: start) }
    }
    return (records, messages)
  }

  /// How many lines there are from a boundary on.
  private func lines(_ bytes: Bytes, from start: Int) -> Int {
    var count = 0
    var place = start
    while let next = endOfLine(bytes, from: place) {
      place = next
      count &+= 1
    }
    return count
  }
}

/// Chunks on their way to a file.
typealias FileQueue = Chain<FileChunk>
