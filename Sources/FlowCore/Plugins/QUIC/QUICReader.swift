// How a datagram changes what is known of a flow: its packets one by one, and the hellos in those that can be opened.
import Wire

extension QUICPlugin {
  /// The most packets of a datagram that are looked at. Clients send three together, servers four.
  private static let mostCoalesced = 8
  /// The most Initial packets of a flow that are opened, or tried; with two sets of keys counts twice. A handshake with a
  /// large hello takes four to eight.
  private static let mostAttempts: UInt8 = 32
  /// The same for one datagram, whose packets may be short.
  private static let mostOfDatagram: UInt8 = 4

  /// The least bytes of the id that a client makes up (RFC 9000 section 7.2), and that a Version Negotiation returns. Without
  /// it some DNS queries are such packets.
  private static let leastFirstID = 8

  /// Reads the packets of a datagram; returns what they are, 0 for none of QUIC's.
  static func read(
    _ packet: PacketView, _ state: inout State, _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) -> UInt8 {
    var reader = QUIC.DatagramReader(packet.payload, length: packet.payloadLength)
    guard let first = reader.next() else { return 0 }
    if case .versionNegotiation = first.type, first.source.count < leastFirstID { return 0 }
    if state.connection.isEmpty {
      guard QUICConnection.begin(&state.connection, &blocks) else { return first.type.rawValue }
    }
    let contents = blocks.contents(state.connection.block)
    var connection = contents.load(QUICConnection.self, at: 0)
    let limit = min(mostAttempts, connection.attempts &+ mostOfDatagram)
    var found: UInt8 = 0
    var left = mostCoalesced
    var next: QUIC.LongPacket? = first
    // Packets for another id do not belong into the datagram (RFC 9000 section 12.2).
    while left > 0, let long = next, long.destination.isEqual(to: first.destination) {
      left &-= 1
      found |= long.type.rawValue
      note(long, packet, limit, &connection, &state, worker, &blocks)
      next = reader.next()
    }
    contents.store(connection, at: 0)
    return found
  }

  private static func note(
    _ long: QUIC.LongPacket, _ packet: PacketView, _ limit: UInt8, _ connection: inout QUICConnection,
    _ state: inout State, _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) {
    var isInitial = false
    switch long.type {
    case .initial: isInitial = true
    case .zeroRTT:
      connection.noteZeroRTT()
      connection.noteSender(.client, packet)
    case .handshake: break
    case .retry:
      guard worker.isGenuine(long, connection.originalServer) else { return }
      connection.noteRetry(long)
      connection.noteSender(.server, packet)
    case .versionNegotiation: connection.noteSender(.server, packet)
    }
    if long.type.rawValue != QUIC.PacketType.zeroRTT.rawValue { connection.version = long.version }
    connection.noteIDs(long, isForward: packet.isForward)
    guard isInitial, connection.attempts < limit else { return }
    switch connection.sender(isForward: packet.isForward) {
    case .server: openServer(long, &connection, &state, worker, &blocks)
    case .client, nil: openClient(long, packet, &connection, &state, worker, &blocks)
    }
  }

  // MARK: The server's

  private static func openServer(
    _ long: QUIC.LongPacket, _ connection: inout QUICConnection, _ state: inout State, _ worker: QUICWorker,
    _ blocks: inout FlowBlocks
  ) {
    guard !connection.serverIsOver, connection.keyed.isKnown else { return }
    let keys = QUICConnection.keys(.server, blocks.contents(state.connection.block))
    if connection.serverKeyVersion != long.version {
      worker.derive(.server, connection.keyed, version: long.version, into: keys)
      connection.serverKeyVersion = long.version
    }
    connection.attempts &+= 1
    guard let frames = worker.cipher.open(long, keys.prefix(keys.count)) else { return }
    switch worker.take(
      frames, version: long.version, TLS.HandshakeType.serverHello, &state.serverStream, &blocks)
    {
    case .incomplete: return
    case .other: break
    case .hello(let body):
      guard let hello = try? TLS.ServerHello(body) else { break }
      connection.cipherSuite = hello.cipherSuite
      connection.tlsVersion = hello.version
    }
    connection.serverIsOver = true
  }

  // MARK: The client's

  private static func openClient(
    _ long: QUIC.LongPacket, _ packet: PacketView, _ connection: inout QUICConnection, _ state: inout State,
    _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) {
    let keys = QUICConnection.keys(.client, blocks.contents(state.connection.block))
    // The server's Retry changes the keys when the client follows it: then they open its packet. Whoever sees the client's id
    // can make a Retry, but not that.
    if connection.keyed.isKnown, connection.retry.isEqual(to: long.destination),
      !connection.keyed.isEqual(to: long.destination)
    {
      worker.deriveOwnKeys(long)
      connection.attempts &+= 1
      if let frames = worker.cipher.open(long, worker.ownKeys) {
        takeOwnKeys(long, &connection, worker, into: keys)
        if !connection.clientIsOver { noteHello(frames, long, &connection, &state, worker, &blocks) }
        return
      }
    }
    let isOurs = connection.isServer(long.destination)
    if connection.clientIsOver, isOurs || connection.other.isEqual(to: long.destination) { return }
    if connection.keyed.isKnown {
      if connection.clientKeyVersion != long.version {
        worker.derive(.client, connection.keyed, version: long.version, into: keys)
        connection.clientKeyVersion = long.version
      }
      connection.attempts &+= 1
      if let frames = worker.cipher.open(long, keys.prefix(keys.count)) {
        if !isOurs { connection.noteServer(long.destination) }
        if !connection.clientIsOver { noteHello(frames, long, &connection, &state, worker, &blocks) }
        return
      }
      if isOurs { return }
    }
    // Keys of its own: the first packet of a connection.
    worker.deriveOwnKeys(long)
    connection.attempts &+= 1
    guard let frames = worker.cipher.open(long, worker.ownKeys) else { return }
    if connection.clientIsOver {
      return connection.noteOther(
        long.destination, hasHello: worker.beginsHello(frames, version: long.version))
    }
    connection.noteSender(.client, packet)
    connection.noteFirstInitial(long)
    takeOwnKeys(long, &connection, worker, into: keys)
    CryptoStream.clear(state.clientStream, blocks)
    noteHello(frames, long, &connection, &state, worker, &blocks)
  }

  /// The keys of the packet's own id, which opened it, are the connection's from here on.
  private static func takeOwnKeys(
    _ long: QUIC.LongPacket, _ connection: inout QUICConnection, _ worker: QUICWorker,
    into keys: MutableBytes
  ) {
    connection.keyed = QUICConnection.ID(long.destination)
    connection.clientKeyVersion = long.version
    connection.serverKeyVersion = 0
    keys.copy(worker.ownKeys, to: 0)
  }

  private static func noteHello(
    _ frames: Bytes, _ long: QUIC.LongPacket, _ connection: inout QUICConnection, _ state: inout State,
    _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) {
    switch worker.take(
      frames, version: long.version, TLS.HandshakeType.clientHello, &state.clientStream, &blocks)
    {
    case .incomplete: return
    case .other: break
    case .hello(let body):
      guard let hello = try? TLS.ClientHello(body, transport: .quic),
        QUICHello.store(hello, in: &state.hello, worker, &blocks)
      else { break }
      connection.clientVersion = long.version
      connection.tokenLength = UInt64(clamping: long.tokenLength)
    }
    connection.clientIsOver = true
    // The answer may take several packets, too: it gets the block.
    if state.serverStream.isNone {
      CryptoStream.clear(state.clientStream, blocks)
      swap(&state.clientStream, &state.serverStream)
    }
  }
}
