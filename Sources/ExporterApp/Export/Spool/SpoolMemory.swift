// The messages that a spool's owner still has in memory: what the collector has not acknowledged, what it may not have read,
// and what is too new to be on the disk.

/// Chunks in their order, the oldest first.
///
/// They are kept until the collector has them for certain; those that are on the disk go earlier, when more than half of the
/// room is used. What waits for longer than `patience`, or uses more than half of the room, is due to be written, and
/// with it everything before: so that the disk has no gaps behind the oldest message that may have to be sent again.
struct SpoolMemory: ~Copyable {
  /// A link of the chain.
  private final class Link {
    let chunk: SpoolChunk
    var next: Link?

    init(_ chunk: SpoolChunk) { self.chunk = chunk }
  }

  /// Octets of chunks that the collector has not confirmed, at most.
  let capacity: Int
  private var oldest: Link?
  private var newest: Link?
  /// The first chunks that are not confirmed, not old, not handed out to be written; nil where all are.
  private var unconfirmed: Link?
  private var young: Link?
  private var unwritten: Link?
  /// Where the last search ended, for the next one, which goes on from there.
  private var found: Link?
  /// Messages below this number are due to be written.
  private var due: UInt64 = 0
  /// Octets of all chunks, and of the confirmed ones.
  private var octets = 0
  private var confirmedOctets = 0

  /// Nanoseconds that a message may wait for the collector before it is written to the disk.
  static let patience: UInt64 = 500_000_000
  /// Octets of confirmed chunks, at most.
  private static let retention = Int(clamping: SentWindow.longestDoubt)

  /// No chunks; room for so many octets.
  init(capacity: Int) { self.capacity = capacity }

  deinit {
    // One by one: a chain that lets go of its first link would go down it, a call for each.
    var link = oldest
    while let here = link {
      link = here.next
      here.next = nil
    }
  }

  /// Octets that wait.
  private var waiting: Int { octets &- confirmedOctets }

  /// Whether there is room for a chunk. One always fits where nothing waits.
  func hasRoom(for chunk: SpoolChunk) -> Bool { waiting &+ chunk.octets <= capacity || waiting == 0 }

  /// Adds the newest chunk.
  mutating func append(_ chunk: SpoolChunk) {
    let link = Link(chunk)
    if let newest { newest.next = link } else { oldest = link }
    newest = link
    unconfirmed = unconfirmed ?? link
    young = young ?? link
    unwritten = unwritten ?? link
    octets &+= chunk.octets
  }

  /// The chunk that has the message with this number; nil when none has. Quick where the last one asked for is near.
  mutating func chunk(holding message: UInt64) -> SpoolChunk? {
    var link = oldest
    if let found, found.chunk.first.message <= message { link = found }
    while let here = link, here.chunk.end.message <= message { link = here.next }
    found = link
    guard let link, link.chunk.holds(message) else { return nil }
    return link.chunk
  }

  /// The collector has acknowledged everything before `place`.
  mutating func confirm(to place: SpoolPosition) {
    while let link = unconfirmed, link.chunk.end.message <= place.message {
      confirmedOctets &+= link.chunk.octets
      unconfirmed = link.next
    }
  }

  /// What was confirmed is in doubt again.
  mutating func rewind() {
    unconfirmed = oldest
    young = oldest
    confirmedOctets = 0
  }

  /// The next chunk to be written; nil when none is due.
  ///
  /// - Parameter all: whether everything is due that is not confirmed.
  mutating func nextToWrite(now: UInt64, all: Bool) -> SpoolChunk? {
    while let link = young, now >= link.chunk.takenAt, now &- link.chunk.takenAt >= Self.patience {
      young = link.next
      // What is confirmed needs no disk, unless something behind it does.
      if let unconfirmed, link.chunk.end.message > unconfirmed.chunk.first.message {
        due = link.chunk.end.message
      }
    }
    if waiting > capacity / 2 || all && unconfirmed != nil, let newest { due = newest.chunk.end.message }
    guard let link = unwritten, link.chunk.first.message < due else { return nil }
    unwritten = link.next
    return link.chunk
  }

  /// Lets go of what is not wanted any more: what is not kept, what is on the disk where room is short, and confirmed chunks
  /// that are too many.
  ///
  /// - Parameters:
  ///   - kept: the number of the first message that may have to be sent again.
  ///   - onDisk: the number of the first message that is not on the disk.
  ///   - release: called with the end of a confirmed chunk that is not kept in spite of `kept`.
  mutating func trim(kept: UInt64, onDisk: UInt64, release: (SpoolPosition) -> Void) {
    while let link = oldest {
      let end = link.chunk.end
      if end.message > kept {
        let isShort = waiting > capacity / 2 || confirmedOctets > Self.retention
        if link === unwritten {
          // Neither on the disk nor on its way there.
          guard link !== unconfirmed, confirmedOctets > Self.retention else { return }
          release(end)
        } else if !isShort || end.message > onDisk {
          return
        }
      }
      removeOldest(link)
    }
  }

  private mutating func removeOldest(_ link: Link) {
    octets &-= link.chunk.octets
    if link === unconfirmed { unconfirmed = link.next } else { confirmedOctets &-= link.chunk.octets }
    if link === young { young = link.next }
    if link === unwritten { unwritten = link.next }
    if link === found { found = nil }
    if link === newest { newest = nil }
    oldest = link.next
  }
}
