// What the long headers of a flow tell: versions, connection ids, which side is the client.
import Wire

/// What is known of a flow's connection besides its ClientHello: the beginning of a slab block, in which the keys follow.
///
///     | QUICConnection | the client's keys 44 | the server's keys 44 |
struct QUICConnection: BitwiseCopyable {
  /// A connection id, or the lack of one.
  struct ID: BitwiseCopyable {
    private(set) var bytes = InlineArray<20, UInt8>(repeating: 0)
    private var length: UInt8 = 0
    private(set) var isKnown = false

    init() {}

    /// The first 20 of some bytes.
    init(_ id: Bytes) {
      let id = id.prefix(QUIC.longestConnectionID)
      withUnsafeMutableBytes(of: &bytes) {
        guard let base = $0.baseAddress else { return }
        MutableBytes(base, count: $0.count).copy(id, to: 0)
      }
      length = UInt8(truncatingIfNeeded: id.count)
      isKnown = true
    }

    var count: Int { min(Int(length), bytes.count) }

    /// Calls `body` with the id's bytes.
    @inline(__always)
    func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
      var copy = bytes
      return withUnsafeBytes(of: &copy) { body(Bytes($0).prefix(count)) }
    }

    /// Whether the id is known, and has these bytes.
    func isEqual(to other: Bytes) -> Bool { isKnown && withBytes { $0.isEqual(to: other) } }

