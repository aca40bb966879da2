// What osqueryi said of this host, at one address for the one who asks and for all workers: written by the control lcore,
// read by workers when flows end and by the export lcore, without a lock on either side.
import Synchronization
import Wire

/// What plugin osquery wants to be asked, by a part of the program that may start processes.
public struct HostQuestion: Sendable {
  /// The program to ask: a path, or a name to look for in PATH.
  public let program: String
  /// Seconds from one question for the host's connections to the next.
  public let interval: Int
  /// Where the answers go.
  public let answers: HostKnowledge
}

/// What does not change on a host while the program runs; empty and 0 what is not known. The texts stay as long as the process.
public struct HostDescription: BitwiseCopyable, Sendable {
  /// The operating system's name, its versions and its build: `Debian GNU/Linux`, 12, 0.
  public var name = nothing
  public var major: UInt16 = 0
  public var minor: UInt16 = 0
  public var build = nothing
  /// The operating system in one word, and what it resembles: `debian`.
  public var platform = nothing
  public var platformLike = nothing
  /// The machine's instruction set: `x86_64`.
  public var architecture = nothing
  /// The kernel's version.
  public var kernel = nothing
  public var hostname = nothing

  /// No text.
  private static var nothing: Bytes { Bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }

  public init() {}

  /// The most bytes that a text of a description has.
  public static let longestText = 255
}

/// What is known of the host; copies of it know the same. It stays as long as the process.
///
/// Safe between threads: what is shared changes only by atomic words, see `SocketTables`.
public struct HostKnowledge: BitwiseCopyable, @unchecked Sendable {
  private struct Shared: ~Copyable {
    let description = Atomic<UnsafePointer<HostDescription>?>(nil)
    let sockets = SocketTables()
  }
  private let shared: UnsafeMutablePointer<Shared>

  /// Nothing is known.
  init() {
    shared = .allocate(capacity: 1)
    shared.initialize(to: Shared())
  }

  /// What was said of the host first; nothing until then.
  var description: HostDescription {
    shared.pointee.description.load(ordering: .acquiring)?.pointee ?? HostDescription()
  }

  /// Tells of the host, once: what is said later is not heard, since records may be reading.
  public func publish(_ description: HostDescription) {
    guard shared.pointee.description.load(ordering: .relaxed) == nil else { return }
    let place = UnsafeMutablePointer<HostDescription>.allocate(capacity: 1)
    place.initialize(to: description)
    shared.pointee.description.store(UnsafePointer(place), ordering: .releasing)
  }

  /// Connections were told.
  @inline(__always) var knowsSockets: Bool { shared.pointee.sockets.isFilled }

  /// Whose connection that is; nil where it is none of the host's, or not known.
  func owner(of key: SocketKey) -> SocketOwner? { shared.pointee.sockets.owner(of: key) }

  /// Tells which connections there are, in place of those told before; returns how many found no room. Only one thread may.
  public func publish(_ owners: [SocketKey: SocketOwner]) -> Int { shared.pointee.sockets.publish(owners) }

  /// The most connections that find room.
  public static let mostSockets = SocketTables.mostSockets
}
