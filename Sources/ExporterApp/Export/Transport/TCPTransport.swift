// IPFIX sessions over TCP, plain, compressed or under TLS (RFC 7011 section 10.4): a collector that may be slow or go away, and a
// bounded queue.
import Glibc
import IPFIX
import Wire

/// Sends messages over one connection at a time; a new one is a new session.
///
/// After each connection all templates are sent first and the sequence starts at 0 (RFC 7011 sections 3.1 and 8.1).
/// A message that was sent in part is sent again whole. Never blocks, except offline, where it waits for room, and at the
/// end, where it waits for acknowledgements.
final class TCPTransport: MessageTransport {
  private(set) var counters = OutputCounters()
  let failure: ExportError? = nil
  private(set) var status = ""
  var reachability: Reachability { connection.isOpen ? .reachable : hasFailed ? .unreachable : .unknown }

  private let connection: any ByteConnection
  private let policy: OverloadPolicy
  private var complaint: Complaint
  private var queue: MessageQueue
  /// Template messages that go before the queue: all templates of a new session, or those of dropped messages.
  private var preamble = SharedBytes()
  private var preambleSent = 0
  /// Template messages of dropped messages, waiting for the end of the message that is being sent.
  private var rescued = SharedBytes()
  /// What was sent lately, to know what the kernel had not delivered when a connection breaks.
  private var history = SentHistory()
  /// Descriptions were dropped in this session.
  private var lacksDescriptions = false
  /// No progress within the bound, so nothing is waited for until there is a connection.
  private var gaveUp = false
  /// There was no connection, or it ended, and no other one followed.
  private var hasFailed = false

  /// A transport to a host with a queue of so many octets; connects at the first tick or batch.
  convenience init(host: String, port: UInt16, policy: OverloadPolicy, queueCapacity: Int = 16 << 20) {
    self.init(
      TCPConnection(host: host, port: port), name: "tcp://\(host):\(port)", policy: policy,
      queueCapacity: queueCapacity)
  }

