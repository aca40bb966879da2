// IPFIX over TCP (RFC 7011 section 10.4): a connection that may break, a collector that may be slow, a bounded queue.
import Glibc
import IPFIX

/// Sends messages over one TCP connection at a time and makes a new one when it breaks.
///
/// After each connection all templates are sent first and the sequence starts at 0 (RFC 7011 sections 3.1 and 8.1).
/// A message that was sent in part is sent again whole. Never blocks, except offline, where it waits for room.
final class TCPTransport: MessageTransport {
  private enum State {
    case disconnected
    case connecting(deadline: UInt64)
    case connected
  }

  private(set) var counters = TransportCounters()
  let failure: ExportError? = nil
  private(set) var status = ""

  private let resolver: HostResolver
  private let policy: OverloadPolicy
  private var state = State.disconnected
  private var socket: Int32 = -1
  private var candidates: [SocketAddress] = []
  private var backOff = BackOff()
  private var queue: MessageQueue
  /// Template messages that go before the queue: all templates of a new session, or those of dropped messages.
  private var preamble: [UInt8] = []
  private var preambleSent = 0
  /// Template messages of dropped messages, waiting for the end of the message that is being sent.
  private var rescued: [UInt8] = []
  /// What was sent lately, to know what the kernel had not delivered when a connection breaks.
  private var history = SentHistory()
  /// Offline: no progress within the bound, so nothing is waited for until there is a connection.
  private var gaveUp = false

  /// A transport to a host with a queue of so many octets; connects at the first tick or batch.
  init(host: String, port: UInt16, policy: OverloadPolicy, queueCapacity: Int = 16 << 20) {
    resolver = HostResolver(host: host, port: port, datagrams: false)
    self.policy = policy
    queue = MessageQueue(capacity: queueCapacity)
  }

