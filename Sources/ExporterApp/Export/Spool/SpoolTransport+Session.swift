// The sessions of a spool's transport: what each begins with, what goes into it, and what its end leaves to the next.
import IPFIX
import Wire

extension SpoolTransport {
  /// Octets that one look sends at most: a collector that catches up must not hold up the others.
  private static let stretch = 4 << 20
  /// Nanoseconds that a collector which has everything gets to read it and to end the session.
  private static let patience: UInt64 = 30_000_000_000

  /// Goes one step: connects or sends, and sees to memory and disk. True when octets were sent.
  func work(_ now: Moment, _ announcement: () -> SharedBytes) -> Bool {
    switch connection.advance(now) {
    case .none: break
    case .opened:
      trouble = ""
      complaint.resolve("connected")
      own.connections &+= 1
    case .failed(let reason): noteTrouble(reason)
    case .refused(let reason):
      own.refusals &+= 1
      noteTrouble(reason)
    }
    if let delay = connection.delay(now) {
      trouble = delay
      complaint.say(delay)
    }
    var hasSent = false
    if connection.isOpen {
      if session == nil { begin(announcement) }
      if session != nil { hasSent = sendPending(now) }
    }
    settle(now)
    return hasSent
  }

  /// Sees to it that memory holds no more than it should, and tells the spool's thread what is new.
  func settle(_ now: Moment) {
    confirm()
    memory.confirm(to: window.confirmed)
    while let chunk = memory.nextToWrite(now: now.monotonic, all: isClosing) { spool.write(chunk) }
    memory.trim(kept: window.kept.message, onDisk: spool.report.written.message) { window.release(to: $0) }
    var progress = SpoolState()
    progress.resume = window.confirmed
    progress.taken = taken
    spool.note(progress, keep: window.kept.message)
  }

  private func confirm() {
    guard session != nil else { return }
    let count = window.confirm(unacknowledged: connection.unacknowledged)
    own.sentRecords &+= count.records
    own.spoolDelivered &+= count.spooled
  }

  // What is sent.

  private enum Source {
    /// Everything was passed on.
    case nothing
    /// The disk is being read.
    case pending
    case chunk(SpoolChunk, isSpooled: Bool)
  }

  /// Where the message at `next` is.
  private func source() -> Source {
    guard next.message < taken.message else { return .nothing }
    if let reading, reading.holds(next.message) { return .chunk(reading, isSpooled: true) }
    reading = nil
    if let chunk = memory.chunk(holding: next.message) {
      if requested != nil { spool.stopReading() }
      requested = nil
      return .chunk(chunk, isSpooled: false)
    }
    if requested != next.message {
      requested = next.message
      spool.read(from: next.message)
      return .pending
    }
    guard let chunk = spool.take() else { return .pending }
    if chunk.first.message > next.message { passDamage(to: chunk.first) }
    requested = chunk.end.message
    guard chunk.holds(next.message) else { return .pending }
    reading = chunk
    return .chunk(chunk, isSpooled: true)
  }

  /// Counts messages that cannot be read, once, and goes on behind them.
  private func passDamage(to place: SpoolPosition) {
    pass(to: place, "cannot be read")
    // Templates may be among what is lost: the next session begins with those that are known behind it.
    if known != nil { session?.isEnding = true }
  }

  /// Counts what stands up to `place` as lost, once, and goes on there.
  private func pass(to place: SpoolPosition, _ reason: String) {
    let lost = SpoolPosition.later(next, damagedTo).records(to: place)
    own.spoolTorn &+= lost
    damagedTo = SpoolPosition.later(damagedTo, place)
    if lost > 0 { complaint.say("\(lost) records in \(spool.path) \(reason) and are lost") }
    next = place
    window.skip(to: place)
  }

  /// Begins a session, once it is known with whose templates.
  private func begin(_ announcement: () -> SharedBytes) {
    var run = spool.run
    switch source() {
    case .pending: return
    case .chunk(let chunk, _) where chunk.run != run:
      run = chunk.run
      preamble = chunk.templates
    case .nothing, .chunk: preamble = announcement()
    }
    let described = preamble.withBytes { MessageQueue.records(inAnnouncement: $0) }
    preamble = preamble.withBytes { MessageQueue.numbered($0, described) }
    known = run == spool.run ? nil : KnownTemplates(preamble)
    session = Session(run: run, announced: run == spool.run ? taken.message : 0, start: next)
    preambleSent = 0
    _ = queue.removeAll()
    queue.restart(behind: described)
    window.begin(
      at: next, preamble: preamble.count, doubt: SentWindow.longestDoubt >> UInt64(clamping: fruitless &- 1))
  }

