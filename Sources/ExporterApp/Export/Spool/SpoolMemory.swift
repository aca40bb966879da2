// The messages that a spool's owner still has in memory: what the collector has not acknowledged, what it may not have read,
// and what is too new to be on the disk.

/// Chunks in their order, the oldest first.
///
/// They are kept until the collector has them for certain; those that are on the disk go earlier, when more than half of the
/// room is used. What waits for longer than `patience`, or uses more than half of the room, is due to be written, and
/// with it everything before: so that the disk has no gaps behind the oldest message that may have to be sent again.
struct SpoolMemory {
  /// Octets of chunks that the collector has not confirmed, at most.
  let capacity: Int
  private var chunks: [SpoolChunk?] = []
  /// Index of the oldest chunk; those before are nil.
  private var head = 0
  /// Indices of the first chunk that is not confirmed, not old, not due, not handed out to be written.
  private var confirmed = 0
  private var aged = 0
  private var due = 0
  private var written = 0
  /// Octets of all chunks, and of the confirmed ones.
  private var octets = 0
  private var confirmedOctets = 0

  /// Nanoseconds that a message may wait for the collector before it is written to the disk.
  static let patience: UInt64 = 500_000_000
  /// Octets of confirmed chunks, at most.
  private static let retention = Int(clamping: SentWindow.retention)

  /// No chunks; room for so many octets.
  init(capacity: Int) { self.capacity = capacity }

  /// Octets that wait.
  private var waiting: Int { octets &- confirmedOctets }

  /// Whether there is room for a chunk. One always fits into an empty memory.
  func hasRoom(for chunk: SpoolChunk) -> Bool { waiting &+ chunk.octets <= capacity || waiting == 0 }

  /// Adds the newest chunk.
  mutating func append(_ chunk: SpoolChunk) {
    chunks.append(chunk)
    octets &+= chunk.octets
  }

  private func chunk(at index: Int) -> SpoolChunk? {
    index >= head && index < chunks.count ? chunks[index] : nil
  }

  /// The chunk that has the message with this number; nil when none has. O(log chunks).
  func chunk(holding message: UInt64) -> SpoolChunk? {
    var (low, high) = (head, chunks.count)
    while low < high {
      let middle = low &+ (high &- low) / 2
      guard let chunk = chunk(at: middle) else { return nil }
      if chunk.holds(message) { return chunk }
      if chunk.first.message > message { high = middle } else { low = middle &+ 1 }
    }
    return nil
  }

  /// The collector has acknowledged everything before `place`.
  mutating func confirm(to place: SpoolPosition) {
    while let chunk = chunk(at: confirmed), chunk.end.message <= place.message {
      confirmedOctets &+= chunk.octets
      confirmed &+= 1
    }
  }

  /// What was confirmed is in doubt again.
  mutating func rewind() {
    confirmed = head
    confirmedOctets = 0
  }

  /// The next chunk to be written; nil when none is due.
  ///
  /// - Parameter all: whether everything is due that is not confirmed.
  mutating func nextToWrite(now: UInt64, all: Bool) -> SpoolChunk? {
    while let chunk = chunk(at: aged), now >= chunk.takenAt, now &- chunk.takenAt >= Self.patience {
      aged &+= 1
    }
    if aged > confirmed { due = max(due, aged) }
    if waiting > capacity / 2 || all && confirmed < chunks.count { due = chunks.count }
    guard written < due, let chunk = chunk(at: written) else { return nil }
    written &+= 1
    return chunk
  }

  /// Lets go of what is not wanted any more: what is not kept, what is on the disk where room is short, and confirmed chunks
  /// that are too many.
  ///
  /// - Parameters:
  ///   - kept: the number of the first message that may have to be sent again.
  ///   - onDisk: the number of the first message that is not on the disk.
  ///   - release: called with the end of a confirmed chunk that is not kept in spite of `kept`.
  mutating func trim(kept: UInt64, onDisk: UInt64, release: (SpoolPosition) -> Void) {
    while let oldest = chunk(at: head) {
      if oldest.end.message > kept {
        let isWritten = head < written && oldest.end.message <= onDisk
        if isWritten, waiting > capacity / 2 || confirmedOctets > Self.retention {
          // It can be read again.
        } else if head < confirmed, head >= written, confirmedOctets > Self.retention {
          release(oldest.end)
        } else {
          break
        }
      }
      removeOldest(oldest)
    }
    guard head >= 1024, head > chunks.count / 2 else { return }
    chunks.removeFirst(head)
    confirmed &-= head
    aged &-= head
    due = max(0, due &- head)
    written &-= head
    head = 0
  }

  private mutating func removeOldest(_ chunk: SpoolChunk) {
    octets &-= chunk.octets
    if head < confirmed { confirmedOctets &-= chunk.octets }
    chunks[head] = nil
    head &+= 1
    confirmed = max(confirmed, head)
    aged = max(aged, head)
    written = max(written, head)
  }
}
