// A TLS connection to a collector over a TCP connection (RFC 7011 section 11): the handshake as a part of connecting, and
// what the collector says afterwards heard, since that is where it refuses a certificate.
import Glibc
import Wire

/// A TCP connection under TLS. What is sent in one record is lost or arrives together.
final class TLSConnection: ByteConnection {
  private enum State {
    /// There is no TCP connection, or there is one that is being made.
    case closed
    case handshaking(since: UInt64)
    /// The handshake is over here; the collector may still refuse Martlet's certificate.
    case settling(since: UInt64)
    case open
  }

  private let tcp: TCPConnection
  private let host: TLSHost
  private let settings: TLSSettings
  private var context: TLSContext
  private var session: TLSSession?
  private var state = State.closed
  private var wire = WireQueue(capacity: 1 << 17)
  private var backOff = BackOff()
  private var isFinishing = false
  /// When the collector ended its side of TLS, by the monotonic clock; 0 before.
  private var closedAt: UInt64 = 0
  /// TLS has failed: an alert of the collector, or octets that are no records.
  private var hasFailed = false
  /// The collector refused the connection without having shown that it took anything of it.
  private var isRefused = false

  /// Nanoseconds that a handshake may take.
  private static let handshakeTime: UInt64 = 10_000_000_000
  /// Nanoseconds that TCP gets to follow TLS to the end.
  private static let lastWord: UInt64 = 200_000_000
  /// Nanoseconds that a collector which asked for a certificate, and sends no ticket, gets to refuse it.
  private static let settlingTime: UInt64 = 1_000_000_000
  /// Octets that are made into records at most in one call, and read of a handshake.
  private static let portion = 1 << 16
  /// Octets that are read at most in one call once there is a connection: a collector has next to nothing to say, and one that
  /// asks for new keys all the time must not hold up the others.
  private static let smallPortion = 1 << 12

  /// Nothing happens before the first `advance`.
  ///
  /// - Throws: `ExportError.credentials`, see `TLSContext`.
  init(host: String, port: UInt16, options: SocketOptions = SocketOptions(), settings: TLSSettings)
    throws(ExportError)
  {
    context = try TLSContext(settings)
    tcp = TCPConnection(host: host, port: port, options: options, isToBeConfirmed: true)
    self.host = TLSHost(host)
    self.settings = settings
  }

  var isOpen: Bool { if case .open = state { true } else { false } }

  func advance(_ now: Moment) -> ConnectionEvent {
    switch state {
    case .open: return .none
    case .handshaking(let start): return shakeHands(now, start)
    case .settling(let start): return settle(now, start)
    case .closed:
      guard backOff.isDue(now) else { return .none }
      let event = tcp.advance(now)
      guard event == .opened else { return event }
      wire.restart()
      (isFinishing, hasFailed, isRefused, closedAt) = (false, false, false, 0)
      session = TLSSession(context, host: host)
      state = .handshaking(since: now.monotonic)
      return shakeHands(now, now.monotonic)
    }
  }

  func delay(_ now: Moment) -> String? {
    guard case .handshaking(let start) = state else { return tcp.delay(now) }
    return now.monotonic &- start >= 1_500_000_000 ? "\(host.text): no answer to the TLS handshake yet" : nil
  }

  private func shakeHands(_ now: Moment, _ start: UInt64) -> ConnectionEvent {
    guard let session else { return refused(now, "TLS: no memory") }
    let end = takeIn(Self.portion)
    let step = session.handshake()
    let broken = flush()
    switch step {
    case .done:
      state = .settling(since: now.monotonic)
      return settle(now, now.monotonic)
    case .failed(let reason): return refused(now, reason)
    case .closed: return refused(now, "the collector ended the TLS handshake")
    case .waiting:
      if let reason = end ?? broken { return refused(now, "\(reason) during the TLS handshake", named: true) }
      guard now.monotonic &- start < Self.handshakeTime else {
        return refused(now, "the TLS handshake did not end within 10 seconds")
      }
      return .none
    }
  }

  private func settle(_ now: Moment, _ start: UInt64) -> ConnectionEvent {
    if let reason = hear() { return refused(now, reason, named: true) }
    if session?.mayBeRefused ?? false, now.monotonic &- start < Self.settlingTime { return .none }
    state = .open
    tcp.confirm()
    backOff.succeeded()
    return .opened
  }

