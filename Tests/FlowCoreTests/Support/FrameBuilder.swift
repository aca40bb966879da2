// Frames made by hand: each function puts one header before the bytes it is given, so that a frame reads from the
// outside in: `ethernet(0x0800, ipv4(17, udp(1024, 53, payload)))`. `Conversation` is for tests of payloads.
@testable import FlowCore

/// The headers, all with checksums of 0, which nothing here verifies.
enum FrameBuilder {
  static let clientMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0x01]
  static let serverMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0x02]
  /// 192.0.2.1 and 198.51.100.2 (RFC 5737).
  static let client4: [UInt8] = [192, 0, 2, 1]
  static let server4: [UInt8] = [198, 51, 100, 2]
  /// 2001:db8::1 and 2001:db8::2 (RFC 3849).
  static let client6: [UInt8] = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
  static let server6: [UInt8] = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [2]

  /// Big-endian bytes.
  static func word<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (T.bitWidth - 8 - 8 * $0)) }
  }

  static func ethernet(
    _ type: UInt16, _ payload: [UInt8], from source: [UInt8] = clientMAC, to destination: [UInt8] = serverMAC
  ) -> [UInt8] {
    destination + source + word(type) + payload
  }

  /// What follows a tag's EtherType: `ethernet(0x8100, vlan(5, 0x0800, …))`.
  static func vlan(_ id: UInt16, _ type: UInt16, _ payload: [UInt8], priority: UInt16 = 0) -> [UInt8] {
    word(priority << 13 | id) + word(type) + payload
  }

  /// `total` overrides the total length, `words` the header length, which must fit the options otherwise.
  static func ipv4(
    _ proto: UInt8, _ payload: [UInt8], from source: [UInt8] = client4, to destination: [UInt8] = server4,
    options: [UInt8] = [], identification: UInt16 = 0, fragment: UInt16 = 0x4000, timeToLive: UInt8 = 64,
    total: Int? = nil, version: UInt8 = 4, words: Int? = nil
  ) -> [UInt8] {
    let length = total ?? 20 + options.count + payload.count
    return [version << 4 | UInt8(words ?? 5 + options.count / 4), 0]
      + word(UInt16(truncatingIfNeeded: length))
      + word(identification) + word(fragment) + [timeToLive, proto, 0, 0] + source + destination + options
      + payload
  }

  /// `length` overrides the payload length.
  static func ipv6(
    _ next: UInt8, _ payload: [UInt8], from source: [UInt8] = client6, to destination: [UInt8] = server6,
    hopLimit: UInt8 = 64, length: Int? = nil, version: UInt8 = 6
  ) -> [UInt8] {
    [version << 4, 0, 0, 0] + word(UInt16(truncatingIfNeeded: length ?? payload.count)) + [next, hopLimit]
      + source + destination + payload
  }

  /// An IPv6 extension header of `octets` bytes, a multiple of 8: hop-by-hop, routing, destination options, ….
  static func extensionHeader(_ next: UInt8, octets: Int, _ payload: [UInt8]) -> [UInt8] {
    [next, UInt8(octets / 8 - 1)] + [UInt8](repeating: 0, count: octets - 2) + payload
  }

  /// `length` overrides the UDP length.
  static func udp(
    _ sourcePort: UInt16, _ destinationPort: UInt16, _ payload: [UInt8], length: Int? = nil
  ) -> [UInt8] {
    word(sourcePort) + word(destinationPort) + word(UInt16(truncatingIfNeeded: length ?? 8 + payload.count))
      + [0, 0] + payload
  }

  /// `options` is a multiple of 4 bytes long; `words` overrides the header length.
  static func tcp(
    _ sourcePort: UInt16, _ destinationPort: UInt16, _ payload: [UInt8] = [], flags: UInt8 = 0x10,
    sequence: UInt32 = 0, acknowledgement: UInt32 = 0, options: [UInt8] = [], window: UInt16 = 0xFFFF,
    words: Int? = nil
  ) -> [UInt8] {
    word(sourcePort) + word(destinationPort) + word(sequence) + word(acknowledgement)
      + [UInt8(words ?? 5 + options.count / 4) << 4, flags] + word(window) + [0, 0, 0, 0] + options + payload
  }
}

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

/// Pseudo-random numbers that repeat with the seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  /// True in one of `count` cases.
  mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

  /// `count` random bytes.
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
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