    mutating func noteFirst(_ id: Bytes) {
      if !isKnown { self = ID(id) }
    }
  }

  /// The ids of the first packet of a direction, while it is not known who is the client.
  private struct FirstPacket: BitwiseCopyable {
    var destination = ID()
    var source = ID()
    /// Whether it is an Initial or 0-RTT, with an id that the client made up for the server; whether it is one that has the
    /// server's own id as its source, if the server sent it.
    var mayBeFirst = false
    var hasSource = false
  }

  var tokenLength = UInt64.max
  /// The version of the last long header, and of the client's hello.
  var version: UInt32 = 0
  var clientVersion: UInt32 = 0
  /// For which version the keys were derived; 0 is none.
  var clientKeyVersion: UInt32 = 0
  var serverKeyVersion: UInt32 = 0
  private(set) var serverPort: UInt16 = 0
  /// From the ServerHello.
  var cipherSuite: UInt16 = 0
  var tlsVersion: UInt16 = 0
  /// Connections besides the first, and packets of 0-RTT, at most 255 each.
  private(set) var multiplexed: UInt8 = 0
  private(set) var zeroRTT: UInt8 = 0
  /// Packets that were opened, or could not be.
  var attempts: UInt8 = 0
  /// Whether a hello was read, or is none.
  var clientIsOver = false
  var serverIsOver = false
  private var hasClient = false
  private var clientIsForward = false
  private(set) var originalServer = ID()
  private(set) var originalClient = ID()
  private(set) var server = ID()
  private(set) var retry = ID()
  /// The id of which the keys are made, and that of the last further connection.
  var keyed = ID()
  private(set) var other = ID()
  /// What follows the first byte of the first short header of each direction.
  private(set) var forwardShortHeader = ID()
  private(set) var reverseShortHeader = ID()
  private var firstForward = FirstPacket()
  private var firstReverse = FirstPacket()

  private static var headSize: Int { MemoryLayout<QUICConnection>.size }
  private static var size: Int { headSize &+ 2 &* QUIC.InitialKeys.size }

  /// Takes a block for a connection of which nothing is known; false where there is none.
  static func begin(_ stored: inout StoredBytes, _ blocks: inout FlowBlocks) -> Bool {
    guard let block = blocks.take(size) else { return false }
    stored = StoredBytes(block, length: size)
    blocks.contents(block).store(QUICConnection(), at: 0)
    return true
  }

  /// The keys of a side in the connection's block.
  static func keys(_ side: QUIC.Side, _ contents: MutableBytes) -> MutableBytes {
    let keys = contents.dropFirst(headSize)
    switch side {
    case .client: return MutableBytes(keys.base, count: min(keys.count, QUIC.InitialKeys.size))
    case .server:
      let rest = keys.dropFirst(QUIC.InitialKeys.size)
      return MutableBytes(rest.base, count: min(rest.count, QUIC.InitialKeys.size))
    }
  }

  // MARK: Who is who

  /// Who sends in a direction; nil while that is not known.
  func sender(isForward: Bool) -> QUIC.Side? {
    hasClient ? (isForward == clientIsForward ? .client : .server) : nil
  }

  /// Takes note that a side sent `packet`.
  mutating func noteSender(_ side: QUIC.Side, _ packet: PacketView) {
    guard !hasClient else { return }
    hasClient = true
    switch side {
    case .client:
      clientIsForward = packet.isForward
      serverPort = packet.destinationPort
    case .server:
      clientIsForward = !packet.isForward
      serverPort = packet.sourcePort
    }
    let (client, server) = clientIsForward ? (firstForward, firstReverse) : (firstReverse, firstForward)
    originalClient = client.source
    if client.mayBeFirst { originalServer = client.destination }
    if server.hasSource { self.server = server.source }
  }

  /// Takes note of the ids of a packet.
  mutating func noteIDs(_ long: QUIC.LongPacket, isForward: Bool) {
    let mayBeFirst: Bool
    let hasSource: Bool
    switch long.type {
    case .initial: (mayBeFirst, hasSource) = (true, true)
    case .zeroRTT: (mayBeFirst, hasSource) = (true, false)
    case .handshake: (mayBeFirst, hasSource) = (false, true)
    case .retry, .versionNegotiation: (mayBeFirst, hasSource) = (false, false)
    }
    switch sender(isForward: isForward) {
    case .client:
      originalClient.noteFirst(long.source)
      if mayBeFirst {
        originalServer.noteFirst(long.destination)
      } else if hasSource {
        // A Handshake packet goes to the id that the server chose.
        server.noteFirst(long.destination)
      }
    case .server:
      originalClient.noteFirst(long.destination)
      if hasSource { server.noteFirst(long.source) }
    case nil:
      let first = isForward ? firstForward : firstReverse
      guard !first.source.isKnown else { return }
      let new = FirstPacket(
        destination: ID(long.destination), source: ID(long.source), mayBeFirst: mayBeFirst,
        hasSource: hasSource)
      if isForward { firstForward = new } else { firstReverse = new }
    }
  }

  /// Takes note of the client's first Initial: the ids in it count, whatever came before.
  mutating func noteFirstInitial(_ long: QUIC.LongPacket) {
    originalServer = ID(long.destination)
    originalClient = ID(long.source)
  }

  /// Takes note of an Initial that the client sent to an id which the server chose.
  mutating func noteServer(_ id: Bytes) { server.noteFirst(id) }

  /// Whether an id is one of those that the connection's server has, as far as they are known.
  func isServer(_ id: Bytes) -> Bool {
    keyed.isEqual(to: id) || server.isEqual(to: id) || originalServer.isEqual(to: id)
      || retry.isEqual(to: id)
  }

  // MARK: Packets

  /// Takes note of a Retry: its token, and the id that the client goes on with. A client follows the first one only (RFC 9000
  /// section 17.2.5.2).
  mutating func noteRetry(_ long: QUIC.LongPacket) {
    guard !retry.isKnown else { return }
    tokenLength = UInt64(clamping: long.tokenLength)
    retry = ID(long.source)
  }

  mutating func noteZeroRTT() {
    if zeroRTT < .max { zeroRTT &+= 1 }
  }

  /// Takes note of another connection's hello, which is not counted again when it is repeated.
  mutating func noteOther(_ id: Bytes, hasHello: Bool) {
    other = ID(id)
    if hasHello, multiplexed < .max { multiplexed &+= 1 }
  }

  mutating func noteShortHeader(_ payload: Bytes, isForward: Bool) {
    if isForward {
      forwardShortHeader.noteFirst(payload.dropFirst(1))
    } else {
      reverseShortHeader.noteFirst(payload.dropFirst(1))
    }
  }
}
