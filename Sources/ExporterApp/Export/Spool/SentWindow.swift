// What a session has sent and the collector may not have: if the connection breaks, the next one begins with it.
import Wire

/// The messages of one transport session from the oldest that may have to be sent again, by their place in the stream of
/// octets.
///
/// An acknowledgement says that the other system has the octets, not that the collector has read them. A collector that
/// ends orderly had read everything (else its system would reset the connection, RFC 1122 section 4.2.2.13). After a reset,
/// or an end without a word, the last `doubt` octets that were acknowledged are in doubt, too.
struct SentWindow: ~Copyable {
  fileprivate struct Entry: BitwiseCopyable {
    /// Octets of the session up to the message's end.
    var octets: UInt64
    /// Behind the message.
    var place: SpoolPosition
    var records: Int
    var isSpooled: Bool
  }

  /// Records, and those among them that came from the disk.
  struct Count: Equatable {
    var records: UInt64 = 0
    var spooled: UInt64 = 0
  }

  /// As much as a collector's system may have received and not handed on, where it is set up as Linux is by default
  /// (net.ipv4.tcp_rmem).
  static let longestDoubt: UInt64 = 6 << 20

  private var entries = GrowableList<Entry>(capacity: 1024)
  /// Octets of the session that may be acknowledged and not read.
  private var doubt = longestDoubt
  /// The entries before are not kept, and those before `confirmedCount` are acknowledged.
  private var keptCount = 0
  private var confirmedCount = 0
  /// Octets of the session that were handed to `enqueue`, and those that were sent.
  private var enqueued: UInt64 = 0
  private var sent: UInt64 = 0
  /// Behind what is acknowledged.
  private(set) var confirmed: SpoolPosition
  /// Behind what is not kept: where a session begins that follows a reset.
  private(set) var kept: SpoolPosition

  /// Nothing is sent; everything before `place` is with the collector.
  init(at place: SpoolPosition) {
    confirmed = place
    kept = place
  }

  /// Begins a session at `place` that sends so many octets of templates first; the last `doubt` octets are in doubt.
  mutating func begin(at place: SpoolPosition, preamble: Int, doubt: UInt64 = longestDoubt) {
    self = SentWindow(at: place)
    self.doubt = doubt
    enqueued = UInt64(clamping: preamble)
  }

  /// Adds a message behind those before; `place` is behind it.
  mutating func enqueue(octets: Int, records: Int, place: SpoolPosition, isSpooled: Bool) {
    enqueued &+= UInt64(clamping: octets)
    entries.append(Entry(octets: enqueued, place: place, records: records, isSpooled: isSpooled))
  }

  /// Passes what is not to be sent, up to `place`.
  mutating func skip(to place: SpoolPosition) {
    let last = entries.count &- 1
    if keptCount <= last { entries[last].place = place } else { kept = place }
    if confirmedCount > last { confirmed = place }
  }

  /// So many more octets were sent.
  mutating func noteSent(_ octets: Int) { sent &+= UInt64(clamping: octets) }

  /// Whether all that was enqueued was sent and acknowledged.
  var isEmpty: Bool { confirmedCount == entries.count }

  /// Takes the number of octets that were sent and not acknowledged; what is new behind them.
  mutating func confirm(unacknowledged: Int) -> Count {
    let rest = UInt64(clamping: unacknowledged)
    let acknowledged = sent > rest ? sent &- rest : 0
    var count = Count()
    while confirmedCount < entries.count, entries[confirmedCount].octets <= acknowledged {
      count.add(entries[confirmedCount])
      confirmed = entries[confirmedCount].place
      confirmedCount &+= 1
    }
    while keptCount < confirmedCount, entries[keptCount].octets &+ doubt <= acknowledged { letGo() }
    if keptCount >= 4096 {
      entries.removeFirst(keptCount)
      confirmedCount &-= keptCount
      keptCount = 0
    }
    return count
  }

  private mutating func letGo() {
    kept = entries[keptCount].place
    keptCount &+= 1
  }

  /// Gives up what is acknowledged and before `place`: there is no memory for it.
  mutating func release(to place: SpoolPosition) {
    while keptCount < confirmedCount, entries[keptCount].place.message <= place.message { letGo() }
  }

  /// Ends the session.
  ///
  /// - Parameter inOrder: the collector had read what its system acknowledged.
  /// - Returns: what is not confirmed any more, and what may arrive twice.
  mutating func end(inOrder: Bool) -> (takenBack: Count, repeated: UInt64) {
    var takenBack = Count()
    var repeated = Count()
    var index = inOrder ? confirmedCount : keptCount
    while index < entries.count {
      let entry = entries[index]
      if index < confirmedCount { takenBack.add(entry) }
      let begin = index > 0 ? entries[index &- 1].octets : 0
      if begin < sent { repeated.add(entry) }
      index &+= 1
    }
    let place = inOrder ? confirmed : kept
    self = SentWindow(at: place)
    return (takenBack, repeated.records)
  }
}

extension SentWindow.Count {
  fileprivate mutating func add(_ entry: SentWindow.Entry) {
    records &+= UInt64(clamping: entry.records)
    if entry.isSpooled { spooled &+= UInt64(clamping: entry.records) }
  }
}
