// Messages on their way back from the disk, from a place on and across segments, with the templates that they need.
import Wire

/// Reads a log from one place on. One thread has it, the same that writes.
struct SpoolReader: ~Copyable {
  private var file: SegmentFile?
  /// The number of the open segment's first message.
  private var segment: UInt64 = 0
  /// The number of the message that is wanted next.
  private var wanted: UInt64 = 0
  /// The templates of the open segment, with those in messages that were passed over.
  private var templates = SharedBytes()

  /// Octets of messages in a chunk, apart from the last message.
  private static let chunkLength = 1 << 18

  /// Goes to the message with this number.
  mutating func seek(_ number: UInt64) {
    file = nil
    wanted = number
  }

  /// The next messages; nil when there are none now. Where some cannot be read, the chunk begins behind them; it is empty
  /// where nothing is behind them yet.
  mutating func next(_ log: borrowing SpoolLog) -> SpoolChunk? {
    while true {
      guard openSegment(log) else { return unreadable(log) }
      if let chunk = nextOfSegment() { return chunk }
      guard let following = log.segments.first(where: { $0.first > segment }) else {
        return unreadable(log)
      }
      file = nil
      wanted = max(wanted, following.first)
    }
  }

  /// What there is when no message is left: an empty chunk behind those that should be and are not; else nil.
  private mutating func unreadable(_ log: borrowing SpoolLog) -> SpoolChunk? {
    guard wanted < log.end.message else { return nil }
    wanted = log.end.message
    return SpoolChunk(
      SharedBytes(), units: GrowableList(capacity: 1), run: 0, templates: SharedBytes(), first: log.end)
  }

  /// Sees that the segment with the wanted message is open, or the next one there is; false when there is none.
  private mutating func openSegment(_ log: borrowing SpoolLog) -> Bool {
    if file != nil { return true }
    var start = log.segments.lastIndex { $0.first <= wanted } ?? log.segments.startIndex
    while start < log.segments.endIndex {
      let place = log.segments[start]
      start &+= 1
      guard let opened = SegmentFile(path: place.path) else { continue }
      segment = place.first
      templates = opened.header.templates
      file = consume opened
      return true
    }
    return false
  }

  /// The next messages of the open segment; nil at its end.
  private mutating func nextOfSegment() -> SpoolChunk? {
    guard var file = file.take() else { return nil }
    var bytes = OwnedBytes(count: Self.chunkLength &+ SpoolFrame.longest)
    var units = GrowableList<SpoolChunk.Unit>(capacity: 256)
    var used = 0
    var first = file.header.first
    var end = first
    reading: while used < Self.chunkLength {
      let before = file.place
      switch file.next() {
      case .frame(let frame):
        if frame.end.message <= wanted {
          collect(frame.message)
          continue
        }
        if units.isEmpty {
          first = frame.place
        } else if frame.place != end {
          file.goBack(to: before)
          break reading
        }
        bytes.copy(frame.message, to: used)
        used &+= frame.message.count
        units.append(SpoolChunk.Unit(end: used, records: frame.records, options: frame.options))
        end = frame.end
        wanted = end.message
      case .damage: if !units.isEmpty { break reading }
      case .end: break reading
      }
    }
    let run = file.header.run
    self.file = consume file
    guard !units.isEmpty else { return nil }
    return SpoolChunk(
      SharedBytes(copying: bytes.view(0, used)), units: units, run: run, templates: templates, first: first)
  }

  /// Keeps the templates of a message that is passed over: those behind it need them.
  private mutating func collect(_ message: Bytes) {
    // Looked for first: nearly no message has any. They go behind the announcement, whose numbers end with 0.
    guard MessageQueue.holdsTemplates(message), let own = MessageQueue.templates(of: message) else { return }
    templates = templates.joined(with: own)
  }
}
