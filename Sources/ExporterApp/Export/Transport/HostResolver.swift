// Names become addresses without holding up the export lcore: a name server that does not answer takes seconds.
import Glibc
import Synchronization

/// A socket address of either family.
struct SocketAddress: Equatable, Sendable {
  /// The `sockaddr` as bytes.
  let bytes: [UInt8]
  /// AF_INET or AF_INET6.
  let family: Int32

  /// Calls `body` with the address as the socket calls want it.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    bytes.withUnsafeBytes { buffer in
      body(buffer.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
    }
  }
}

/// Resolves one host, again and again if asked. Numeric addresses at once, names in a thread of their own.
final class HostResolver: Sendable {
  private enum State {
    case idle
    case running
    case done([SocketAddress], reason: String)
  }

  /// What is known about the host.
  enum Answer: Equatable {
    /// The name server was asked and did not answer yet.
    case pending
    case addresses([SocketAddress])
    case failed(String)
  }

  let host: String
  private let port: UInt16
  private let datagrams: Bool
  private let state = Mutex(State.idle)

  /// A resolver for addresses of datagram or stream sockets.
  init(host: String, port: UInt16, datagrams: Bool) {
    self.host = host
    self.port = port
    self.datagrams = datagrams
  }

  /// Starts a look-up or returns the result of the one before, once; never waits.
  func poll() -> Answer {
    let numeric = lookUp(numericOnly: true)
    if !numeric.addresses.isEmpty { return .addresses(numeric.addresses) }
    let (answer, start) = state.withLock { state -> (Answer, Bool) in
      switch state {
      case .idle:
        state = .running
        return (.pending, true)
      case .running: return (.pending, false)
      case .done(let addresses, let reason):
        state = .idle
        return (addresses.isEmpty ? .failed(reason) : .addresses(addresses), false)
      }
    }
    if start { startThread() }
    return answer
  }

  private func startThread() {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let code = Signals.blockingAll {
      pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          let resolver = Unmanaged<HostResolver>.fromOpaque(context).takeRetainedValue()
          CrashReport.thread("the thread that looks names up")
          let (addresses, reason) = resolver.lookUp(numericOnly: false)
          resolver.state.withLock { $0 = .done(addresses, reason: reason) }
          return nil
        }, context.toOpaque())
    }
    if code == 0 {
      pthread_detach(thread)
    } else {
      context.release()
      state.withLock { $0 = .done([], reason: ExportError.reason(code)) }
    }
  }

  private func lookUp(numericOnly: Bool) -> (addresses: [SocketAddress], reason: String) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32((datagrams ? SOCK_DGRAM : SOCK_STREAM).rawValue)
    hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
    var first: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &first)
    guard code == 0 else { return ([], String(cString: gai_strerror(code))) }
    defer { freeaddrinfo(first) }
    var addresses: [SocketAddress] = []
    var next = first
    while let entry = next?.pointee {
      if let address = entry.ai_addr {
        let bytes = UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen))
        addresses.append(SocketAddress(bytes: Array(bytes), family: entry.ai_family))
      }
      next = entry.ai_next
    }
    return (addresses, addresses.isEmpty ? "no address" : "")
  }
}

/// Waiting times that double, from one second to thirty.
struct BackOff {
  private var seconds: UInt64 = 1
  /// Nanoseconds of the monotonic clock before which nothing should be tried.
  private(set) var retryAt: UInt64 = 0

  func isDue(_ now: Moment) -> Bool { now.monotonic >= retryAt }

  mutating func failed(_ now: Moment) {
    retryAt = now.monotonic &+ seconds &* 1_000_000_000
    seconds = min(seconds * 2, 30)
  }

  mutating func succeeded() { self = BackOff() }
}
