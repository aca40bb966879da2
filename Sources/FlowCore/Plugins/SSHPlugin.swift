// ssh: what the two sides of a connection of SSH are and offer, from what they say in clear before they encrypt (RFC 4253).
import IPFIX
import Wire

/// `--plugin ssh`. A connection is one, on any port, when a side begins with `SSH-`, the server's also behind some lines of text.
///
/// Which side is the client is told by its lists where they have a name that only one side sends, by lines that only a server
/// may send, by SSH's port, by who opened the connection, and else by the lower port, in this order.
struct SSHPlugin: FlowPlugin {
  static let name = "ssh"
  static let summary = "SSH: versions, HASSH and algorithms of both sides"
  static let protocols: FlowProtocols = .tcp
  static let readsStreams = true
  static let streamClaim = StreamClaim.connection

  /// How far a direction was read.
  enum Phase: UInt8, BitwiseCopyable {
    /// Its identification is due.
    case start
    /// Its list of algorithms is due.
    case keyExchange
    /// All was seen, or it is not understood.
    case over
  }

  struct Direction: BitwiseCopyable {
    var version = StoredBytes()
    /// A fingerprint, if there is one, the length of the algorithms, the algorithms, and those of the host key.
    var offer = StoredBytes()
    var phase = Phase.start
    /// Lines before the identification; then what came after all was seen.
    var patience: UInt8 = 0
  }

  struct State: FlowState {
    var forward = Direction()
    var reverse = Direction()
    /// An identification was seen.
    var isPresent = false
    /// The flow's source is the server.
    var isServerFirst = false
  }

