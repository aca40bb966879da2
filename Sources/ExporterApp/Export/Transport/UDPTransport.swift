// IPFIX over UDP (RFC 7011 section 10.3): many messages per system call, and a collector that may come and go.
import CSockets
import Glibc
import IPFIX
import Wire

/// Sends messages as datagrams. What cannot be sent is counted and forgotten; the program goes on without a collector.
final class UDPTransport: MessageTransport {
  /// The most that IPv4 carries; IPv6 carries 20 octets more.
  static let largestMessage = 65507
  /// Runs per system call; offline also datagrams per pause.
  private static let burst = Int(MARTLET_RUNS)
  /// From one time to the next that templates are sent to a collector that refused them, in nanoseconds.
  private static let repeatInterval: UInt64 = 5_000_000_000

  private(set) var counters = OutputCounters()
  let failure: ExportError? = nil
  private(set) var status = ""
  /// A collector is there that has an address, and has refused nothing for a while in which templates were sent.
  private(set) var reachability = Reachability.unknown

  private let resolver: HostResolver
  private let socketOptions: SocketOptions
  private let policy: OverloadPolicy
  private var complaint: Complaint
  /// When the name was asked for in vain; 0 while it is known.
  private var pendingSince: UInt64 = 0
  private(set) var socket: Int32 = -1
  private var address: SocketAddress?
  private var backOff = BackOff()
  /// Set when datagrams fail, so that the name is looked up again.
  private var isSuspect = false
  /// Messages were lost or refused: the collector may lack templates.
  private var templatesAreDoubtful = false
  private var lastRepeat: UInt64 = 0
  /// When a datagram was refused last, or could not be sent; 0 for never.
  private var lastFailure: UInt64 = 0
  /// The longest datagram of a run that the kernel takes apart (UDP_SEGMENT); 0 when each datagram is sent by itself.
  private(set) var longestSegment = 0
  /// Records of the datagrams that the last call sent: a refusal does not say which of them, and takes all back.
  private var latestRecords: UInt64 = 0
  private var isNewSession = false
  /// What the next call sends, and for each entry the index behind its last message.
  private let runs: UnsafeMutablePointer<martlet_run>
  private let ends: UnsafeMutablePointer<Int>

  /// A transport to a host; looks it up and opens the socket at the first tick or batch.
  init(
    host: String, port: UInt16, socketOptions: SocketOptions = SocketOptions(), policy: OverloadPolicy
  ) {
    resolver = HostResolver(host: host, port: port, datagrams: true, family: socketOptions.family)
    self.socketOptions = socketOptions
    self.policy = policy
    complaint = Complaint(name: "udp://\(host):\(port)")
    runs = .allocate(capacity: Self.burst)
    runs.initialize(repeating: martlet_run(), count: Self.burst)
    ends = .allocate(capacity: Self.burst)
    ends.initialize(repeating: 0, count: Self.burst)
  }

  deinit {
    if socket >= 0 { Glibc.close(socket) }
    runs.deallocate()
    ends.deallocate()
  }

  func send(_ batch: MessageBatch, now: Moment, announcement: () -> SharedBytes) {
    // Once templates were lost a new session must begin with them, which is up to `tick`.
    if socket < 0 && !templatesAreDoubtful { openSocket(now) }
    if socket < 0, !templatesAreDoubtful, case .wait(let seconds) = policy { waitForAddress(seconds) }
    guard socket >= 0 else {
      templatesAreDoubtful = true
      counters.lose(batch.records, .noAddress)
      return
    }
    var next = 0
    // How often the run at `next` was tried in vain.
    var attempts = 0
    while next < batch.messages.count {
      let count = collectRuns(of: batch, from: next)
      let sent = min(
        count, Int(martlet_send_runs(socket, runs, UInt32(truncatingIfNeeded: count), Int32(MSG_NOSIGNAL))))
      let code = errno
      if sent > 0 {
        let end = ends[sent &- 1]
        latestRecords = 0
        while next < end {
          countSent(batch.messages[next])
          next &+= 1
        }
        attempts = 0
        // Only the first error of a call is told. What stopped this one may have been a refusal, which is gone then.
        if sent < count { noticeRefusal() }
        pace()
      } else if isSegmentationRefused(code) {
        // Nothing of the run left: its messages are sent one by one. What a router could not pass on before is lost.
        longestSegment = 0
        noticeRefusal()
      } else if shouldRetry(code, attempts) {
        attempts &+= 1
      } else {
        templatesAreDoubtful = true
        let end = ends[0]
        while next < end {
          counters.lose(batch.messages[next].records, .sendFailed)
          next &+= 1
        }
        attempts = 0
      }
    }
  }

  /// Prepares what one call sends of the messages from `first` on; how many runs that is.
  private func collectRuns(of batch: MessageBatch, from first: Int) -> Int {
    var count = 0
    var next = first
    while count < Self.burst, next < batch.messages.count {
      let length = batch.messages[next].length
      let end =
        length <= longestSegment
        ? batch.endOfRun(from: next, count: Int(MARTLET_SEGMENTS), octets: Self.largestMessage) : next &+ 1
      let bytes = batch.bytes(from: next, to: end)
      runs[count] = martlet_run(
        bytes: UnsafeMutableRawPointer(mutating: bytes.base), length: bytes.count,
        segment: end == next &+ 1 ? 0 : UInt16(clamping: length))
      ends[count] = end
      next = end
      count &+= 1
    }
    return count
  }

