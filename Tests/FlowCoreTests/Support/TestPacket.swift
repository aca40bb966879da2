// One packet of a flow between two hosts, for tests that care for a few of its fields.

import IPFIXDecoding

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

  private var transport: [UInt8] {
    let (from, to) = isForward ? (port, 443) : (443, port)
    switch protocolNumber {
    case _ where fragmentOffset > 0: return payload
    case 6:
      return FrameBuilder.tcp(
        from, to, payload, flags: flags, sequence: sequence, acknowledgement: acknowledgement,
        options: options, window: window)
    case 17: return FrameBuilder.udp(from, to, payload)
    default: return payload
    }
  }

  private var network: [UInt8] {
    let (client, server) =
      isVersion6
      ? (FrameBuilder.client6, FrameBuilder.server6) : (FrameBuilder.client4, FrameBuilder.server4)
    let (from, to) = isForward ? (client, server) : (server, client)
    if isVersion6 {
      return FrameBuilder.ipv6(protocolNumber, transport, from: from, to: to, hopLimit: timeToLive)
    }
    return FrameBuilder.ipv4(
      protocolNumber, transport, from: from, to: to, identification: 1,
      fragment: UInt16(fragmentFlags) << 13 | fragmentOffset, timeToLive: timeToLive)
  }

  /// The frame on the wire, without Ethernet's padding.
  var frame: CapturedFrame {
    var type: UInt16 = labels.isEmpty ? (isVersion6 ? 0x86DD : 0x0800) : 0x8847
    var bytes = labels.flatMap(FrameBuilder.word) + network
    for vlan in vlans.reversed() {
      bytes = FrameBuilder.vlan(vlan, type, bytes)
      type = 0x8100
    }
    bytes = FrameBuilder.ethernet(type, bytes)
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
