// Where a message stands among all that a collector's spool ever took: numbers go on across runs, so that a restart finds
// its place, and what is missing can be counted.

/// A place between two messages.
struct SpoolPosition: BitwiseCopyable, Equatable, Sendable {
  /// Messages before it.
  var message: UInt64 = 0
  /// Data records before it.
  var record: UInt64 = 0

  /// Moves behind a message that holds so many records.
  mutating func pass(records: Int) {
    message &+= 1
    record &+= UInt64(clamping: records)
  }

  /// Whether numbers that were counted from 0 can have come so far; what is read from a disk may say anything.
  var isPlausible: Bool { message < 1 << 62 && record < 1 << 62 }

  /// Records from here to a later place; 0 when that is not later.
  func records(to end: SpoolPosition) -> UInt64 { end.record > record ? end.record &- record : 0 }

  /// The later one.
  static func later(_ first: SpoolPosition, _ second: SpoolPosition) -> SpoolPosition {
    second.message > first.message ? second : first
  }
}
