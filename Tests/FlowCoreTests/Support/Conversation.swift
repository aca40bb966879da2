// Two hosts' packets as a capture: for tests of payloads.

@testable import FlowCore

/// Two hosts that send each other frames; lists them as a capture.
struct Conversation {
  enum Transport { case tcp, udp }

  let transport: Transport
  var clientPort: UInt16
  var serverPort: UInt16
  var isVersion6 = false
  /// The VLAN id of all further frames.
  var vlan: UInt16?
  /// Nanoseconds since 1970 of the next frame; `pace` is added after each.
  var time: UInt64 = 1_700_000_000_000_000_000
  var pace: UInt64 = 1_000_000
  private(set) var frames: [CapturedFrame] = []
  private var nextSequence: (client: UInt32, server: UInt32) = (1000, 5000)

  init(
    _ transport: Transport, clientPort: UInt16 = 40000, serverPort: UInt16 = 443, isVersion6: Bool = false,
    vlan: UInt16? = nil
  ) {
    self.transport = transport
    self.clientPort = clientPort
    self.serverPort = serverPort
    self.isVersion6 = isVersion6
    self.vlan = vlan
  }

  /// The capture so far.
  var capture: Capture { Capture(frames: frames) }

  /// Runs the capture so far through a small worker, which is made much faster than one of full size.
  func run(plugins: [String] = [], configuration: FlowConfiguration = .small) throws -> [Record] {
    try capture.run(plugins: plugins, configuration: configuration).records
  }

  /// The client sends `payload`, of which `captured` bytes are captured (all if nil).
  mutating func client(
    _ payload: [UInt8] = [], flags: UInt8 = 0x18, captured: Int? = nil, sequence: UInt32? = nil
  ) {
    send(payload, flags: flags, captured: captured, sequence: sequence, byClient: true)
  }

  /// The server sends `payload`, of which `captured` bytes are captured (all if nil).
  mutating func server(
    _ payload: [UInt8] = [], flags: UInt8 = 0x18, captured: Int? = nil, sequence: UInt32? = nil
  ) {
    send(payload, flags: flags, captured: captured, sequence: sequence, byClient: false)
  }

  /// The three packets of TCP's handshake.
  mutating func handshake() {
    client(flags: 0x02)
    server(flags: 0x12)
    client(flags: 0x10)
  }

  /// Any payload in either direction. TCP sequence numbers go on unless one is given.
  mutating func send(
    _ payload: [UInt8], flags: UInt8 = 0x18, captured: Int? = nil, sequence: UInt32? = nil, byClient: Bool
  ) {
    let (from, to) = byClient ? (clientPort, serverPort) : (serverPort, clientPort)
    let segment: [UInt8]
    switch transport {
    case .udp: segment = FrameBuilder.udp(from, to, payload)
    case .tcp:
      let own = sequence ?? (byClient ? nextSequence.client : nextSequence.server)
      let other = byClient ? nextSequence.server : nextSequence.client
      segment = FrameBuilder.tcp(
        from, to, payload, flags: flags, sequence: own, acknowledgement: flags & 0x10 != 0 ? other : 0)
      let next = own &+ UInt32(payload.count) &+ (flags & 0x03 != 0 ? 1 : 0)
      if byClient { nextSequence.client = next } else { nextSequence.server = next }
    }
    let proto: UInt8 = transport == .tcp ? 6 : 17
    let packet: [UInt8]
    if isVersion6 {
      packet = FrameBuilder.ipv6(
        proto, segment, from: byClient ? FrameBuilder.client6 : FrameBuilder.server6,
        to: byClient ? FrameBuilder.server6 : FrameBuilder.client6)
    } else {
      packet = FrameBuilder.ipv4(
        proto, segment, from: byClient ? FrameBuilder.client4 : FrameBuilder.server4,
        to: byClient ? FrameBuilder.server4 : FrameBuilder.client4)
    }
    let type: UInt16 = isVersion6 ? 0x86DD : 0x0800
    let frame = FrameBuilder.ethernet(
      vlan == nil ? type : 0x8100, vlan.map { FrameBuilder.vlan($0, type, packet) } ?? packet,
      from: byClient ? FrameBuilder.clientMAC : FrameBuilder.serverMAC,
      to: byClient ? FrameBuilder.serverMAC : FrameBuilder.clientMAC)
    let kept = captured.map { frame.count - payload.count + min($0, payload.count) } ?? frame.count
    frames.append(CapturedFrame(bytes: Array(frame.prefix(kept)), wire: max(60, frame.count), time: time))
    time += pace
  }
}

extension FlowConfiguration {
  /// A worker for 1024 flows with 1 MiB for blocks.
  static var small: FlowConfiguration {
    var configuration = FlowConfiguration()
    configuration.flows = 1024
    configuration.recordsUnderWay = 1024
    configuration.slabBytes = 1 << 20
    configuration.fragmentSets = 64
    return configuration
  }
}

extension Record {
  /// A number in the record, -1 where there is none.
  func number(_ key: String) -> Double {
    if case .number(let number)? = self[key] { number } else { -1 }
  }

  /// A text in the record, empty where there is none.
  func text(_ key: String) -> String {
    if case .text(let text)? = self[key] { text } else { "" }
  }
}
