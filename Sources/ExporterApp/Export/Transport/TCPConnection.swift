// A connection of bytes that may break, apart from what goes through it: TLS and compression are others.
import CSockets
import Glibc
import Wire

/// What became of a step towards a connection.
enum ConnectionEvent: Equatable {
  case none
  /// It stands since this step.
  case opened
  /// It did not come about; it is tried again later.
  case failed(String)
  /// The two sides do not agree, or do not trust each other; it is tried again later.
  case refused(String)
}

/// What became of bytes.
enum SendResult: Equatable {
  /// So many left, at least one.
  case sent(Int)
  /// There is no room now.
  case full
  /// The connection broke.
  case broken(String)
}

/// What a look for octets from the other side found.
enum ReceiveResult: Equatable {
  /// So many came, at least one.
  case octets(Int)
  /// There are none now.
  case nothing
  /// There will be none any more.
  case ended(String)
}

/// A stream of bytes to a collector, made again after it broke. Never blocks but in `wait`.
protocol ByteConnection: AnyObject {
  /// Whether bytes can be sent.
  var isOpen: Bool { get }
  /// Goes one step towards a connection.
  func advance(_ now: Moment) -> ConnectionEvent
  /// Why there is no connection yet, when that has lasted for more than a moment.
  func delay(_ now: Moment) -> String?
  /// Sends what there is room for.
  func send(_ bytes: Bytes) -> SendResult
  /// Why the other side ended the connection, if it did; what it says is thrown away.
  func detectEnd() -> String?
  /// Octets, of those given to `send`, of which the other side has not acknowledged all that it needs to know them.
  var unacknowledged: Int { get }
  /// Whether the last connection ended in order: the collector had read all that was acknowledged.
  var endedInOrder: Bool { get }
  /// Reads again what files say of connections to come; what is wrong with these, nil when nothing is.
  func reload() -> String?
  /// Says that no more bytes come.
  func finishSending()
  /// Sleeps until there may be something to do, at most so long.
  func wait(milliseconds: Int32)
  /// Gives the connection up.
  /// - Parameter failed: whether the next attempt waits for its time.
  func disconnect(_ now: Moment, failed: Bool)
}

extension ByteConnection {
  func reload() -> String? { nil }
}

/// A TCP connection to the first address of a host that answers.
final class TCPConnection: ByteConnection {
  private enum State {
    case disconnected
    case connecting(deadline: UInt64)
    case connected
  }

  private let resolver: HostResolver
  private let options: SocketOptions
  /// Who uses the connection says when the address has proved to be the collector's.
  private let isToBeConfirmed: Bool
  private var state = State.disconnected
  private var socket: Int32 = -1
  /// Nothing is sent any more; the end of the stream takes one number of the sequence, behind the last octet.
  private var isFinished = false
  private var candidates = SocketAddresses()
  /// The first of `candidates` that was not tried.
  private var nextCandidate = 0
  private var backOff = BackOff()
  /// The other side's end of the stream was seen, and no error before. A system that ends with something unread resets the
  /// connection instead.
  private(set) var endedInOrder = false
  private var hasFailed = false
  /// When the kernel was asked last whether the other side answers.
  private var askedAt: UInt64 = 0
  /// Milliseconds after which who does not answer is taken to be gone; the kernel would try for a quarter of an hour.
  private static let patience: UInt32 = 30_000
  /// When the attempt that is under way began; 0 when there is none.
  private var startedAt: UInt64 = 0

  /// Nothing happens before the first `advance`.
  ///
  /// - Parameter isToBeConfirmed: an address that answers is the right one only once `confirm` says so. When the connection
  ///   fails before, the next address is tried.
  init(host: String, port: UInt16, options: SocketOptions = SocketOptions(), isToBeConfirmed: Bool = false) {
    resolver = HostResolver(host: host, port: port, datagrams: false, family: options.family)
    self.options = options
    self.isToBeConfirmed = isToBeConfirmed
  }

  deinit { if socket >= 0 { Glibc.close(socket) } }

  var isOpen: Bool { if case .connected = state { true } else { false } }

  func advance(_ now: Moment) -> ConnectionEvent {
    switch state {
    case .connected: .none
    case .disconnected: start(now)
    case .connecting(let deadline): finish(now, deadline)
    }
  }

  func delay(_ now: Moment) -> String? {
    guard !isOpen, startedAt != 0, now.monotonic >= startedAt, now.monotonic &- startedAt >= 1_500_000_000
    else { return nil }
    if case .connecting = state { return "\(resolver.host): no answer yet" }
    return "\(resolver.host): the name server does not answer yet"
  }

