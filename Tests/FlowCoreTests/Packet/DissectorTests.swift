// The dissector, frame by frame: what each IP header leads to by its RFC; link layers, fragments, transport headers and broken
// frames are in the files beside this one.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

@Suite struct DissectorTests {
  static let payload: [UInt8] = Array("ten bytes!".utf8)
  static let udp4 = Build.ipv4(17, Build.udp(1024, 53, payload))
  static let udp6 = Build.ipv6(17, Build.udp(1024, 53, payload))
  static let tcp4 = Build.ipv4(6, Build.tcp(1024, 80, payload, flags: 0x18))
  static let timestamps: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]

  /// Dissects a frame that must be a packet.
  func packet(_ frame: [UInt8], _ linkType: LinkType = .ethernet) throws -> Dissected {
    guard case .packet(let packet) = DissectorBench(linkType).dissect(frame) else {
      Issue.record("discarded: \(DissectorBench(linkType).dissect(frame))")
      throw NotAPacket()
    }
    return packet
  }

  struct NotAPacket: Error {}

  func reason(_ frame: [UInt8], _ linkType: LinkType = .ethernet, captured: Int? = nil)
    -> DiscardReason?
  {
    if case .discarded(let reason) = DissectorBench(linkType).dissect(frame, captured: captured) {
      reason
    } else {
      nil
    }
  }

  /// Expects the UDP packet of `udp4` or `udp6`.
  func expectUDP(
    _ packet: Dissected, version6: Bool = false, vlan: UInt16 = 0, macs: (UInt64, UInt64)? = (1, 2),
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(packet.source == (version6 ? Build.client6 : Build.client4), sourceLocation: location)
    #expect(packet.destination == (version6 ? Build.server6 : Build.server4), sourceLocation: location)
    #expect(packet.sourcePort == 1024 && packet.destinationPort == 53, sourceLocation: location)
    #expect(packet.protocolNumber == 17, sourceLocation: location)
    #expect(packet.vlan == vlan, sourceLocation: location)
    #expect(packet.octets == (version6 ? 58 : 38), sourceLocation: location)
    #expect(packet.timeToLive == 64 && packet.tcpFlags == 0, sourceLocation: location)
    #expect(packet.payload == Self.payload && packet.payloadLength == 10, sourceLocation: location)
    let source = macs.map { 0x0200_0000_0000 | $0.0 } ?? 0
    let destination = macs.map { 0x0200_0000_0000 | $0.1 } ?? 0
    #expect(packet.sourceMAC == source && packet.destinationMAC == destination, sourceLocation: location)
  }

  /// Expects that the frame is `udp4` without MAC addresses.
  func expectRaw(_ frame: [UInt8], _ linkType: LinkType, version6: Bool = false) throws {
    expectUDP(try packet(frame, linkType), version6: version6, macs: nil)
  }

  // MARK: IPv4

  @Test func ipv4Options() throws {
    for words in 1...10 {
      let options = [UInt8](repeating: 1, count: 4 * words)
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), options: options)))
      #expect(packet.payload == Self.payload && packet.sourcePort == 1024)
      #expect(packet.octets == 38 + 4 * words)
    }
  }

  @Test func impossibleHeadersAreDiscarded() {
    for words in 0...4 {
      #expect(
        reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), words: words)))
          == .ipHeaderInvalid)
    }
    #expect(
      reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1024, 53, Self.payload), words: 15)))
        == .ipTruncated)
    for version: UInt8 in 0...15 where version != 4 {
      #expect(
        reason(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), version: version)))
          == .ipHeaderInvalid)
    }
    for version: UInt8 in 0...15 where version != 6 {
      #expect(
        reason(Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), version: version)))
          == .ipHeaderInvalid)
    }
  }

  @Test func flagsAndTimeToLive() throws {
    for (flags, expected) in [(0x4000, 2), (0x0000, 0), (0x8000, 4), (0xC000, 6)] as [(UInt16, UInt8)] {
      for long in [false, true] {
        let payload = Self.payload + [UInt8](repeating: 0, count: long ? 100 : 0)
        let packet = try packet(
          Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, payload), fragment: flags, timeToLive: 7)))
        #expect(packet.fragmentFlags == expected && packet.timeToLive == 7 && packet.payload == payload)
      }
    }
  }

  /// A frame that the short path takes must come out as it does of the long one, which a raw capture takes.
  @Test func bothPathsAgree() throws {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<3000 {
      let payload = random.bytes([0, 1, 10, 40, 200].randomElement(using: &random)!)
      var segment: [UInt8]
      let proto: UInt8 = [6, 17, 17, 1].randomElement(using: &random)!
      switch proto {
      case 6:
        let options = [[], Self.timestamps, [2, 4, 5, 0xB4], random.bytes(12)].randomElement(using: &random)!
        segment = Build.tcp(1, 2, payload, flags: UInt8.random(in: 0...255, using: &random), options: options)
        if Int.random(in: 0..<5, using: &random) == 0 {
          segment[12] = UInt8.random(in: 0...255, using: &random)
        }
      case 17: segment = Build.udp(3, 4, payload)
      default: segment = payload
      }
      let total = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0...300, using: &random) : nil
      let packet = Build.ipv4(
        proto, segment, fragment: [0, 0x4000, 0x8000].randomElement(using: &random)!, total: total)
      let frame = Build.ethernet(0x0800, packet)
      let captured = Bool.random(using: &random) ? frame.count : .random(in: 14...frame.count, using: &random)
      let short = DissectorBench().dissect(frame, captured: captured)
      let long = DissectorBench(.rawIP).dissect(packet, captured: captured - 14)
      switch (short, long) {
      case (.packet(var short), .packet(let long)):
        (short.sourceMAC, short.destinationMAC) = (0, 0)
        #expect(short == long)
      case (.discarded(.ipTruncated), .discarded(.linkTruncated)): break
      default: #expect(short == long)
      }
    }
  }

  // MARK: IPv6

  private func expectBehind(_ first: UInt8, _ headers: [UInt8], _ octets: Int) throws {
    let packet = try packet(
      Build.ethernet(0x86DD, Build.ipv6(first, headers + Build.udp(1024, 53, Self.payload))))
    #expect(packet.protocolNumber == 17 && packet.sourcePort == 1024 && packet.destinationPort == 53)
    #expect(packet.octets == 58 + octets && packet.payloadLength == 10 && packet.payload == Self.payload)
  }

  @Test func extensionHeaders() throws {
    // Hop-by-hop, routing, destination options, mobility: in units of eight octets.
    for header: UInt8 in [0, 43, 60, 135] {
      for octets in [8, 16, 64, 2048] {
        try expectBehind(header, Build.extensionHeader(17, octets: octets, []), octets)
      }
    }
    // The authentication header (RFC 4302) counts four octets, less two: 12, 24 and 44 octets.
    for words in [1, 4, 9] {
      try expectBehind(
        51, [17, UInt8(words)] + [UInt8](repeating: 0, count: 4 * words + 6), 4 * (words + 2))
    }
    // All of them in RFC 8200's order, with a fragment header of a whole datagram (RFC 6946).
    let behindFragment = Build.extensionHeader(17, octets: 8, [])
    let fragment: [UInt8] = [60, 0, 0, 0, 1, 2, 3, 4]
    let authentication: [UInt8] = [44, 1] + [UInt8](repeating: 0, count: 10)
    try expectBehind(
      0,
      Build.extensionHeader(
        60, octets: 16,
        Build.extensionHeader(43, octets: 8, Build.extensionHeader(51, octets: 24, authentication)))
        + fragment + behindFragment, 16 + 8 + 24 + 12 + 8 + 8)
  }

  /// Host identity and Shim6 are not skipped: what follows them is nothing, and the flow would lose its protocol.
  @Test func otherHeadersAreTheProtocol() throws {
    for header: UInt8 in [50, 58, 59, 139, 140, 253] {
      let packet = try packet(
        Build.ethernet(0x86DD, Build.ipv6(header, Build.extensionHeader(59, octets: 16, []))))
      #expect(packet.protocolNumber == header && packet.payloadLength == 16)
    }
  }

  @Test func nothingMayFollow() throws {
    let none = try packet(Build.ethernet(0x86DD, Build.ipv6(59, [])))
    #expect(none.protocolNumber == 59 && none.payloadLength == 0 && none.octets == 40)
    // A header longer than the packet says it is, and one that is not there.
    #expect(reason(Build.ethernet(0x86DD, Build.ipv6(0, [17, 255, 0, 0]))) == .ipTruncated)
    #expect(reason(Build.ethernet(0x86DD, Build.ipv6(0, []))) == .ipTruncated)
    let long = try packet(
      Build.ethernet(
        0x86DD, Build.ipv6(0, Build.extensionHeader(17, octets: 16, Build.udp(1, 2, Self.payload)), length: 9)
      ))
    #expect(long.payloadLength == 0 && long.octets == 49)
  }

  @Test func endlessExtensionHeadersEnd() throws {
    var headers: [UInt8] = Build.extensionHeader(59, octets: 8, [])
    for _ in 0..<1000 { headers = Build.extensionHeader(0, octets: 8, headers) }
    #expect(try packet(Build.ethernet(0x86DD, Build.ipv6(0, headers))).protocolNumber == 59)
  }

  @Test func largestPayloadDoesNotWrap() throws {
    let packet = try packet(
      Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), length: 65535)))
    #expect(packet.octets == 65575 && packet.payloadLength == 65527 && packet.payload == Self.payload)
  }
}
