// A collector that may be away for hours: what it has not got waits in memory, then on the disk, and across runs.
import Glibc
import IPFIX
import Wire

/// Sends messages over one connection at a time, and keeps each until the collector has it.
///
/// Every message has its number (`SpoolPosition`). Those from `window.kept` on are in memory (`SpoolMemory`), on the disk
/// (`Spool`) or both; `next` is the one that is sent next. A connection that ends moves `next` back to what the collector
/// may not have. Each connection is a session of its own: templates first, sequence from 0 (RFC 7011 sections 3.1 and 8.1).
/// Messages of different runs have different template numbers, so each run's are sent in sessions of their own.
///
/// Never blocks, except offline, where it waits for room, and at the end.
final class SpoolTransport: MessageTransport {
  /// A transport session.
  struct Session {
    /// Whose templates it has.
    var run: UInt64
    /// Messages of this run below this number need no templates: all were sent first.
    var announced: UInt64
    /// Before its first message.
    var start: SpoolPosition
    /// The next message needs a session of its own.
    var isEnding = false
    /// Since when the collector has been asked to end a session of which it has everything; 0: it was not yet.
    var endingSince: UInt64 = 0
  }

  let failure: ExportError? = nil
  let connection: any ByteConnection
  let spool: Spool
  let policy: OverloadPolicy
  let name: String
  var memory: SpoolMemory
  var window: SentWindow
  /// The templates that a session has which sends messages of an earlier run; nil in one for this run's, which has them all.
  var known: KnownTemplates?
  /// Sessions in a row that the collector broke off before anything in them was beyond doubt.
  var fruitless = 0
  /// What is about to be sent, numbered for the session.
  var queue = MessageQueue(capacity: 1 << 20)
  /// The session's templates, which go first.
  var preamble = SharedBytes()
  var preambleSent = 0
  /// nil while there is no connection, or nothing to begin with.
  var session: Session?
  /// Before the message that goes into `queue` next, and behind the last one that was taken.
  var next: SpoolPosition
  var taken: SpoolPosition
  /// What was read from the disk last, and the message that the next chunk from there begins with; nil when none is asked for.
  var reading: SpoolChunk?
  var requested: UInt64?
  /// Behind the last messages that could not be read and are counted.
  var damagedTo = SpoolPosition()
  var complaint: Complaint
  var trouble = ""
  var own = OutputCounters()
  var isClosing = false
  /// Messages with all templates handed over so far.
  private var templates = SharedBytes()
  /// Messages with templates were dropped: the next ones need them.
  private var needsTemplates = false
  /// Offline: no progress within the bound, so nothing is waited for until there is some.
  var gaveUp = false

  /// A transport over any connection.
  ///
  /// - Parameters:
  ///   - name: for messages.
  ///   - queueCapacity: octets that may wait in memory.
  init(
    _ connection: any ByteConnection, name: String, spool: Spool, policy: OverloadPolicy,
    queueCapacity: Int = 16 << 20
  ) {
    self.connection = connection
    self.name = name
    self.spool = spool
    self.policy = policy
    memory = SpoolMemory(capacity: queueCapacity)
    next = spool.resume
    taken = spool.start
    window = SentWindow(at: next)
    complaint = Complaint(name: name)
    own.spoolTorn = spool.lostBefore
    if spool.lostBefore > 0 {
      logger.warning(
        "\(name): \(spool.lostBefore) records of an earlier run are lost, or their arrival is not known: it was killed before they were in \(spool.path)"
      )
    }
    let waiting = next.records(to: taken)
    if waiting > 0 { logger.info("\(name): \(waiting) records of earlier runs wait in \(spool.path)") }
  }

  var counters: OutputCounters {
    let report = spool.report
    var counters = own
    counters.spooled = report.spooledRecords
    counters.errors &+= report.errors
    counters.spoolWaiting = window.confirmed.records(to: report.written)
    return counters
  }

  var reachability: Reachability {
    connection.isOpen ? .reachable : trouble.isEmpty ? .unknown : .unreachable
  }
  var status: String { trouble.isEmpty ? spool.status : trouble }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> SharedBytes) {
    // With the batch's own: a segment on the disk that begins with it can be read without its first message.
    if batch.holdsTemplates { templates = announcement() }
    if needsTemplates, templates.count > 0 {
      needsTemplates = !take(templates, units: Self.units(of: templates), now, announcement)
    }
    var isTaken = false
    if !needsTemplates {
      isTaken = take(SharedBytes(copying: batch.contents), units: batch.units, now, announcement)
    }
    if !isTaken { lose(batch.records) }
    if batch.holdsTemplates { needsTemplates = needsTemplates || !isTaken }
    _ = work(now, announcement)
  }

  /// Where the messages in some octets end; they hold no data records.
  private static func units(of messages: SharedBytes) -> GrowableList<SpoolChunk.Unit> {
    var units = GrowableList<SpoolChunk.Unit>()
    messages.withBytes { bytes in
      var end = 0
      while end &+ 4 <= bytes.count {
        end &+= max(MessageQueue.headerLength, Int(bytes.load(UInt16.self, at: end &+ 2)))
        if end <= bytes.count { units.append(SpoolChunk.Unit(end: end, records: 0)) }
      }
    }
    return units
  }

  /// Takes messages, if there is room or will be soon enough.
  private func take(
    _ bytes: SharedBytes, units: consuming GrowableList<SpoolChunk.Unit>, _ now: Moment,
    _ announcement: () -> SharedBytes
  ) -> Bool {
    let chunk = SpoolChunk(
      bytes, units: units, run: spool.run, templates: templates, first: taken, takenAt: now.monotonic)
    guard memory.hasRoom(for: chunk) || waitForRoom(for: chunk, announcement) else { return false }
    memory.append(chunk)
    taken = chunk.end
    return true
  }

  /// Live: looks whether there is room by now. Offline: goes on until there is, or nothing has moved for too long.
  private func waitForRoom(for chunk: SpoolChunk, _ announcement: () -> SharedBytes) -> Bool {
    guard case .wait(let seconds) = policy else {
      _ = work(.current, announcement)
      return memory.hasRoom(for: chunk)
    }
    var deadline = Moment.current.later(seconds: seconds).monotonic
    var before = spool.report.written
    var reached = window.confirmed
    while true {
      let now = Moment.current
      _ = work(now, announcement)
      let written = spool.report.written
      if memory.hasRoom(for: chunk) {
        gaveUp = false
        return true
      }
      // What is sent again and again is no progress.
      if window.confirmed.message > reached.message || written != before {
        deadline = now.later(seconds: seconds).monotonic
      }
      reached = SpoolPosition.later(reached, window.confirmed)
      before = written
      guard !gaveUp, now.monotonic < deadline, !Drain.isOver else {
        gaveUp = true
        return false
      }
      usleep(1000)
    }
  }

  /// Counts records for which there was no room, by what kept them from the disk.
  func lose(_ records: Int) {
    let cause: LossCause =
      switch spool.report.trouble {
      case .none: .queueFull
      case .full: .spoolFull
      case .disk: .diskError
      }
    own.lose(records, cause)
    if records > 0 {
      complaint.say(
        status.isEmpty ? "the collector is too slow: records are lost" : "\(status): records are lost")
    }
  }

  func reopen() {
    if let trouble = connection.reload() { complaint.say(trouble) }
  }

  func tick(now: Moment, announcement: () -> SharedBytes) -> TransportEvent {
    _ = work(now, announcement)
    // Otherwise only a later send would notice.
    if let reason = connection.detectEnd() {
      broken(now, reason)
      settle(now)
    }
    return .none
  }
}
