// What goes into a spool and comes out of it at a time: messages with their place, which threads hand to each other.
import Wire

/// Consecutive messages of one run.
///
/// Safe between threads: all but `next` does not change, and `next` belongs to the one queue that the chunk is in.
final class SpoolChunk: ChainLink, @unchecked Sendable {
  typealias Unit = MessageUnit

  /// The messages, back to back.
  let bytes: SharedBytes
  /// Where each of them ends.
  let units: GrowableList<Unit>
  /// The run of Martlet that made them, whose template numbers they use.
  let run: UInt64
  /// Messages with all templates that these need, apart from those that they hold themselves.
  let templates: SharedBytes
  /// Before the first message, and behind the last.
  let first: SpoolPosition
  let end: SpoolPosition
  /// When the first message was taken: nanoseconds of the monotonic clock. 0 for what was read from the disk.
  let takenAt: UInt64
  var next: SpoolChunk?

  /// A chunk that is in no queue.
  init(
    _ bytes: SharedBytes, units: consuming GrowableList<Unit>, run: UInt64, templates: SharedBytes,
    first: SpoolPosition, takenAt: UInt64 = 0
  ) {
    var end = first
    var index = 0
    while index < units.count {
      end.pass(records: units[index].records)
      index &+= 1
    }
    self.bytes = bytes
    self.units = units
    self.run = run
    self.templates = templates
    self.first = first
    self.end = end
    self.takenAt = takenAt
  }

  /// The chunk's share of memory in octets, with what it needs besides its messages.
  var octets: Int { bytes.count &+ 512 &+ units.count &* MemoryLayout<Unit>.stride }

  /// Whether it has the message with this number.
  func holds(_ message: UInt64) -> Bool { message >= first.message && message < end.message }

  /// Records in all messages.
  var records: UInt64 { first.records(to: end) }

  /// Calls `body` for each message from unit `start` on, with the place before it, until it says no; the number of the unit
  /// that it said no to, or that of the units.
  func forEach(
    from start: Int, _ body: (_ message: Bytes, _ unit: Unit, _ place: SpoolPosition) -> Bool
  ) -> Int {
    bytes.withBytes { bytes in
      var place = first
      var offset = 0
      var index = 0
      while index < units.count {
        let unit = units[index]
        if index >= start, !body(bytes.slice(offset, unit.end &- offset), unit, place) { break }
        place.pass(records: unit.records)
        offset = unit.end
        index &+= 1
      }
      return index
    }
  }
}

/// Chunks on their way to the spool's thread, or from it.
typealias SpoolQueue = Chain<SpoolChunk>
