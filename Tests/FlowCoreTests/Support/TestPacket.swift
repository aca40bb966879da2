// Frames made by tests, byte by byte: one TCP, UDP or ICMP packet of a flow between 192.0.2.1 and 198.51.100.2.

@testable import FlowCore

/// One packet to be made.
struct TestPacket {
  /// Nanoseconds since 1970.
  var time: UInt64 = 1_700_000_000_000_000_000
  var isForward = true
  var payload: [UInt8] = []
  var protocolNumber: UInt8 = 6
  /// The source's port, which tells flows apart; the destination's is 443.
  var port: UInt16 = 50_000
  var flags: UInt8 = 0x18
  var sequence: UInt32 = 0
  var acknowledgement: UInt32 = 0
  var window: UInt16 = 0
  /// TCP options; their number of bytes is a multiple of 4.
  var options: [UInt8] = []
  var timeToLive: UInt8 = 64
  /// IPv4 flags: bit 2 reserved, bit 1 DF, bit 0 MF.
  var fragmentFlags: UInt8 = 0
  /// In units of 8 bytes.
  var fragmentOffset: UInt16 = 0
  var isVersion6 = false
  /// 802.1Q tags, outermost first.
  var vlans: [UInt16] = []
  /// MPLS label stack entries, outermost first.
  var labels: [UInt32] = []
  /// How many bytes of the frame are captured; nil for all.
  var captured: Int?

  private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  private var transport: [UInt8] {
    let ports = isForward ? (port, 443) : (443, port)
    switch protocolNumber {
    case _ where fragmentOffset > 0: return payload
    case 6:
      return Self.bytes(ports.0) + Self.bytes(ports.1) + Self.bytes(sequence) + Self.bytes(acknowledgement)
        + [UInt8(5 + options.count / 4) << 4, flags] + Self.bytes(window) + [0, 0, 0, 0] + options + payload
    case 17:
      return Self.bytes(ports.0) + Self.bytes(ports.1) + Self.bytes(UInt16(8 + payload.count)) + [0, 0]
        + payload
    default: return payload
    }
  }

  private var network: [UInt8] {
    let transport = transport
    if isVersion6 {
      let ends = [[0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]]
      let other = [UInt8]([0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [2])
      return [0x60, 0, 0, 0] + Self.bytes(UInt16(transport.count)) + [protocolNumber, timeToLive]
        + (isForward ? ends[0] + other : other + ends[0]) + transport
    }
    let ends: ([UInt8], [UInt8]) = ([192, 0, 2, 1], [198, 51, 100, 2])
    return [0x45, 0] + Self.bytes(UInt16(20 + transport.count)) + [0, 1]
      + Self.bytes(UInt16(fragmentFlags) << 13 | fragmentOffset) + [timeToLive, protocolNumber, 0, 0]
      + (isForward ? ends.0 + ends.1 : ends.1 + ends.0) + transport
  }

  /// The frame on the wire, without Ethernet's padding.
  var frame: CapturedFrame {
    var bytes: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]
    for vlan in vlans { bytes += [0x81, 0] + Self.bytes(vlan) }
    bytes += labels.isEmpty ? (isVersion6 ? [0x86, 0xDD] : [0x08, 0]) : [0x88, 0x47]
    for label in labels { bytes += Self.bytes(label) }
    bytes += network
    return CapturedFrame(
      bytes: Array(bytes.prefix(captured ?? bytes.count)), wire: bytes.count, time: time)
  }
}

extension Capture {
  /// Runs packets through a worker with one plugin enabled.
  static func run(
    _ packets: [TestPacket], _ plugins: String..., configuration: FlowConfiguration = FlowConfiguration()
  ) throws -> [Record] {
    try Capture(frames: packets.map(\.frame)).run(plugins: plugins, configuration: configuration).records
  }
}

extension FieldValue {
  /// A list of whole numbers.
  static func numbers(_ values: [Int]) -> FieldValue { .list(values.map { .number(Double($0)) }) }

  /// A list of times, nanoseconds since 1970.
  static func times(_ values: [UInt64]) -> FieldValue {
    .list(values.map { .text(FieldCollector.isoTime($0)) })
  }
}

/// Random numbers that are the same in every run.
struct TestRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    // SplitMix64 (Steele, Lea, Flood 2014).
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