  /// The server's usual port.
  private static var port: UInt16 { 22 }
  /// How many lines may come before an identification, and how many where nothing but them speaks for SSH; how long the first
  /// of the latter may be before its end is seen.
  private static var mostLines: UInt8 { 32 }
  private static var mostStrangeLines: UInt8 { 4 }
  private static var longestStrangeLine: Int { 255 }
  /// How often a direction goes on while the other one says nothing; before it knows the other's algorithms it has no more
  /// than a guess to send.
  private static var mostReadings: UInt8 { 16 }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  @inline(__always)
  func recognise(_ bytes: Bytes) -> Recognition {
    bytes.count >= 8 && SSH.mayBegin(bytes) ? .yes : .no
  }

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    if !state.isPresent, !SSH.mayBegin(stream.bytes), !mayBeLines(state, stream, packet, flow) {
      return .done
    }
    return follow(&state, stream, packet, &flow)
  }

  /// Whether bytes that are no identification may be lines before a server's: at SSH's port what it sends is; at others text
  /// with which it speaks first. The servers of files and mails begin with a digit, `+` or `*`, which is not taken for it.
  @inline(__always)
  private func mayBeLines(
    _ state: State, _ stream: StreamBytes, _ packet: PacketView, _ flow: FlowContext<Self>
  ) -> Bool {
    if packet.sourcePort == Self.port { return true }
    let direction = stream.isForward ? state.forward : state.reverse
    if direction.patience > 0 { return true }
    guard stream.bytes[0] >= UInt8(ascii: "A"), stream.bytes[0] <= UInt8(ascii: "~") else { return false }
    return stream.isForward == isServerFirst(flow, packet)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  @inline(never)
  private func follow(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    var direction = stream.isForward ? state.forward : state.reverse
    let other = stream.isForward ? state.reverse : state.forward
    defer { if stream.isForward { state.forward = direction } else { state.reverse = direction } }
    var position = 0
    var claims = false
    if direction.phase == .start {
      if stream.isAfterGap, !SSH.mayBegin(stream.bytes) { direction.phase = .over }
      while direction.phase == .start {
        let rest = stream.bytes.dropFirst(position)
        let isStrange = !state.isPresent && packet.sourcePort != Self.port
        switch SSH.start(rest) {
        case .incomplete:
          if !isStrange || rest.count <= Self.longestStrangeLine { return .incomplete(taken: position) }
          direction.phase = .over
        case .line(let length):
          direction.patience &+= 1
          if direction.patience > (isStrange ? Self.mostStrangeLines : Self.mostLines) {
            direction.phase = .over
          }
          position &+= length
        case .identification(let version, let length):
          claims = !state.isPresent
          if claims { state.isServerFirst = isServerFirst(flow, packet) }
          if direction.patience > 0, other.offer.isEmpty { state.isServerFirst = stream.isForward }
          state.isPresent = true
          direction.patience = 0
          direction.phase = hasKeyExchange(version) ? .keyExchange : .over
          flow.store(version, in: &direction.version)
          position &+= length
        case .other: direction.phase = .over
        }
      }
      if !state.isPresent { return .done }
    } else if direction.phase == .keyExchange, stream.isAfterGap {
      direction.phase = .over
    }
    if direction.phase == .keyExchange {
      switch SSH.firstPacket(stream.bytes.dropFirst(position)) {
      case .incomplete: return claims ? .incomplete(taken: position).claiming : .incomplete(taken: position)
      case .keyExchange(let exchange):
        // What was kept of the other side stays as it was read.
        if let isClients = exchange.isClients, other.offer.isEmpty {
          state.isServerFirst = isClients != stream.isForward
        }
        keep(exchange, ofClient: stream.isForward != state.isServerFirst, in: &direction, &flow)
      case .other: break
      }
      direction.phase = .over
    }
    direction.patience &+= 1
    if other.phase == .over || direction.patience > Self.mostReadings { return .done }
    return claims ? .all.claiming : .all
  }

  /// Whether the version has the key exchange of version 2: `SSH-1.99-` has (section 5.1).
  private func hasKeyExchange(_ version: Bytes) -> Bool {
    version.starts(with: "SSH-2") || version.starts(with: "SSH-1.99")
  }

  /// Whether the flow's source is the server, by its packets: the side with SSH's port, whatever came first in the capture. Without
  /// it, it is not where a connection was seen to begin, of which the answer may be missing; else the server is the side with the lower
  /// port.
  private func isServerFirst(_ flow: FlowContext<Self>, _ packet: PacketView) -> Bool {
    let record = flow.record.pointee
    let (source, destination) = (record.key.sourcePort, record.key.destinationPort)
    if (source == Self.port) != (destination == Self.port) { return source == Self.port }
    if record.forwardFlags & TCPFlags.syn != 0, record.reversePackets > 0 { return false }
    return source < destination
  }

  /// Keeps what is exported of a list of algorithms.
  private func keep(
    _ exchange: SSH.KeyExchange, ofClient isClient: Bool, in direction: inout Direction,
    _ flow: inout FlowContext<Self>
  ) {
    let hostKey = exchange.shortHostKey
    let length = Offer.headSize &+ SSH.KeyExchange.longestAlgorithms &+ hostKey.count
    guard let block = flow.takeBlock(length) else { return }
    let contents = flow.contents(block)
    var head = Offer.Head()
    if let fingerprint = exchange.fingerprint(ofClient: isClient) {
      head.fingerprint = fingerprint
      head.hasFingerprint = true
    } else {
      flow.blocks.noteFingerprintLeftOut()
    }
    var text = ScratchText(contents.dropFirst(Offer.headSize))
    exchange.writeAlgorithms(ofClient: isClient, to: &text)
    head.algorithms = UInt16(truncatingIfNeeded: text.count).bigEndian
    text.append(hostKey)
    contents.store(head, at: 0)
    direction.offer = StoredBytes(block, length: Offer.headSize &+ text.count)
  }

  // MARK: Fields

  static let clientVersion = InformationElement(.martlet, 70, "sshClientVersion", .string)
  static let serverVersion = InformationElement(.martlet, 71, "sshServerVersion", .string)
  static let clientFingerprint = InformationElement(.martlet, 72, "sshHassh", .octetArray)
  static let serverFingerprint = InformationElement(.martlet, 73, "sshHasshServer", .octetArray)
  static let clientAlgorithms = InformationElement(.martlet, 74, "sshClientAlgorithms", .string)
  static let serverAlgorithms = InformationElement(.martlet, 75, "sshServerAlgorithms", .string)
  static let clientHostKey = InformationElement(.martlet, 76, "sshClientHostKeyAlgorithms", .string)
  static let serverHostKey = InformationElement(.martlet, 77, "sshServerHostKeyAlgorithms", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let client = state.isServerFirst ? state.reverse : state.forward
    let server = state.isServerFirst ? state.forward : state.reverse
    let (clientOffer, serverOffer) = (Offer(flow.bytes(client.offer)), Offer(flow.bytes(server.offer)))
    writer.string(Self.clientVersion, flow.bytes(client.version).span)
    writer.string(Self.serverVersion, flow.bytes(server.version).span)
    writer.octets(Self.clientFingerprint, clientOffer.fingerprint.span)
    writer.octets(Self.serverFingerprint, serverOffer.fingerprint.span)
    writer.string(Self.clientAlgorithms, clientOffer.algorithms.span)
    writer.string(Self.serverAlgorithms, serverOffer.algorithms.span)
    writer.string(Self.clientHostKey, clientOffer.hostKey.span)
    writer.string(Self.serverHostKey, serverOffer.hostKey.span)
  }
}

/// What a side offers, as it lies in a block:
///
///     | fingerprint 16 | is there one 1 | . | algorithms' length 2 | algorithms | host key's algorithms |
private struct Offer {
  struct Head: BitwiseCopyable {
    var fingerprint = SSH.KeyExchange.Fingerprint(repeating: 0)
    var hasFingerprint = false
    /// Big-endian, as `Bytes` reads it.
    var algorithms: UInt16 = 0
  }

  static var headSize: Int { MemoryLayout<Head>.size }

  /// The fingerprint's bytes; none where there is no fingerprint.
  let fingerprint: Bytes
  let algorithms: Bytes
  let hostKey: Bytes

  /// Reads a block; empty for none.
  init(_ block: Bytes) {
    let text = block.dropFirst(Self.headSize)
    guard block.count >= Self.headSize else {
      (fingerprint, algorithms, hostKey) = (text, text, text)
      return
    }
    let hasFingerprint = block[16] != 0
    let length = Int(block.load(UInt16.self, at: 18))
    fingerprint = block.prefix(hasFingerprint ? 16 : 0)
    algorithms = text.prefix(length)
    hostKey = text.dropFirst(length)
  }
}
