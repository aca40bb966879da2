// Frames that are cut or broken at random: none is read past its end.
import TestSupport
import Testing

@testable import FlowCore

private typealias Build = FrameBuilder

extension DissectorTests {
  // MARK: Cut and broken frames

  /// One frame of each kind, with the link type it needs.
  private static let samples: [(LinkType, [UInt8])] = {
    let pseudoWire = label(16, bottom: true) + [0, 0, 0, 7] + Build.ethernet(0x0800, udp4)
    let long6 = Build.ipv6(
      0,
      Build.extensionHeader(
        43, octets: 16,
        Build.extensionHeader(
          51, octets: 8,
          [44, 1] + [UInt8](repeating: 0, count: 10)
            + [60, 0, 0, 1, 1, 2, 3, 4] + Build.extensionHeader(17, octets: 8, Build.udp(1024, 53, payload))))
    )
    return [
      (.ethernet, Build.ethernet(0x0800, udp4)), (.ethernet, Build.ethernet(0x86DD, udp6)),
      (.ethernet, Build.ethernet(0x0800, tcp4)),
      (
        .ethernet,
        Build.ethernet(0x0800, Build.ipv4(6, Build.tcp(1, 2, payload, options: timestamps)))
      ),
      (
        .ethernet,
        Build.ethernet(
          0x0800,
          Build.ipv4(6, Build.tcp(1, 2, payload, options: [2, 4, 5, 0xB4]), options: [1, 1, 1, 1]))
      ),
      (.ethernet, Build.ethernet(0x0800, Build.ipv4(1, payload))),
      (.ethernet, Build.ethernet(0x0800, Build.ipv4(132, [0, 1, 0, 2] + payload))),
      (.ethernet, Build.ethernet(0x86DD, Build.ipv6(136, Build.udp(1, 2, payload)))),
      (.ethernet, Build.ethernet(0x88A8, Build.vlan(5, 0x8100, Build.vlan(6, 0x0800, udp4)))),
      (.ethernet, Build.ethernet(0x9100, Build.vlan(5, 0x86DD, udp6))),
      (
        .ethernet,
        Build.ethernet(
          0x8847, label(16, bottom: false) + label(17, bottom: false) + label(18, bottom: true) + udp6)
      ),
      (.ethernet, Build.ethernet(0x8847, pseudoWire)),
      (.ethernet, Build.ethernet(0x8864, pppoe(0x0021, tcp4))),
      (.ethernet, gre(0xB000, 0x0800, words: 3, tcp4)),
      (.ethernet, gre(0x3081, 0x880B, words: 3, payload)),
      (.ethernet, gre(0, 0x8847, words: 0, pseudoWire)),
      (.ethernet, Build.ethernet(0x22F3, [0, 0x45, 0, 1, 0, 2, 9, 9, 9, 9] + Build.ethernet(0x0800, udp4))),
      (.ethernet, Build.ethernet(0x86DD, long6)),
      (
        .ethernet,
        Build.ethernet(
          0x0800, Build.ipv4(17, payload, identification: 5, fragment: 0x2006))
      ),
      (.linuxCooked, [0, 4, 0, 1, 0, 6] + Build.clientMAC + [0, 0, 0x08, 0] + udp4),
      (.linuxCooked2, [0x86, 0xDD, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6] + Build.clientMAC + [0, 0] + udp6),
      (.rawIP, udp4), (.rawIP, udp6), (.loopback, [0, 0, 0, 2] + tcp4), (.loopback, [30, 0, 0, 0] + udp6),
      (.ppp, [0, 0x21] + udp4), (.ppp, [0xFF, 0x03, 0, 0x57] + udp6), (.pppoe, pppoe(0x0021, udp4)),
    ]
  }()

  /// Every prefix is either discarded for being cut, or the same packet with less payload.
  @Test(arguments: 0..<samples.count)
  func everyPrefixSurvives(index: Int) throws {
    let (linkType, frame) = Self.samples[index]
    let bench = DissectorBench(linkType)
    guard case .packet(let whole) = bench.dissect(frame) else { throw NotAPacket() }
    for captured in 0..<frame.count {
      switch bench.dissect(frame, captured: captured) {
      case .discarded(let reason):
        #expect([.linkTruncated, .ipTruncated, .transportTruncated].contains(reason))
      case .packet(let packet):
        if whole.protocolNumber != 47, packet.protocolNumber == 47 {
          // Cut in the GRE header: a packet of the tunnel.
          #expect(packet.source == [10, 0, 0, 1])
          continue
        }
        var expected = whole
        expected.payload = packet.payload
        #expect(packet == expected && whole.payload.starts(with: packet.payload))
        #expect(packet.payload.count == max(0, captured - (frame.count - whole.payload.count)))
      }
    }
  }

  /// Bytes changed at random, anywhere, and cut: nothing is read that was not captured (`Dissected` checks the rest).
  @Test func brokenFramesSurvive() {
    var random = SeededGenerator(seed: 8)
    for (linkType, frame) in Self.samples {
      let bench = DissectorBench(linkType)
      for _ in 0..<1500 {
        var broken = frame
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          broken[.random(in: 0..<broken.count, using: &random)] = .random(in: 0...255, using: &random)
        }
        _ = bench.dissect(broken, captured: .random(in: 0...broken.count, using: &random))
      }
    }
  }

  @Test(arguments: LinkType.allCases)
  func randomBytesSurvive(linkType: LinkType) {
    var random = SeededGenerator(seed: 9)
    let bench = DissectorBench(linkType)
    let starts: [[UInt8]] = [
      [], [0x45], [0x60], [0, 0x21, 0x45], [0x11, 0], [0, 4, 0, 1], [0x08, 0, 0, 0],
      Build.ethernet(0x8847, []), Build.ethernet(0x8864, [0x11, 0]), Build.ethernet(0x22F3, []),
      Build.ethernet(0x0800, [0x45]), Build.ethernet(0x86DD, [0x60, 0, 0, 0, 0, 99, 0, 1]),
    ]
    for _ in 0..<5000 {
      let frame = starts.randomElement(using: &random)! + random.bytes(.random(in: 0...120, using: &random))
      _ = bench.dissect(frame)
    }
  }
}