  private func refused(_ now: Moment, _ reason: String, named: Bool = false) -> ConnectionEvent {
    disconnect(now, failed: true)
    return .refused(named ? reason : "\(host.text): \(reason)")
  }

  /// Gives TLS what came, about `limit` octets at most; why nothing more will come, nil when something may.
  private func takeIn(_ limit: Int) -> String? {
    withUnsafeTemporaryAllocation(byteCount: Self.smallPortion, alignment: 1) { buffer in
      var taken = 0
      while taken < limit {
        switch tcp.receive(into: buffer) {
        case .nothing: return nil
        case .ended(let reason): return reason
        case .octets(let count):
          taken &+= count
          if let base = buffer.baseAddress { session?.feed(Bytes(base, count: count)) }
        }
      }
      return nil
    }
  }

  /// Takes in what the collector says; why the connection is over, if it is. Its own reason goes before the socket's.
  private func hear() -> String? {
    let end = takeIn(Self.smallPortion)
    switch session?.read() {
    case .failed(let reason):
      hasFailed = true
      isRefused = session?.mayBeRefused ?? false
      _ = flush()
      return "\(host.text): \(reason)"
    case .closed:
      // How it meant that TCP's end tells, which follows.
      let now = Clock.monotonic()
      if closedAt == 0 { closedAt = now }
      if end == nil, now &- closedAt < Self.lastWord { return flush() }
      return end ?? "\(host.text): the collector closed the connection"
    default: return end ?? flush()
    }
  }

  /// Moves records to the socket, as far as it takes them; why that is not possible any more.
  private func flush() -> String? {
    while true {
      if let session {
        let length = wire.append { session.take($0, $1) }
        if length > 0 { wire.note(length: length, plain: 0) }
      }
      switch wire.flush(to: tcp) {
      case .broken(let reason): return reason
      case .full: return nil
      default: break
      }
      if (session?.ready ?? 0) == 0 { break }
    }
    if isFinishing { tcp.finishSending() }
    return nil
  }

  func send(_ bytes: Bytes) -> SendResult {
    if let reason = flush() { return .broken(hear() ?? reason) }
    guard wire.isEmpty, let session else { return .full }
    var taken = 0
    while taken < min(bytes.count, Self.portion),
      wire.room >= TLSSession.largestRecord + TLSSession.recordOverhead
    {
      let (count, step) = session.write(bytes.dropFirst(taken))
      if case .failed(let reason) = step, taken == 0 { return .broken("\(host.text): \(reason)") }
      guard count > 0 else { break }
      taken &+= count
      let length = wire.append { session.take($0, $1) }
      wire.note(length: length, plain: count)
    }
    // Whatever becomes of the records: these octets are in them. A connection that is broken says so next time.
    _ = flush()
    return taken > 0 ? .sent(taken) : .full
  }

  func detectEnd() -> String? {
    guard isOpen else { return nil }
    return hear()
  }

  var unacknowledged: Int {
    // Its kernel acknowledged what it has thrown away.
    wire.plain(unacknowledged: isRefused ? Int.max / 2 : tcp.unacknowledged)
  }

  // Who breaks off with an alert may have thrown away what his kernel acknowledged.
  var endedInOrder: Bool { tcp.endedInOrder && !hasFailed }

  func finishSending() {
    guard !isFinishing else { return }
    isFinishing = true
    session?.shutdown()
    _ = flush()
  }

  func wait(milliseconds: Int32) {
    switch state {
    case .handshaking, .settling: tcp.wait(milliseconds: milliseconds, toSend: !wire.isEmpty)
    case .closed, .open: tcp.wait(milliseconds: milliseconds)
    }
  }

  func reload() -> String? {
    do {
      context = try TLSContext(settings)
      return nil
    } catch { return "\(error); connections go on with what was read before" }
  }

  func disconnect(_ now: Moment, failed: Bool) {
    tcp.disconnect(now, failed: failed)
    // Only a handshake's back-off grows here: a TCP connection has its own. Another address of the name is tried at once.
    if failed, !tcp.hasCandidates { backOff.failed(now) }
    session = nil
    state = .closed
  }
}