  deinit { if socket >= 0 { Glibc.close(socket) } }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> [UInt8]) {
    for message in batch.messages {
      while !queue.append(batch[message], records: message.records) {
        guard waitForRoom(announcement) else {
          drop(batch[message], records: message.records)
          break
        }
      }
    }
    _ = work(now, announcement)
  }

  /// Counts a message as lost, but keeps its templates: without them the collector could not read what follows.
  private func drop(_ message: UnsafeRawBufferPointer, records: Int) {
    counters.lostRecords += UInt64(records)
    var templates = Array(message)
    let length = templates.withUnsafeMutableBytes { buffer in MessageQueue.keepSets(of: buffer) { $0 == 2 } }
    // A session to come announces all templates anyway.
    guard length > 16, case .connected = state else { return }
    rescued += templates[..<length]
  }

  /// Offline: sends until there is room for another message; false when there is no progress for too long, or live.
  private func waitForRoom(_ announcement: () -> [UInt8]) -> Bool {
    guard case .wait(let seconds) = policy else {
      return work(.current, announcement)
    }
    guard !gaveUp else { return false }
    let deadline = Moment.current.later(seconds: seconds).monotonic
    while true {
      let now = Moment.current
      if work(now, announcement) { return true }
      guard now.monotonic < deadline else {
        gaveUp = true
        return false
      }
      waitForSocket(milliseconds: 100)
    }
  }

  private func waitForSocket(milliseconds: Int32) {
    var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    // Without a socket there is nothing to poll, only time to pass.
    poll(&waiting, socket >= 0 ? 1 : 0, socket >= 0 ? milliseconds : min(milliseconds, 20))
  }

  func tick(now: Moment, announcement: () -> [UInt8]) -> TransportEvent {
    _ = work(now, announcement)
    detectEnd(now)
    return .none
  }

  /// Goes one step towards an empty queue: connect, or send what the socket takes. True when octets were sent.
  private func work(_ now: Moment, _ announcement: () -> [UInt8]) -> Bool {
    switch state {
    case .disconnected:
      startConnection(now)
      return false
    case .connecting(let deadline):
      finishConnection(now, deadline, announcement)
      if case .connected = state { return sendPending(now) }
      return false
    case .connected: return sendPending(now)
    }
  }

  private func startConnection(_ now: Moment) {
    if candidates.isEmpty {
      guard backOff.isDue(now) else { return }
      switch resolver.poll() {
      case .pending: return
      case .failed(let reason): return failed(now, reason)
      case .addresses(let addresses): candidates = addresses
      }
    }
    let candidate = candidates.removeFirst()
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    socket = Glibc.socket(candidate.family, type, 0)
    guard socket >= 0 else { return failed(now, ExportError.reason(errno)) }
    let code = candidate.withSockaddr { Glibc.connect(socket, $0, $1) } == 0 ? 0 : errno
    guard code == 0 || code == EINPROGRESS else { return failed(now, ExportError.reason(code)) }
    // The kernel would try for two minutes.
    state = .connecting(deadline: now.monotonic &+ 10_000_000_000)
  }

  private func finishConnection(_ now: Moment, _ deadline: UInt64, _ announcement: () -> [UInt8]) {
    var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    guard poll(&waiting, 1, 0) > 0 else {
      if now.monotonic >= deadline { failed(now, ExportError.reason(ETIMEDOUT)) }
      return
    }
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
    guard code == 0 else { return failed(now, ExportError.reason(code)) }
    var on: Int32 = 1
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, size)
    state = .connected
    status = ""
    gaveUp = false
    candidates = []
    backOff.succeeded()
    counters.connections += 1
    queue.restart()
    history = SentHistory()
    preamble = announcement()
    preambleSent = 0
    rescued = []
  }

  /// Sends what the socket takes; true when that was something.
  private func sendPending(_ now: Moment) -> Bool {
    var progress = false
    while true {
      if preamble.isEmpty, !rescued.isEmpty, let sequence = queue.sequenceAtBoundary {
        preamble = rescued
        preamble.withUnsafeMutableBytes { MessageQueue.number($0, sequence) }
        rescued = []
      }
      let inPreamble = !preamble.isEmpty
      guard inPreamble || !queue.isEmpty else { return progress }
      let count: Int
      if inPreamble {
        count = preamble.withUnsafeBytes { transmit(UnsafeRawBufferPointer(rebasing: $0[preambleSent...])) }
      } else {
        // Templates that wait go before the next message, so this one is sent alone.
        count = transmit(queue.pending(firstOnly: !rescued.isEmpty))
      }
      guard count >= 0 else {
        if errno == EINTR { continue }
        if errno != EAGAIN { broken(now, ExportError.reason(errno)) }
        return progress
      }
      progress = true
      gaveUp = false
      counters.bytes += UInt64(count)
      if inPreamble {
        preambleSent += count
        guard preambleSent == preamble.count else { continue }
        history.add(length: preambleSent, records: 0)
        counters.messages += 1
        preamble = []
        preambleSent = 0
      } else {
        queue.removeSent(count) { length, records in
          counters.messages += 1
          counters.records += UInt64(records)
          history.add(length: length, records: records)
        }
      }
    }
  }

  private func transmit(_ bytes: UnsafeRawBufferPointer) -> Int {
    Glibc.send(
      socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
  }

  /// Notices a collector that closed its end: otherwise only a later send would, and lose what went before.
  private func detectEnd(_ now: Moment) {
    guard case .connected = state else { return }
    // Collectors have nothing to say; what they send is thrown away.
    let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) {
      recv(socket, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
    }
    if count == 0 {
      broken(now, "the collector closed the connection")
    } else if count < 0 && errno != EAGAIN && errno != EINTR {
      broken(now, ExportError.reason(errno))
    }
  }

  /// A connection ended: counts what the kernel had not got acknowledged, and connects again after a while.
  private func broken(_ now: Moment, _ reason: String) {
    var unacknowledged: Int32 = 0
    if ioctl(socket, UInt(TIOCOUTQ), &unacknowledged) == 0 {
      // A message sent in part is still in the queue and not lost.
      let complete = max(0, Int(unacknowledged) - queue.sentOfFirst - preambleSent)
      let lost = UInt64(history.records(inLast: complete))
      counters.lostRecords += lost
      counters.records -= min(lost, counters.records)
    }
    failed(now, reason)
  }

  private func failed(_ now: Moment, _ reason: String) {
    if socket >= 0 { Glibc.close(socket) }
    socket = -1
    state = .disconnected
    preamble = []
    preambleSent = 0
    counters.errors += 1
    status = "\(resolver.host): \(reason)"
    // Another address of the same name is tried at once.
    if candidates.isEmpty { backOff.failed(now) }
  }

  func close(announcement: () -> [UInt8]) {
    var progressAt = Moment.current.monotonic
    let patience: UInt64
    switch policy {
    case .drop: patience = 1_000_000_000
    case .wait(let seconds): patience = gaveUp ? 0 : UInt64(seconds * 1e9)
    }
    while !queue.isEmpty || !preamble.isEmpty {
      let now = Moment.current
      if work(now, announcement) { progressAt = now.monotonic }
      guard now.monotonic &- progressAt < patience else { break }
      if !queue.isEmpty { waitForSocket(milliseconds: 100) }
    }
    counters.lostRecords += UInt64(queue.removeAll())
    if socket >= 0 {
      shutdown(socket, Int32(SHUT_WR))
      Glibc.close(socket)
    }
    socket = -1
    state = .disconnected
  }

}

/// The lengths of messages sent lately: enough to cover any socket buffer.
private struct SentHistory {
  private var entries: [(length: Int, records: Int)] = []
  private var next = 0
  private static let limit = 8192

  mutating func add(length: Int, records: Int) {
    if entries.count < Self.limit {
      entries.append((length, records))
    } else {
      entries[next] = (length, records)
      next = (next + 1) % Self.limit
    }
  }

  /// Records in the messages that overlap the last `octets` octets.
  func records(inLast octets: Int) -> Int {
    var rest = octets
    var records = 0
    var index = next
    for _ in 0..<entries.count where rest > 0 {
      index = (index + entries.count - 1) % entries.count
      rest -= entries[index].length
      records += entries[index].records
    }
    return records
  }
}
