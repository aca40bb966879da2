// tls: what ClientHello and ServerHello tell about a connection, for TLS and DTLS on any port.
import IPFIX
import Wire

/// `--plugin tls[:certificates]`.
struct TLSPlugin: FlowPlugin {
  static let name = "tls"
  static let summary = "server name, versions, ALPN, cipher suite, JA3 and JA4 of TLS and DTLS handshakes"
  static let protocols: FlowProtocols = [.tcp, .udp]

  static let options = [
    PluginOption(
      "certificates", .flag, "also read the server's certificate, which TLS 1.2 and older send in clear")
  ]

  /// What is kept in the record; hellos under way and their summary lie in slab blocks.
  struct State: FlowState {
    var forward = HelloReader()
    var reverse = HelloReader()
    /// A `HelloSummary`, once a hello was parsed.
    var summary = StoredBytes()
    /// Packets with payload so far, and with how many the plugin gives up; 0 is not decided.
    var payloads: UInt8 = 0
    var limit: UInt8 = 0
    var hasClientHello = false
    var hasServerHello = false
    /// Hellos read so far.
    var clientHellos: UInt8 = 0
    var serverHellos: UInt8 = 0
    var certificate = CertificatePhase.none

    var isReadingCertificate: Bool {
      switch certificate {
      case .inForward, .inReverse: true
      case .none, .over: false
      }
    }
  }

  /// How far the reading of the server's certificate is, and in which direction it comes.
  enum CertificatePhase: UInt8, BitwiseCopyable { case none, inForward, inReverse, over }

  /// Packets with payload after which a flow without hello is left alone. Eight reach past the requests that come
  /// before TLS in a proxied connection (CONNECT, SOCKS with a password) or a database's (PostgreSQL, MySQL).
  private static let ordinaryLimit: UInt8 = 8
  /// The same for the mail, file and chat protocols with a STARTTLS command, and for media flows that begin with STUN.
  private static let extendedLimit: UInt8 = 32
  /// How many more packets a hello under way may take, and how many the ServerHello may be away.
  private static let helloLimit: UInt8 = 128
  private static let answerLimit: UInt8 = 32
  /// The most hellos of each side that are read: the second answers a HelloVerifyRequest or a HelloRetryRequest, or is a
  /// retransmission. Further ones would only cost time.
  private static let mostHellos: UInt8 = 2

  let readsCertificates: Bool

  init(options: borrowing PluginOptions) { readsCertificates = options.flag("certificates") }

  static let readsStreams = true
  static let streamClaim = StreamClaim.connection

  func makeWorkerContext() -> TLS.FingerprintMemory { TLS.FingerprintMemory() }
  func freeWorkerContext(_ context: TLS.FingerprintMemory) { context.free() }

  /// A `CertificateReader`.
  var trailingBytes: Int { readsCertificates ? MemoryLayout<CertificateReader>.size : 0 }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { !state.summary.isEmpty }

  // MARK: TCP

