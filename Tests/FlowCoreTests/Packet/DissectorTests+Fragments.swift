// Fragments: later ones get the ports of their first one, and nothing that is not theirs.
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

extension DissectorTests {
  // MARK: Fragments

  private static let second: UInt64 = 1_000_000_000
  private static let start: UInt64 = 1_700_000_000 * second

  private func ports(_ outcome: DissectorBench.Outcome) -> [UInt16] {
    if case .packet(let packet) = outcome { [packet.sourcePort, packet.destinationPort] } else { [] }
  }

  /// A fragment of a datagram, `offset` in units of eight bytes.
  private func fragment(
    _ offset: UInt16, more: Bool, _ payload: [UInt8], identification: UInt16 = 77, proto: UInt8 = 17,
    version6: Bool = false, vlan: UInt16? = nil, back: Bool = false
  ) -> [UInt8] {
    let packet: [UInt8]
    if version6 {
      let header = [proto, 0] + Build.word(offset << 3 | (more ? 1 : 0)) + Build.word(UInt32(identification))
      packet = Build.ipv6(
        44, header + payload, from: back ? Build.server6 : Build.client6,
        to: back ? Build.client6 : Build.server6)
    } else {
      packet = Build.ipv4(
        proto, payload, from: back ? Build.server4 : Build.client4, to: back ? Build.client4 : Build.server4,
        identification: identification, fragment: offset | (more ? 0x2000 : 0))
    }
    let type: UInt16 = version6 ? 0x86DD : 0x0800
    return Build.ethernet(
      vlan == nil ? type : 0x8100, vlan.map { Build.vlan($0, type, packet) } ?? packet)
  }

  @Test(arguments: [false, true])
  func laterFragmentsTakeThePorts(version6: Bool) throws {
    let bench = DissectorBench()
    let first = fragment(
      0, more: true, Build.udp(1024, 53, [UInt8](repeating: 1, count: 40), length: 1000), version6: version6)
    guard case .packet(let packet) = bench.dissect(first, time: Self.start) else { throw NotAPacket() }
    #expect(packet.sourcePort == 1024 && packet.payloadLength == 40)
    // Sixteen bytes that would be ports 257 and 257.
    let later = fragment(6, more: false, [UInt8](repeating: 1, count: 16), version6: version6)
    guard case .packet(let second) = bench.dissect(later, time: Self.start) else { throw NotAPacket() }
    #expect(second.sourcePort == 1024 && second.destinationPort == 53 && second.hash == packet.hash)
    // Its payload is all that follows the IP headers.
    #expect(second.payload == [UInt8](repeating: 1, count: 16) && second.transportHeader == [])

    // Other datagrams: another identification, another VLAN, the other direction, another version.
    for other in [
      fragment(6, more: false, [1, 1, 1, 1], identification: 78, version6: version6),
      fragment(6, more: false, [1, 1, 1, 1], version6: version6, vlan: 5),
      fragment(6, more: false, [1, 1, 1, 1], version6: version6, back: true),
      fragment(6, more: false, [1, 1, 1, 1], version6: !version6),
    ] {
      #expect(ports(bench.dissect(other, time: Self.start)) == [0, 0])
    }
  }

  @Test(arguments: [false, true])
  func portsAreRememberedForThreeSeconds(version6: Bool) {
    let bench = DissectorBench()
    let first = fragment(0, more: true, Build.udp(1024, 53, Self.payload), version6: version6)
    let later = fragment(6, more: true, Self.payload, version6: version6)
    #expect(ports(bench.dissect(later, time: Self.start)) == [0, 0])
    #expect(ports(bench.dissect(first, time: Self.start)) == [1024, 53])
    for (age, expected) in [
      (0, [1024, 53]), (2_999_999_999, [1024, 53]), (3_000_000_000, [1024, 53]), (3_000_000_001, [0, 0]),
      (1, [1024, 53]),
    ] as [(UInt64, [UInt16])] {
      #expect(ports(bench.dissect(later, time: Self.start + age)) == expected)
    }
    // The newest first fragment counts.
    let again = fragment(0, more: true, Build.udp(2048, 53, Self.payload), version6: version6)
    _ = bench.dissect(again, time: Self.start + Self.second)
    #expect(ports(bench.dissect(later, time: Self.start + 4 * Self.second)) == [2048, 53])
    // A fragment may be older than its first one, where time steps back.
    #expect(ports(bench.dissect(later, time: Self.start - Self.second)) == [2048, 53])
  }

  @Test func aWholeDatagramIsNotRemembered() {
    let bench = DissectorBench()
    _ = bench.dissect(fragment(0, more: false, Build.udp(1024, 53, Self.payload)), time: Self.start)
    #expect(ports(bench.dissect(fragment(6, more: false, Self.payload), time: Self.start)) == [0, 0])
  }

  @Test func fragmentsOfTCPAndOthers() throws {
    let bench = DissectorBench()
    _ = bench.dissect(
      fragment(0, more: true, Build.tcp(1024, 80, Self.payload, flags: 0x1B), proto: 6), time: Self.start)
    guard
      case .packet(let later) = bench.dissect(
        fragment(6, more: false, [UInt8](repeating: 0xFF, count: 20), proto: 6), time: Self.start)
    else { throw NotAPacket() }
    #expect(later.sourcePort == 1024 && later.tcpFlags == 0 && later.payloadLength == 20)
    // No transport header is asked for: a short last fragment counts too.
    #expect(ports(bench.dissect(fragment(9, more: false, [1], proto: 6), time: Self.start)) == [1024, 80])
    // ICMP has no ports, whatever the table says.
    #expect(ports(bench.dissect(fragment(9, more: false, [1], proto: 1), time: Self.start)) == [0, 0])
  }

  /// A later fragment's next header is the first fragment's, but what follows is the middle of something.
  @Test func noHeaderIsReadInALaterFragment() throws {
    for next: UInt8 in [0, 43, 44, 51, 60, 135] {
      for payload in [[], [17], [17, 255, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 53, 0, 0, 0, 0]]
        as [[UInt8]]
      {
        let packet = try packet(fragment(6, more: false, payload, proto: next, version6: true))
        #expect(packet.protocolNumber == next && packet.payload == payload && packet.sourcePort == 0)
      }
    }
  }

  @Test func aFloodOfFragmentsOnlyShortensTheMemory() {
    let bench = DissectorBench(fragmentSets: 1)
    for number in 0..<5 {
      _ = bench.dissect(
        fragment(
          0, more: true, Build.udp(UInt16(1000 + number), 53, Self.payload), identification: UInt16(number)),
        time: Self.start + UInt64(number))
    }
    let found = (0..<5).map {
      ports(
        bench.dissect(
          fragment(6, more: false, Self.payload, identification: UInt16($0)), time: Self.start + 5))
    }
    #expect(found == [[0, 0], [1001, 53], [1002, 53], [1003, 53], [1004, 53]])
  }
}