  /// Fills the queue; nothing goes behind the last message of a run.
  private func feed() {
    while session?.isEnding == false {
      guard case .chunk(let chunk, let isSpooled) = source() else { return }
      if chunk.run != session?.run { session?.isEnding = true }
      guard session?.isEnding == false else { return }
      let start = Int(clamping: next.message &- chunk.first.message)
      let reached = chunk.forEach(from: start) { message, unit, place in
        var end = place
        end.pass(records: unit.records)
        return enqueue(message, unit, to: end, isSpooled: isSpooled)
      }
      guard reached >= chunk.units.count else { return }
    }
  }

  /// Adds the message at `next`, without templates that the session has already; false when there is no room.
  private func enqueue(
    _ message: Bytes, _ unit: SpoolChunk.Unit, to end: SpoolPosition, isSpooled: Bool
  ) -> Bool {
    // Before its templates count as sent.
    guard queue.hasRoom(for: message.count) else { return false }
    let holdsTemplates = MessageQueue.holdsTemplates(message)
    var isAnnounced = next.message < session?.announced ?? 0
    if var known = known.take() {
      if holdsTemplates { isAnnounced = known.note(message) }
      let isReadable = known.cover(message)
      self.known = consume known
      guard isReadable else {
        pass(to: end, "have lost their templates")
        return true
      }
    }
    if isAnnounced, holdsTemplates {
      var copy = OwnedBytes(copying: message)
      let length = MessageQueue.keepSets(of: &copy, 0, message.count) { !MessageQueue.isTemplateSet($0) }
      if length > MessageQueue.headerLength {
        guard queue.append(copy.view(0, length), records: unit.records, options: unit.options) else {
          return false
        }
        window.enqueue(octets: length, records: unit.records, place: end, isSpooled: isSpooled)
      } else {
        window.skip(to: end)
      }
    } else {
      guard queue.append(message, records: unit.records, options: unit.options) else { return false }
      window.enqueue(octets: message.count, records: unit.records, place: end, isSpooled: isSpooled)
    }
    next = end
    return true
  }

  /// Sends what the socket takes; true when that was something.
  private func sendPending(_ now: Moment) -> Bool {
    var sent = 0
    while sent < Self.stretch {
      feed()
      let inPreamble = !preamble.isEmpty
      guard inPreamble || !queue.isEmpty else {
        if session?.isEnding == true { endRun(now) }
        break
      }
      let result =
        inPreamble
        ? preamble.withBytes { connection.send($0.dropFirst(preambleSent)) }
        : connection.send(queue.pending())
      switch result {
      case .full: return sent > 0
      case .broken(let reason):
        broken(now, reason)
        return sent > 0
      case .sent(let count):
        sent &+= count
        gaveUp = false
        own.bytes &+= UInt64(clamping: count)
        window.noteSent(count)
        if inPreamble {
          removePreamble(count)
        } else {
          queue.removeSent(count) { _, _ in own.messages &+= 1 }
        }
      }
    }
    return sent > 0
  }

  private func removePreamble(_ count: Int) {
    preambleSent &+= count
    guard preambleSent >= preamble.count else { return }
    own.messages &+= 1
    preamble = SharedBytes()
    preambleSent = 0
  }

  // How a session ends.

  /// Everything of the session was sent: ends the connection when the collector has read it, and makes the next one at once.
  /// That it has read everything it says by ending its side; who does not is believed after a while.
  private func endRun(_ now: Moment) {
    connection.finishSending()
    guard connection.unacknowledged == 0 else { return }
    confirm()
    if session?.endingSince == 0 { session?.endingSince = now.monotonic }
    guard now.monotonic &- (session?.endingSince ?? 0) >= Self.patience else { return }
    endSession(inOrder: true)
    connection.disconnect(now, failed: false)
  }

  /// A connection broke: what the collector may not have is sent again over the next one.
  func broken(_ now: Moment, _ reason: String) {
    confirm()
    if session?.isEnding == true, window.isEmpty, connection.endedInOrder {
      // The collector's answer to `endRun`.
      endSession(inOrder: true)
      connection.disconnect(now, failed: false)
      return
    }
    endSession(inOrder: connection.endedInOrder)
    connection.disconnect(now, failed: true)
    noteTrouble(reason)
  }

  /// Goes back to what the collector may not have.
  func endSession(inOrder: Bool) {
    if let session {
      // A session counts in which something was acknowledged, and nothing is beyond doubt.
      if inOrder {
        fruitless = 0
      } else if window.kept == session.start, window.confirmed != session.start {
        fruitless &+= 1
      }
      let (takenBack, repeated) = window.end(inOrder: inOrder)
      own.sentRecords &-= min(own.sentRecords, takenBack.records)
      own.spoolDelivered &-= min(own.spoolDelivered, takenBack.spooled)
      own.repeated &+= repeated
    }
    session = nil
    known = nil
    next = window.confirmed
    memory.rewind()
    reading = nil
    requested = nil
    spool.stopReading()
    preamble = SharedBytes()
    preambleSent = 0
  }

  private func noteTrouble(_ reason: String) {
    own.errors &+= 1
    trouble = reason
    complaint.say(reason)
  }
}