  @inline(__always)
  func recognise(_ bytes: Bytes) -> Recognition {
    switch TLS.RecordStart(bytes) {
    case .hello(let isSure), .preamble(let isSure): isSure ? .yes : .perhaps
    case .other: .no
    }
  }

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    if state.limit == 0 { decideLimit(&state, stream.bytes, packet) }
    if readsCertificates, state.isReadingCertificate {
      if isCertificate(state, stream) { return readCertificate(&state, stream, &flow) }
      // Of the other side nothing more is wanted than its hello.
      if state.hasServerHello, state.hasClientHello {
        return conclude(&state, nil, .stream, isForward: stream.isForward, &flow).contains(.done)
          ? .done : .all
      }
    }
    var reader = stream.isForward ? state.forward : state.reverse
    let wasCollecting = reader.isCollecting
    let outcome = reader.take(stream, &flow.blocks)
    if stream.isForward { state.forward = reader } else { state.reverse = reader }
    var message: TLS.HelloMessage?
    switch outcome {
    case .hello(let hello): message = hello
    case .incomplete: if !wasCollecting { extend(&state, by: TLSPlugin.helloLimit) }
    case .nothing: break
    }
    let isFirst = state.payloads == 0
    let couldBegin = state.certificate == .none
    var isDone = conclude(&state, message, .stream, isForward: stream.isForward, &flow).contains(.done)
    if readsCertificates, couldBegin, state.isReadingCertificate {
      isDone = beginCertificate(&state, stream, at: reader.start, &flow)
    }
    if isDone { return .done }
    if case .incomplete = outcome { return .incomplete() }
    return isFirst && message != nil ? .all.claiming : .all
  }

  // MARK: Certificates

  @inline(__always)
  private func isCertificate(_ state: State, _ stream: StreamBytes) -> Bool {
    switch state.certificate {
    case .inForward: stream.isForward
    case .inReverse: !stream.isForward
    case .none, .over: false
    }
  }

  /// Whether the server's certificate follows its hello in clear.
  private func isFollowedByCertificate(_ hello: TLS.ServerHello) -> Bool {
    hello.version >= TLS.Version.ssl3 && hello.version < TLS.Version.tls13
  }

  /// Reads on behind the ServerHello, which lies at `start`; true where no more is wanted of the flow.
  @inline(never)
  private func beginCertificate(
    _ state: inout State, _ stream: StreamBytes, at start: Int, _ flow: inout FlowContext<Self>
  ) -> Bool {
    extend(&state, by: TLSPlugin.helloLimit)
    var reader = CertificateReader()
    if !reader.take(stream.bytes.dropFirst(start), &flow.blocks) { state.certificate = .over }
    flow.trailing.store(reader, at: 0)
    return state.certificate == .over && state.hasClientHello
  }

  @inline(never)
  private func readCertificate(
    _ state: inout State, _ stream: StreamBytes, _ flow: inout FlowContext<Self>
  ) -> Reading {
    var reader = flow.trailing.load(CertificateReader.self, at: 0)
    if stream.isAfterGap || !reader.take(stream.bytes, &flow.blocks) { state.certificate = .over }
    flow.trailing.store(reader, at: 0)
    return conclude(&state, nil, .stream, isForward: stream.isForward, &flow).contains(.done) ? .done : .all
  }

  // MARK: UDP

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp else { return .done }
    return packet.payloadCaptured > 0 ? lookAtDatagram(&state, packet, &flow) : .more
  }

  private func lookAtDatagram(
    _ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Verdict {
    let payload = packet.payload
    if state.limit == 0 {
      state.limit = TLSPlugin.isSTUN(payload) ? TLSPlugin.extendedLimit : TLSPlugin.ordinaryLimit
    }
    if HelloReader.isHandshake(datagram: payload) {
      var reader = packet.isForward ? state.forward : state.reverse
      let wasCollecting = reader.isCollecting
      let message = reader.take(datagram: payload, &flow.blocks)
      if reader.isCollecting, !wasCollecting { extend(&state, by: TLSPlugin.helloLimit) }
      if packet.isForward { state.forward = reader } else { state.reverse = reader }
      return conclude(&state, message, .datagram, isForward: packet.isForward, &flow)
    }
    var message: TLS.HelloMessage?
    if case .hello = TLS.RecordStart(payload) { message = TLS.RecordWalk.whole(payload) }
    return conclude(&state, message, .quic, isForward: packet.isForward, &flow)
  }

  // MARK: Hellos

  /// Takes the hello in, if there is one, and says whether the flow is still of interest.
  @inline(__always)
  private func conclude(
    _ state: inout State, _ message: TLS.HelloMessage?, _ transport: TLS.Transport, isForward: Bool,
    _ flow: inout FlowContext<Self>
  ) -> Verdict {
    if let message {
      note(message, transport, &state, isForward: isForward, flow.worker, &flow.blocks)
    }
    if state.hasServerHello, state.hasClientHello, !state.isReadingCertificate { return .done }
    state.payloads &+= 1
    return state.payloads >= state.limit ? .done : .more
  }

  @inline(never)
  private func note(
    _ message: TLS.HelloMessage, _ transport: TLS.Transport, _ state: inout State, isForward: Bool,
    _ memory: TLS.FingerprintMemory, _ blocks: inout FlowBlocks
  ) {
    let isClient = message.type == TLS.HandshakeType.clientHello
    guard (isClient ? state.clientHellos : state.serverHellos) < TLSPlugin.mostHellos else { return }
    var summary =
      state.summary.isEmpty
      ? HelloSummary() : blocks.contents(state.summary.block).load(HelloSummary.self, at: 0)
    if isClient {
      guard let hello = try? TLS.ClientHello(message.body, transport: transport) else { return }
      state.clientHellos &+= 1
      guard summary.note(hello, transport: transport, memory, &state.summary, &blocks) else { return }
      state.hasClientHello = true
    } else {
      guard let hello = try? TLS.ServerHello(message.body) else { return }
      state.serverHellos &+= 1
      guard summary.note(hello, memory, &state.summary, &blocks) else { return }
      state.hasServerHello = true
      if readsCertificates, case .stream = transport, state.certificate == .none,
        isFollowedByCertificate(hello)
      {
        state.certificate = isForward ? .inForward : .inReverse
      }
    }
    blocks.contents(state.summary.block).store(summary, at: 0)
    state.summary.length = summary.end
    extend(&state, by: TLSPlugin.answerLimit)
    // The answer may be long too: it gets the block in which this hello was put together.
    if isForward { state.forward.lend(to: &state.reverse) } else { state.reverse.lend(to: &state.forward) }
  }

  // MARK: When to give up

  private func extend(_ state: inout State, by packets: UInt8) {
    // At 255 packets it ends in any case.
    let (sum, isOver) = state.payloads.addingReportingOverflow(packets)
    state.limit = max(state.limit, isOver ? 255 : sum)
  }

  /// Decides from the first payload, and the ports, how long to look for a hello.
  private func decideLimit(_ state: inout State, _ payload: Bytes, _ packet: PacketView) {
    let mayStartTLS =
      TLSPlugin.isGreeting(payload) || TLSPlugin.hasStartTLS(packet.sourcePort)
      || TLSPlugin.hasStartTLS(packet.destinationPort)
    state.limit = mayStartTLS ? TLSPlugin.extendedLimit : TLSPlugin.ordinaryLimit
  }

  /// The first words of the protocols with a STARTTLS command: SMTP and FTP, POP3, IMAP, XMPP.
  private static func isGreeting(_ payload: Bytes) -> Bool {
    payload.starts(with: "220 ") || payload.starts(with: "220-") || payload.starts(with: "+OK")
      || payload.starts(with: "* OK") || payload.starts(with: "* PREAUTH") || payload.starts(with: "<?xml")
      || payload.starts(with: "<stream:")
  }

  private static func hasStartTLS(_ port: UInt16) -> Bool {
    switch port {
    case 21, 25, 110, 143, 587, 2525, 4190, 5222, 5269: true
    default: false
    }
  }

  /// Whether a datagram is STUN's (RFC 8489 section 5), as at the start of WebRTC flows, which then speak DTLS.
  private static func isSTUN(_ payload: Bytes) -> Bool {
    payload.count >= 20 && payload[0] < 4 && payload.load(UInt32.self, at: 4) == 0x2112_A442
  }
}
