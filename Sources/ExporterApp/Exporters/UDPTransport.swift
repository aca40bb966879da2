// IPFIX over UDP (RFC 7011 section 10.3): many messages per system call, and a collector that may come and go.
import CSockets
import Glibc
import IPFIX

/// Sends messages as datagrams. What cannot be sent is counted and forgotten; the program goes on without a collector.
final class UDPTransport: MessageTransport {
  /// The most that IPv4 carries; IPv6 carries 20 octets more.
  static let largestMessage = 65507
  /// Datagrams per system call, and per pause when offline.
  private static let burst = Int(MARTLET_DATAGRAMS)

  private(set) var counters = TransportCounters()
  let failure: ExportError? = nil
  private(set) var status = ""

  private let resolver: HostResolver
  private let policy: OverloadPolicy
  private var socket: Int32 = -1
  private var address: SocketAddress?
  private var backOff = BackOff()
  /// Set when datagrams fail, so that the name is looked up again.
  private var isSuspect = false
  /// Messages were lost or refused: the collector may lack templates.
  private var templatesAreDoubtful = false
  private var lastRepeat: UInt64 = 0
  /// Records of the datagrams that the last call sent: a refusal does not say which of them, and takes all back.
  private var latestRecords: UInt64 = 0
  private var isNewSession = false
  private let vectors: UnsafeMutablePointer<iovec>

  /// A transport to a host; looks it up and opens the socket at the first tick or batch.
  init(host: String, port: UInt16, policy: OverloadPolicy) {
    resolver = HostResolver(host: host, port: port, datagrams: true)
    self.policy = policy
    vectors = .allocate(capacity: Self.burst)
    vectors.initialize(repeating: iovec(), count: Self.burst)
  }

  deinit {
    if socket >= 0 { Glibc.close(socket) }
    vectors.deallocate()
  }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> [UInt8]) {
    // Once templates were lost a new session must begin with them, which is up to `tick`.
    if socket < 0 && !templatesAreDoubtful { openSocket(now) }
    if socket < 0, !templatesAreDoubtful, case .wait(let seconds) = policy { waitForAddress(seconds) }
    guard socket >= 0 else {
      templatesAreDoubtful = true
      counters.lostRecords += UInt64(batch.records)
      return
    }
    var next = 0
    // How often the datagram at `next` was tried in vain.
    var attempts = 0
    while next < batch.messages.count {
      let count = min(Self.burst, batch.messages.count - next)
      for index in 0..<count {
        let bytes = batch[batch.messages[next + index]]
        vectors[index] = iovec(
          iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
      }
      let sent = Int(martlet_send_datagrams(socket, vectors, UInt32(count), Int32(MSG_NOSIGNAL)))
      if sent > 0 {
        latestRecords = 0
        for message in batch.messages[next..<next + sent] { countSent(message) }
        next += sent
        attempts = 0
        pace()
      } else if shouldRetry(errno, attempts) {
        attempts += 1
      } else {
        templatesAreDoubtful = true
        counters.lostRecords += UInt64(batch.messages[next].records)
        next += 1
        attempts = 0
      }
    }
  }

  private func countSent(_ message: MessageBatch.Message) {
    counters.messages += 1
    counters.records += UInt64(message.records)
    counters.bytes += UInt64(message.length)
    latestRecords += UInt64(message.records)
  }

  /// The collector's host refused what was sent last (ICMP port unreachable): those records are lost, not sent.
  private func takeBackLatest() {
    counters.records -= min(latestRecords, counters.records)
    counters.lostRecords += latestRecords
    latestRecords = 0
    templatesAreDoubtful = true
    isSuspect = true
    status = "\(resolver.host): \(ExportError.reason(ECONNREFUSED))"
  }

  /// Asks whether a refusal came since the last datagram was sent.
  private func noticeRefusal() {
    guard socket >= 0, latestRecords > 0 else { return }
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0, code == ECONNREFUSED else { return }
    counters.errors += 1
    takeBackLatest()
  }

  /// Notes a failed send; true when the same datagram should be tried again at once.
  private func shouldRetry(_ code: Int32, _ attempts: Int) -> Bool {
    switch code {
    case EINTR: return true
    case EAGAIN, ENOBUFS:
      if case .wait = policy, attempts < 50 {
        var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, 100)
        if code == ENOBUFS { usleep(1000) }
        return true
      }
      counters.errors += 1
      return false
    default:
      counters.errors += 1
      status = "\(resolver.host): \(ExportError.reason(code))"
      isSuspect = code != EMSGSIZE
      // A refusal reports an earlier datagram; the one at hand was not sent.
      templatesAreDoubtful = true
      if code == ECONNREFUSED { takeBackLatest() }
      return code == ECONNREFUSED && attempts == 0
    }
  }

  /// Offline there is no hurry, and a burst at memory speed would overrun the receive buffer of any collector.
  private func pace() {
    if case .wait = policy { usleep(250) }
  }

  private func waitForAddress(_ seconds: Double) {
    let end = Moment.current.later(seconds: seconds)
    while socket < 0 {
      let now = Moment.current
      guard now.monotonic < end.monotonic, backOff.isDue(now) else { return }
      openSocket(now)
      if socket < 0 { usleep(10_000) }
    }
  }

  func tick(now: Moment, announcement: () -> [UInt8]) -> TransportEvent {
    noticeRefusal()
    if socket < 0 || (isSuspect && backOff.isDue(now)) { openSocket(now) }
    if isNewSession {
      isNewSession = false
      templatesAreDoubtful = false
      return .newSession
    }
    // A collector that refused may be starting just now, and knows no templates.
    if socket >= 0 && templatesAreDoubtful && now.monotonic &- lastRepeat >= 5_000_000_000 {
      templatesAreDoubtful = false
      lastRepeat = now.monotonic
      return .repeatTemplates
    }
    return .none
  }

  /// Looks the host up and opens a socket to its first address, unless that is the one in use.
  private func openSocket(_ now: Moment) {
    guard backOff.isDue(now) else { return }
    switch resolver.poll() {
    case .pending: return
    case .failed(let reason):
      counters.errors += 1
      status = "\(resolver.host): \(reason)"
      backOff.failed(now)
    case .addresses(let addresses):
      isSuspect = false
      if socket >= 0, let address, addresses.contains(address) { return }
      for candidate in addresses where connect(candidate) {
        isNewSession = counters.connections > 0 || templatesAreDoubtful
        counters.connections += 1
        address = candidate
        status = ""
        backOff.succeeded()
        return
      }
      counters.errors += 1
      backOff.failed(now)
    }
  }

  private func connect(_ candidate: SocketAddress) -> Bool {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = Glibc.socket(candidate.family, type, 0)
    guard descriptor >= 0 else {
      status = "\(resolver.host): \(ExportError.reason(errno))"
      return false
    }
    var size: Int32 = 4 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    guard candidate.withSockaddr({ Glibc.connect(descriptor, $0, $1) }) == 0 else {
      status = "\(resolver.host): \(ExportError.reason(errno))"
      Glibc.close(descriptor)
      return false
    }
    if socket >= 0 { Glibc.close(socket) }
    socket = descriptor
    return true
  }

  func close(announcement: () -> [UInt8]) {
    noticeRefusal()
    if socket >= 0 { Glibc.close(socket) }
    socket = -1
  }
}
