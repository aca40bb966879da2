// Ports and options of the transport headers, and lengths that contradict each other.
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

extension DissectorTests {
  // MARK: Transport

  @Test func portsOfSCTPAndUDPLite() throws {
    let sctp = Build.word(UInt16(2905)) + Build.word(UInt16(2906)) + [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    for frame in [
      Build.ethernet(0x0800, Build.ipv4(132, sctp)), Build.ethernet(0x86DD, Build.ipv6(132, sctp)),
    ] {
      let packet = try packet(frame)
      #expect(packet.sourcePort == 2905 && packet.destinationPort == 2906 && packet.protocolNumber == 132)
      #expect(packet.payload == sctp)
    }
    // RFC 3828: UDP's header, with the checksum's coverage instead of a length.
    let lite = try packet(Build.ethernet(0x0800, Build.ipv4(136, Build.udp(7, 8, Self.payload, length: 8))))
    #expect(lite.sourcePort == 7 && lite.destinationPort == 8 && lite.payload == Self.payload)
  }

  @Test func othersHaveNoPorts() throws {
    for proto: UInt8 in [1, 2, 4, 41, 50, 58, 89, 103, 112, 255] {
      let packet = try packet(Build.ethernet(0x0800, Build.ipv4(proto, Self.payload)))
      #expect(packet.sourcePort == 0 && packet.destinationPort == 0 && packet.protocolNumber == proto)
      #expect(packet.payload == Self.payload)
    }
  }

  @Test func tcpOptions() throws {
    let fitting: [[UInt8]] = [
      [], Self.timestamps, [2, 4, 5, 0xB4], [1, 1, 1, 1], [0, 0xFF, 0xFF, 0xFF], [1, 1, 1, 0],
      [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7], [254, 4, 0, 0], [3, 3, 7, 1],
      [UInt8](repeating: 1, count: 40), [5, 38] + [UInt8](repeating: 0, count: 36) + [1, 0],
    ]
    for options in fitting {
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, flags: 0xC2, options: options))))
      #expect(packet.tcpFlags == 0xC2 && packet.payload == Self.payload)
      #expect(packet.transportHeader.count == 20 + options.count)
    }
    let broken: [[UInt8]] = [
      [2, 0, 5, 0xB4], [2, 5, 5, 0xB4], [1, 1, 1, 2], [1, 1, 8, 10], [8, 255, 0, 0], [1, 1, 2, 3],
      Self.timestamps + [1, 1, 8, 10],
    ]
    for options in broken {
      let frame = Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, options: options)))
      #expect(reason(frame) == .tcpHeaderInvalid)
    }
    for words in 0...4 {
      let frame = Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, words: words)))
      #expect(reason(frame) == .tcpHeaderInvalid)
    }
    #expect(
      reason(Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, words: 15))))
        == .transportTruncated)
  }

  // MARK: Lengths

  @Test func paddingIsNoPayload() throws {
    for length in 0...18 {
      let payload = [UInt8](repeating: 0x41, count: length)
      for packet in [
        Build.ipv4(17, Build.udp(1, 2, payload)), Build.ipv4(6, Build.tcp(1, 2, payload)),
        Build.ipv4(1, payload), Build.ipv4(17, Build.udp(1, 2, payload), options: [1, 1, 1, 1]),
      ] {
        let frame = Build.ethernet(0x0800, packet)
        // To 60 bytes, or with a frame check sequence and more.
        for padded in [60, 64, 100] where frame.count < padded {
          let result = try self.packet(frame + [UInt8](repeating: 0xEE, count: padded - frame.count))
          #expect(result.payload == payload && result.payloadLength == length)
          #expect(result.octets == packet.count)
        }
      }
    }
  }

  @Test func contradictingLengthsGiveNoPayload() throws {
    for total in [0, 1, 19, 20, 27, 28] {
      let packet = try packet(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), total: total)))
      #expect(packet.payloadLength == 0 && packet.payload == [] && packet.octets == total)
      #expect(packet.sourcePort == 1 && packet.destinationPort == 2)
    }
    for total in [0, 20, 39, 40, 51, 52] {
      let packet = try packet(
        Build.ethernet(
          0x0800, Build.ipv4(6, Build.tcp(1, 2, Self.payload, options: Self.timestamps), total: total)))
      #expect(packet.payloadLength == 0 && packet.payload == [])
    }
    for length in [0, 7, 8] {
      let packet = try packet(
        Build.ethernet(0x86DD, Build.ipv6(17, Build.udp(1, 2, Self.payload), length: length)))
      #expect(packet.payloadLength == 0 && packet.payload == [] && packet.octets == 40 + length)
    }
    // UDP's own length is not asked.
    let udp = try packet(Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload, length: 3))))
    #expect(udp.payload == Self.payload)
  }

  @Test func moreThanWasCaptured() throws {
    let packet = try packet(
      Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload), total: 1500)))
    #expect(packet.payloadLength == 1472 && packet.payload == Self.payload)
    // Shorter than a padded frame, and cut.
    guard
      case .packet(let cut) = DissectorBench().dissect(
        Build.ethernet(0x0800, Build.ipv4(17, Build.udp(1, 2, Self.payload))), captured: 45)
    else { throw NotAPacket() }
    #expect(cut.payloadLength == 10 && cut.payload == Array(Self.payload.prefix(3)))
  }
}