  private func start(_ now: Moment) -> ConnectionEvent {
    if !hasCandidates {
      guard backOff.isDue(now) else { return .none }
      if startedAt == 0 { startedAt = now.monotonic }
      switch resolver.poll() {
      case .pending: return .none
      case .failed(let reason): return failed(now, reason)
      case .addresses(let addresses):
        candidates = addresses
        nextCandidate = 0
      }
    }
    guard hasCandidates else { return .none }
    let candidate = candidates[nextCandidate]
    nextCandidate &+= 1
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    socket = Glibc.socket(candidate.family, type, 0)
    guard socket >= 0 else { return failed(now, errorText(errno)) }
    if let reason = options.apply(to: socket, family: candidate.family) { return failed(now, reason) }
    let code = candidate.withSockaddr { Glibc.connect(socket, $0, $1) } == 0 ? 0 : errno
    guard code == 0 || code == EINPROGRESS else { return failed(now, errorText(code)) }
    // The kernel would try for two minutes.
    state = .connecting(deadline: now.monotonic &+ 10_000_000_000)
    return .none
  }

  /// Another address of the same name is left to be tried.
  var hasCandidates: Bool { nextCandidate < candidates.count }

  private func finish(_ now: Moment, _ deadline: UInt64) -> ConnectionEvent {
    var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    guard poll(&waiting, 1, 0) > 0 else {
      return now.monotonic >= deadline ? failed(now, errorText(ETIMEDOUT)) : .none
    }
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
    guard code == 0 else { return failed(now, errorText(code)) }
    martlet_keep_alive(socket)
    askedAt = Clock.monotonic()
    state = .connected
    startedAt = 0
    endedInOrder = false
    hasFailed = false
    if !isToBeConfirmed { confirm() }
    backOff.succeeded()
    return .opened
  }

  /// The address in use is the right one: no other is tried before the name is looked up again.
  func confirm() { nextCandidate = candidates.count }

  private func failed(_ now: Moment, _ reason: String) -> ConnectionEvent {
    disconnect(now, failed: true)
    return .failed("\(resolver.host): \(reason)")
  }

  func disconnect(_ now: Moment, failed: Bool) {
    if socket >= 0 { Glibc.close(socket) }
    socket = -1
    isFinished = false
    state = .disconnected
    startedAt = 0
    // Another address of the same name is tried at once.
    if failed, !hasCandidates { backOff.failed(now) }
  }

  func send(_ bytes: Bytes) -> SendResult {
    while true {
      let count = Glibc.send(
        socket, bytes.base, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      if count > 0 { return .sent(count) }
      let code = errno
      if count == 0 || code == EAGAIN { return .full }
      if code != EINTR { return .broken(failure(code)) }
    }
  }

  func detectEnd() -> String? {
    guard isOpen else { return nil }
    let result = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { receive(into: $0) }
    if case .ended(let reason) = result { return reason }
    return nil
  }

  /// Takes what the other side sent.
  func receive(into buffer: UnsafeMutableRawBufferPointer) -> ReceiveResult {
    let count = recv(socket, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    let code = errno
    if count > 0 { return .octets(count) }
    if count == 0 {
      endedInOrder = !hasFailed
      return .ended("\(resolver.host): the collector closed the connection")
    }
    guard code == EAGAIN || code == EINTR else { return .ended(failure(code)) }
    return isDead ? .ended(failure(ETIMEDOUT)) : .nothing
  }

  /// Whether the other side has not answered for too long, asked once a second.
  private var isDead: Bool {
    let now = Clock.monotonic()
    guard now &- askedAt >= 1_000_000_000 else { return false }
    askedAt = now
    return martlet_unanswered(socket) >= Self.patience
  }

  /// Notes how the connection ended. A reset is told once, as ECONNRESET, and looks like an end in order from then on; one
  /// that follows such an end is EPIPE.
  private func failure(_ code: Int32) -> String {
    if code != EPIPE { hasFailed = true }
    endedInOrder = !hasFailed
    return "\(resolver.host): \(errorText(code))"
  }

  var unacknowledged: Int {
    var octets: Int32 = 0
    guard socket >= 0, ioctl(socket, UInt(TIOCOUTQ), &octets) == 0 else { return 0 }
    return max(0, Int(octets) &- (isFinished ? 1 : 0))
  }

  func finishSending() {
    guard socket >= 0, !isFinished else { return }
    isFinished = shutdown(socket, Int32(SHUT_WR)) == 0
  }

  func wait(milliseconds: Int32) { wait(milliseconds: milliseconds, toSend: true) }

  /// Sleeps until the other side sent something, or also until there is room to send, at most so long.
  func wait(milliseconds: Int32, toSend: Bool) {
    // Who wants to send also waits for a connection, and would be woken by what nobody takes.
    var waiting = pollfd(fd: socket, events: Int16(toSend ? POLLOUT : POLLIN), revents: 0)
    // Without a socket there is nothing to poll, only time to pass.
    poll(&waiting, socket >= 0 ? 1 : 0, socket >= 0 ? milliseconds : min(milliseconds, 20))
  }
}
