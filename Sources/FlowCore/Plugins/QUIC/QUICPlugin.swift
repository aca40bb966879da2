// quic: what the handshakes of QUIC tell (RFC 9000, RFC 9001, RFC 9369): headers, and the hellos in Initial packets.
import IPFIX
import Wire

/// `--plugin quic`.
struct QUICPlugin: FlowPlugin {
  static let name = "quic"
  static let summary = "server name, versions, connection ids, ALPN, cipher suite and JA4 of QUIC handshakes"
  static let protocols: FlowProtocols = .udp

  /// What is kept in the record; ids, keys and hellos lie in slab blocks.
  struct State: FlowState {
    /// A `QUICConnection` with its keys, once a packet was QUIC's.
    var connection = StoredBytes()
    /// A `QUICHello`, once the client's was parsed.
    var hello = StoredBytes()
    /// `CryptoStream`s of hellos that take several packets.
    var clientStream = BlockReference()
    var serverStream = BlockReference()
    /// What was found in the first packets, whatever they were: bits of `QUIC.PacketType`, and the QUIC bit.
    var packets = InlineArray<30, UInt8>(repeating: 0)
    var packetCount: UInt8 = 0
    /// Packets seen, at most 255.
    var seen: UInt8 = 0
    /// Whether a short header was seen: the handshake is over, or was before the flow began.
    var hasShortHeader = false
    /// Whether the flow began with a short header, and had nothing else so far.
    var beganInTheMidst = false
  }

  /// How many packets are listed.
  static let listed = 30
  /// Packets after which a flow without one of QUIC's is left alone.
  private static let mostOthers: UInt8 = 4
  /// Packets after which a flow is left alone whose handshake does not end.
  private static let mostPackets: UInt8 = 128
  /// The bit of `packets` that is a packet's QUIC bit.
  private static let quicBit: UInt8 = 0x80
  /// Where flows may begin with short headers: see `beginsInTheMidst`.
  private static let port: UInt16 = 443

  init(options: borrowing PluginOptions) {}

  func makeWorkerContext() throws(FlowSetupError) -> QUICWorker {
    guard let worker = QUICWorker() else {
      throw .plugin("plugin quic needs AES-128-GCM and AES-128-ECB, which libcrypto does not give here")
    }
    return worker
  }

  func freeWorkerContext(_ context: QUICWorker) { context.free() }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp else { return .done }
    return note(packet, &state, flow.worker, &flow.blocks)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { !state.connection.isEmpty }

  /// Lists the packet and reads what it has.
  private func note(
    _ packet: PacketView, _ state: inout State, _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) -> Verdict {
    var flags: UInt8 = 0
    var verdict = Verdict.more
    if packet.payloadCaptured > 0, !packet.isLaterFragment {
      let payload = packet.payload
      flags = payload[0] & QUIC.fixedBit == 0 ? 0 : QUICPlugin.quicBit
      if QUIC.mayBeLongHeader(payload) {
        let found = QUICPlugin.read(packet, &state, worker, &blocks)
        flags |= found
        if found != 0 { state.beganInTheMidst = false }
        if found & QUIC.PacketType.versionNegotiation.rawValue != 0 { verdict = .flush }
      } else if flags != 0, payload[0] & QUIC.longHeader == 0 {
        noteShortHeader(packet, &state, &blocks)
      } else if state.beganInTheMidst {
        // This is no packet of QUIC's: so the first one was none.
        state.connection = StoredBytes()
        return .done
      }
    }
    if Int(state.packetCount) < QUICPlugin.listed {
      state.packets[total: Int(state.packetCount)] = flags
      state.packetCount &+= 1
    }
    if state.seen < .max { state.seen &+= 1 }
    return verdict.union(isDone(state) ? .done : .more)
  }

  /// Whether nothing more is to be expected. Behind the list only a handshake under way is of interest.
  @inline(__always)
  private func isDone(_ state: State) -> Bool {
    if state.connection.isEmpty { return state.seen >= QUICPlugin.mostOthers }
    guard Int(state.packetCount) >= QUICPlugin.listed else { return false }
    return state.hasShortHeader || state.seen >= QUICPlugin.mostPackets
  }

  /// A short header says that the handshake is over. A flow that begins with it is a connection that came from other
  /// addresses or ports, or that an earlier record has: the id in the header, of which only the two sides know how long it
  /// is, lets a collector find out. Such a header is two bits, so that it counts at QUIC's own port only, and where no packet of
  /// another kind follows.
  private func noteShortHeader(_ packet: PacketView, _ state: inout State, _ blocks: inout FlowBlocks) {
    if state.seen == 0, packet.sourcePort == QUICPlugin.port || packet.destinationPort == QUICPlugin.port {
      state.beganInTheMidst = QUICConnection.begin(&state.connection, &blocks)
    }
    guard !state.connection.isEmpty else { return }
    state.hasShortHeader = true
    guard state.beganInTheMidst else { return }
    let contents = blocks.contents(state.connection.block)
    var connection = contents.load(QUICConnection.self, at: 0)
    connection.noteShortHeader(packet.payload, isForward: packet.isForward)
    contents.store(connection, at: 0)
  }
}
