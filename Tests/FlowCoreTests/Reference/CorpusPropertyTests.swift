// Every capture of the corpus gives the reference's records, at burst sizes that cut it differently.
import Testing

@testable import FlowCore

@Suite struct CorpusPropertyTests {
  /// The packets of a capture by the dissector's general path, so that its short path is compared as well.
  private func packets(_ capture: Capture) -> [ReferencePacket?] {
    var dissector = Dissector(hashing: FlowHash(seed: 99), fragments: FragmentTable(sets: 4096))
    dissector.linkType = capture.linkType
    var packet = emptyPacket()
    var clock = ReferenceClock()
    return capture.frames.map { captured in
      clock.see(captured.time)
      return captured.bytes.withUnsafeBytes { bytes -> ReferencePacket? in
        guard let base = bytes.baseAddress else { return nil }
        let frame = Frame(bytes: base, captured: UInt32(bytes.count), wire: UInt32(captured.wire))
        packet = emptyPacket(frame, time: captured.time)
        packet.clock = clock.now
        guard dissector.dissectLayers(frame, into: &packet, isOutside: false) == nil else { return nil }
        return ReferencePacket(packet, bytes)
      }
    }
  }

  private func emptyPacket(
    _ frame: Frame = Frame(bytes: UnsafeRawPointer(bitPattern: 64)!, captured: 0, wire: 0), time: UInt64 = 0
  ) -> Packet {
    Packet(
      key: Key(
        addresses: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 0, vlan: 0, isVersion6: false),
      hash: 0, time: time, clock: time, candidate: nil, octets: 0, tcpFlags: 0, macAddresses: .none,
      frame: frame.bytes, captured: frame.captured, wire: frame.wire,
      mplsEntry: 0, linkOffset: 0, networkOffset: 0, transportOffset: 0, payloadOffset: 0, payloadLength: 0,
      payloadCaptured: 0,
      outerOffset: 0, outerVersion: 0, outerProtocol: 0, outerPorts: 0, tunnels: TunnelPath())
  }

  @Test(
    .enabled(if: Corpus.directory != nil, "needs ../shared/corpus"),
    arguments: Corpus.captures(in: "functional") + Corpus.captures(in: "ndpi"))
  func capturesGiveTheReferencesRecords(path: String) throws {
    guard let capture = Capture(path: path) else { return }
    var reference = ReferenceEngine()
    for (packet, frame) in zip(packets(capture), capture.frames) {
      reference.process(packet, time: frame.time)
    }
    for size in [1, 7, 32] {
      var shape = RunShape()
      shape.plugins = ["pstats"]
      shape.configuration = .reference
      shape.linkType = capture.linkType
      shape.burst = { size }
      let result = try runEngine(capture.frames, shape)
      #expect(differences(result.records, reference, withSequence: true) == [], "bursts of \(size)")
    }
  }
}

extension ReferencePacket {
  /// What the dissector found.
  init(_ packet: Packet, _ frame: UnsafeRawBufferPointer) {
    let network = Int(packet.networkOffset)
    key.isVersion6 = packet.key.isVersion6
    key.protocolNumber = packet.key.protocolNumber
    key.vlan = packet.key.vlan
    key.sourcePort = packet.key.sourcePort
    key.destinationPort = packet.key.destinationPort
    let (offset, length) = key.isVersion6 ? (8, 16) : (12, 4)
    key.source = Array(frame[network + offset..<network + offset + length])
    key.destination = Array(frame[network + offset + length..<network + offset + 2 * length])
    octets = UInt64(packet.octets)
    flags = packet.tcpFlags
    payloadLength = Int(packet.payloadLength)
    func address(_ offset: Int) -> UInt64 {
      frame[offset..<offset + 6].reduce(0) { $0 << 8 | UInt64($1) }
    }
    let link = Int(packet.linkOffset)
    switch packet.macAddresses {
    case .none: break
    case .ethernet:
      destinationMAC = address(link)
      sourceMAC = address(link + 6)
    case .sourceOnly: sourceMAC = address(link)
    }
  }
}