  /// A transport over any connection; `name` is for messages.
  init(
    _ connection: any ByteConnection, name: String, policy: OverloadPolicy, queueCapacity: Int = 16 << 20
  ) {
    self.connection = connection
    self.policy = policy
    complaint = Complaint(name: name)
    queue = MessageQueue(capacity: queueCapacity)
  }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> SharedBytes) {
    var index = 0
    while index < batch.messages.count {
      let message = batch.messages[index]
      index &+= 1
      while !queue.append(batch[message], records: message.records, options: message.options) {
        guard waitForRoom(announcement) else {
          drop(batch[message], records: message.records)
          if message.options > 0 { lacksDescriptions = true }
          break
        }
      }
    }
    _ = work(now, announcement)
  }

  /// Counts a message as lost, but keeps its templates: without them the collector could not read what follows.
  private func drop(_ message: Bytes, records: Int) {
    counters.lose(records, .queueFull)
    complaint.say(
      status.isEmpty ? "the collector is too slow: records are lost" : "\(status): records are lost")
    // A session to come announces all templates anyway. These are numbered when they are sent.
    guard connection.isOpen, let templates = MessageQueue.templates(of: message) else { return }
    rescued = rescued.joined(with: templates)
  }

  /// Offline: sends until there is room for another message; false when there is no progress for too long, or live.
  private func waitForRoom(_ announcement: () -> SharedBytes) -> Bool {
    guard case .wait(let seconds) = policy else {
      return work(.current, announcement)
    }
    guard !gaveUp else { return false }
    let deadline = Moment.current.later(seconds: seconds).monotonic
    while true {
      let now = Moment.current
      if work(now, announcement) { return true }
      guard now.monotonic < deadline, !Drain.isOver else {
        gaveUp = true
        return false
      }
      connection.wait(milliseconds: 100)
    }
  }

  func tick(now: Moment, announcement: () -> SharedBytes) -> TransportEvent {
    _ = work(now, announcement)
    // Otherwise only a later send would notice, and lose what went before.
    if let reason = connection.detectEnd() { broken(now, reason) }
    guard lacksDescriptions, connection.isOpen, queue.isEmpty else { return .none }
    lacksDescriptions = false
    return .repeatDescriptions
  }

  /// Goes one step towards an empty queue: connect, or send what the socket takes. True when octets were sent.
  private func work(_ now: Moment, _ announcement: () -> SharedBytes) -> Bool {
    switch connection.advance(now) {
    case .none: break
    case .opened: begin(announcement())
    case .failed(let reason): noteTrouble(reason)
    case .refused(let reason):
      counters.refusals &+= 1
      noteTrouble(reason)
    }
    if let delay = connection.delay(now) {
      status = delay
      complaint.say(delay)
    }
    return connection.isOpen && sendPending(now)
  }

  /// Begins a session.
  private func begin(_ templates: SharedBytes) {
    status = ""
    complaint.resolve("connected")
    gaveUp = false
    hasFailed = false
    counters.connections &+= 1
    let records = templates.withBytes { MessageQueue.records(inAnnouncement: $0) }
    queue.restart(behind: records)
    history = SentHistory()
    preamble = templates.withBytes { MessageQueue.numbered($0, records) }
    preambleSent = 0
    lacksDescriptions = false
    rescued = SharedBytes()
  }

  /// Sends what the socket takes; true when that was something.
  private func sendPending(_ now: Moment) -> Bool {
    var progress = false
    while true {
      if preamble.isEmpty, !rescued.isEmpty, let sequence = queue.sequenceAtBoundary {
        preamble = rescued.withBytes { MessageQueue.numbered($0, sequence) }
        rescued = SharedBytes()
      }
      let inPreamble = !preamble.isEmpty
      guard inPreamble || !queue.isEmpty else { return progress }
      let result =
        inPreamble
        ? preamble.withBytes { connection.send($0.dropFirst(preambleSent)) }
        // Templates that wait go before the next message, so this one is sent alone.
        : connection.send(queue.pending(firstOnly: !rescued.isEmpty))
      switch result {
      case .full: return progress
      case .broken(let reason):
        broken(now, reason)
        return progress
      case .sent(let count):
        progress = true
        gaveUp = false
        counters.bytes &+= UInt64(clamping: count)
        if inPreamble { removePreamble(count) } else { removeMessages(count) }
      }
    }
  }

  private func removePreamble(_ count: Int) {
    preambleSent &+= count
    guard preambleSent >= preamble.count else { return }
    history.add(length: preambleSent, content: 0)
    counters.messages &+= 1
    preamble = SharedBytes()
    preambleSent = 0
  }

  private func removeMessages(_ count: Int) {
    queue.removeSent(count) { length, records in
      counters.messages &+= 1
      counters.sentRecords &+= UInt64(clamping: records)
      history.add(length: length, content: records)
    }
  }

  /// A connection ended: counts what the kernel had not got acknowledged, and connects again after a while.
  private func broken(_ now: Moment, _ reason: String) {
    countUnacknowledged()
    connection.disconnect(now, failed: true)
    preamble = SharedBytes()
    preambleSent = 0
    noteTrouble(reason)
  }

  /// Moves what the other side has not acknowledged from sent to lost; how many records that is.
  @discardableResult
  private func countUnacknowledged() -> Int {
    // A message sent in part is still in the queue and not lost.
    let complete = max(0, connection.unacknowledged &- queue.sentOfFirst &- preambleSent)
    let lost = history.content(inLast: complete)
    counters.takeBack(UInt64(clamping: lost), .unacknowledged)
    return lost
  }

  private func noteTrouble(_ reason: String) {
    hasFailed = true
    counters.errors &+= 1
    status = reason
    complaint.say(reason)
  }

  func reopen() {
    if let trouble = connection.reload() { complaint.say(trouble) }
  }

  /// How long the end waits without progress, in nanoseconds.
  private var patience: UInt64 {
    guard !gaveUp else { return 0 }
    return switch policy {
    case .drop: Drain.timeout
    case .wait(let seconds): Moment.nanoseconds(seconds)
    }
  }

  func settle(announcement: () -> SharedBytes) {
    let patience = patience
    // Who is not connected gets another second, who reads slowly all the time there is.
    var progressAt = Moment.current.monotonic
    while !queue.isEmpty || !preamble.isEmpty {
      let now = Moment.current
      if work(now, announcement) { progressAt = now.monotonic }
      if case .drop = policy, !connection.isOpen, now.monotonic &- progressAt >= 1_000_000_000 { break }
      // Nobody is there, and no flow waits: what is left would only describe the run.
      if !connection.isOpen, queue.records == 0 { break }
      guard now.monotonic &- progressAt < patience, !Drain.isOver else { break }
      if !queue.isEmpty { connection.wait(milliseconds: 100) }
    }
    if !queue.isEmpty || !preamble.isEmpty { gaveUp = true }
  }

  func close(announcement: () -> SharedBytes) {
    let patience = patience
    settle(announcement: announcement)
    counters.lose(queue.removeAll(), .queueFull)
    if connection.isOpen { waitForAcknowledgement(patience) }
    connection.disconnect(.current, failed: false)
  }

  /// Ends the sending side and waits until all was acknowledged; counts what was not.
  private func waitForAcknowledgement(_ patience: UInt64) {
    connection.finishSending()
    var progressAt = Clock.monotonic()
    var waiting = connection.unacknowledged
    while waiting > 0 {
      let now = Clock.monotonic()
      guard now &- progressAt < patience, !Drain.isOver else { break }
      if let reason = connection.detectEnd(), connection.unacknowledged > 0 {
        status = reason
        break
      }
      usleep(2_000)
      let rest = connection.unacknowledged
      if rest < waiting { progressAt = now }
      waiting = rest
    }
    guard waiting > 0 else { return }
    let lost = history.content(inLast: waiting)
    counters.takeBack(UInt64(clamping: lost), .unacknowledged)
    if status.isEmpty { status = "the collector did not acknowledge all" }
  }
}
