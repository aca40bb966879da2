// Names become addresses without holding up the export lcore: a name server that does not answer takes seconds.
import Glibc
import Synchronization
import Wire

/// A socket address of either family.
struct SocketAddress: BitwiseCopyable, Equatable, Sendable {
  private var storage = sockaddr_storage()
  private var length: socklen_t = 0
  /// AF_INET or AF_INET6.
  private(set) var family: Int32 = 0

  /// A copy of the `length` octets at `address`; nil when they are more than any address has.
  init?(_ address: UnsafePointer<sockaddr>, length: socklen_t, family: Int32) {
    let count = Int(truncatingIfNeeded: length)
    guard count <= MemoryLayout<sockaddr_storage>.size else { return nil }
    self.length = length
    self.family = family
    memcpy(&storage, address, count)
  }

  /// Calls `body` with the address as the socket calls want it.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { storage in
      // Safe: sockaddr_storage is made to be seen as any socket address: as long as the longest and aligned for all.
      body(UnsafeRawPointer(storage).assumingMemoryBound(to: sockaddr.self), length)
    }
  }

  static func == (left: SocketAddress, right: SocketAddress) -> Bool {
    guard left.family == right.family, left.length == right.length else { return false }
    return withUnsafePointer(to: left.storage) { first in
      withUnsafePointer(to: right.storage) { memcmp(first, $0, Int(truncatingIfNeeded: left.length)) == 0 }
    }
  }
}

/// The addresses of a host, in the order in which they are to be tried; they do not change.
final class SocketAddresses: Sendable {
  private let list: GrowableList<SocketAddress>

  /// Takes a list over.
  init(_ list: consuming GrowableList<SocketAddress>) { self.list = list }

  /// No address.
  convenience init() { self.init(GrowableList(capacity: 1)) }

  /// How many there are.
  var count: Int { list.count }

  /// One of them.
  subscript(index: Int) -> SocketAddress { list[index] }

  /// Whether `address` is among them.
  func contains(_ address: SocketAddress) -> Bool {
    var index = 0
    while index < list.count {
      if list[index] == address { return true }
      index &+= 1
    }
    return false
  }
}

/// Resolves one host, again and again if asked. Numeric addresses at once, names in a thread of their own.
final class HostResolver: Sendable {
  private enum State {
    case idle
    case running
    case done(SocketAddresses, reason: String)
  }

  /// What is known about the host.
  enum Answer {
    /// The name server was asked and did not answer yet.
    case pending
    case addresses(SocketAddresses)
    case failed(String)
  }

  let host: String
  private let port: UInt16
  private let datagrams: Bool
  private let family: Int32
  private let state = Mutex(State.idle)

  /// A resolver for addresses of datagram or stream sockets.
  ///
  /// - Parameter family: the only family whose addresses are of use; AF_UNSPEC for both.
  init(host: String, port: UInt16, datagrams: Bool, family: Int32 = AF_UNSPEC) {
    self.host = host
    self.port = port
    self.datagrams = datagrams
    self.family = family
  }

  /// Starts a look-up or returns the result of the one before, once; never waits.
  func poll() -> Answer {
    let numeric = lookUp(numericOnly: true)
    if numeric.addresses.count > 0 { return .addresses(numeric.addresses) }
    let (answer, start) = state.withLock { state -> (Answer, Bool) in
      switch state {
      case .idle:
        state = .running
        return (.pending, true)
      case .running: return (.pending, false)
      case .done(let addresses, let reason):
        state = .idle
        return (addresses.count == 0 ? .failed(reason) : .addresses(addresses), false)
      }
    }
    if start { startThread() }
    return answer
  }

  private func startThread() {
    let code = DetachedThread.start { [self] in
      CrashReport.thread("the thread that looks names up")
      let (addresses, reason) = lookUp(numericOnly: false)
      state.withLock { $0 = .done(addresses, reason: reason) }
    }
    if code != 0 { state.withLock { $0 = .done(SocketAddresses(), reason: errorText(code)) } }
  }

  private func lookUp(numericOnly: Bool) -> (addresses: SocketAddresses, reason: String) {
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_socktype = Int32((datagrams ? SOCK_DGRAM : SOCK_STREAM).rawValue)
    hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
    var first: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &first)
    guard code == 0 else {
      let words: UnsafePointer<CChar>? = gai_strerror(code)
      let reason = words.map { String(cString: $0) } ?? "error \(code)"
      return (
        SocketAddresses(), family == AF_UNSPEC ? reason : "\(reason) (it needs one of the source's family)"
      )
    }
    defer { freeaddrinfo(first) }
    var addresses = GrowableList<SocketAddress>(capacity: 8)
    var next = first
    while let entry = next?.pointee {
      if let pointer = entry.ai_addr,
        let address = SocketAddress(pointer, length: entry.ai_addrlen, family: entry.ai_family)
      {
        addresses.append(address)
      }
      next = entry.ai_next
    }
    let reason = addresses.isEmpty ? "no address" : ""
    return (SocketAddresses(addresses), reason)
  }
}