  /// Whether the first run was refused for being a run: no such option, a route with a smaller MTU, a device or a tunnel that
  /// cannot do it.
  private func isSegmentationRefused(_ code: Int32) -> Bool {
    guard runs[0].segment != 0 else { return false }
    return code == EINVAL || code == EIO || code == EMSGSIZE || code == ENOPROTOOPT
  }

  private func countSent(_ message: MessageBatch.Message) {
    counters.messages &+= 1
    counters.sentRecords &+= UInt64(clamping: message.records)
    counters.bytes &+= UInt64(clamping: message.length)
    latestRecords &+= UInt64(clamping: message.records)
  }

  /// Keeps what is wrong, and says it.
  private func note(_ trouble: String) {
    status = trouble
    complaint.say(trouble)
  }

  /// Asks whether a datagram was refused since the last look (ICMP port unreachable and the like): what was sent last is
  /// lost then, not sent. True when that was so.
  @discardableResult
  private func noticeRefusal() -> Bool {
    guard socket >= 0 else { return false }
    let code = martlet_take_refusal(socket)
    guard code != 0 else { return false }
    counters.errors &+= 1
    counters.takeBack(latestRecords, .unacknowledged)
    latestRecords = 0
    templatesAreDoubtful = true
    isSuspect = true
    note("\(resolver.host): \(errorText(code))")
    return true
  }

  /// Notes a failed send; true when the same datagram should be tried again at once.
  private func shouldRetry(_ code: Int32, _ attempts: Int) -> Bool {
    switch code {
    case EINTR: return true
    case EAGAIN, ENOBUFS:
      if case .wait = policy, attempts < 50, !Drain.isOver {
        var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, 100)
        if code == ENOBUFS { usleep(1000) }
        return true
      }
      counters.errors &+= 1
      return false
    default:
      // A refusal reports an earlier datagram; the one at hand was not sent. It may have been taken just before.
      if noticeRefusal() || attempts == 0 { return attempts < 8 }
      counters.errors &+= 1
      note("\(resolver.host): \(errorText(code))")
      isSuspect = code != EMSGSIZE
      templatesAreDoubtful = true
      return false
    }
  }

  /// Offline there is no hurry, and a burst at memory speed would overrun the receive buffer of any collector.
  private func pace() {
    if case .wait = policy, !Drain.isOver { usleep(250) }
  }

  private func waitForAddress(_ seconds: Double) {
    let end = Moment.current.later(seconds: seconds)
    while socket < 0 {
      let now = Moment.current
      guard now.monotonic < end.monotonic, backOff.isDue(now), !Drain.isOver else { return }
      openSocket(now)
      if socket < 0 { usleep(10_000) }
    }
  }

  func tick(now: Moment, announcement: () -> SharedBytes) -> TransportEvent {
    if noticeRefusal() { lastFailure = now.monotonic }
    if socket < 0 || (isSuspect && backOff.isDue(now)) { openSocket(now) }
    if socket < 0 {
      reachability = counters.errors > 0 ? .unreachable : .unknown
    } else {
      let isRefused = lastFailure > 0 && now.monotonic &- lastFailure < 2 &* Self.repeatInterval
      reachability = isRefused ? .unreachable : .reachable
    }
    if isNewSession {
      isNewSession = false
      templatesAreDoubtful = false
      return .newSession
    }
    // A collector that refused may be starting just now, and knows no templates.
    if socket >= 0 && templatesAreDoubtful && now.monotonic &- lastRepeat >= Self.repeatInterval {
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
    case .pending:
      if pendingSince == 0 { pendingSince = now.monotonic }
      if now.monotonic &- pendingSince >= 1_500_000_000 { note("the name server does not answer yet") }
    case .failed(let reason):
      counters.errors &+= 1
      note("\(resolver.host): \(reason)")
      backOff.failed(now)
    case .addresses(let addresses):
      isSuspect = false
      if socket >= 0, let address, addresses.contains(address) { return }
      var index = 0
      while index < addresses.count {
        let candidate = addresses[index]
        index &+= 1
        guard connect(candidate) else { continue }
        isNewSession = counters.connections > 0 || templatesAreDoubtful
        counters.connections &+= 1
        address = candidate
        status = ""
        complaint.resolve("goes on")
        pendingSince = 0
        backOff.succeeded()
        return
      }
      counters.errors &+= 1
      backOff.failed(now)
    }
  }

  private func connect(_ candidate: SocketAddress) -> Bool {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = Glibc.socket(candidate.family, type, 0)
    guard descriptor >= 0 else {
      note("\(resolver.host): \(errorText(errno))")
      return false
    }
    var size: Int32 = 4 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    if let reason = socketOptions.apply(to: descriptor, family: candidate.family) {
      note("\(resolver.host): \(reason)")
      Glibc.close(descriptor)
      return false
    }
    guard candidate.withSockaddr({ Glibc.connect(descriptor, $0, $1) }) == 0 else {
      note("\(resolver.host): \(errorText(errno))")
      Glibc.close(descriptor)
      return false
    }
    if socket >= 0 { Glibc.close(socket) }
    socket = descriptor
    martlet_keep_refusals(descriptor)
    // Offline nobody waits for the sender, and a run at once would overrun a collector's buffer.
    if case .drop = policy { longestSegment = martlet_longest_segment(descriptor) }
    return true
  }

  func close(announcement: () -> SharedBytes) {
    noticeRefusal()
    if socket >= 0 { Glibc.close(socket) }
    socket = -1
  }
}
