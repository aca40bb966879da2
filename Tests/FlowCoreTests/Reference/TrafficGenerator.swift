// Random and adversarial traffic, as frames together with what a correct dissector makes of them.

import TestSupport

@testable import FlowCore

/// Makes frames of few flows that collide in every way the contract knows: both directions, reuse, gaps, fragments.
struct TrafficGenerator {
  /// What the traffic is like; drawn from the seed, so that each seed is a different mixture.
  struct Mixture {
    var hosts: Int
    var ports: Int
    var protocols: [UInt8]
    var vlans: [UInt16?]
    var versions: [Bool]
    /// One in so many TCP packets has each of SYN, FIN, RST.
    var flagRarity: Int
    /// One in so many packets …
    var fragmentRarity: Int
    var noiseRarity: Int
    var gapRarity: Int
    var backwardRarity: Int
    var gaps: [UInt64]
    /// The most packets of one flow in a row.
    var longestTrain: Int
    /// The usual distance of two packets, nanoseconds.
    var pace: UInt64
  }

  private static let second: UInt64 = 1_000_000_000
  /// Up to the inactive timeout to the nanosecond: only the active timeout cuts such flows.
  private static let shortGaps = [second / 10, 3 * second, 20 * second, 29 * second, 30 * second - 1]
  /// From the inactive timeout to far beyond both.
  private static let longGaps = [30 * second, 31 * second, 150 * second, 300 * second, 4000 * second]

  private let second = Self.second
  var random: SeededGenerator
  let mixture: Mixture
  private var time: UInt64 = 1_700_000_000_000_000_000
  private var queue: [TestFrame] = []

  init(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    func pick<T>(_ values: T...) -> T { values.randomElement(using: &random)! }
    mixture = Mixture(
      hosts: pick(1, 1, 2, 3, 6, 40), ports: pick(1, 1, 2, 4, 300),
      protocols: pick([6], [6, 17], [6, 17, 132, 136, 1, 50], [17]),
      vlans: pick([nil], [nil], [nil, 1, 4094], [nil, 0]), versions: pick([false], [true], [false, true]),
      flagRarity: pick(2, 5, 30), fragmentRarity: pick(2, 10, 1_000_000), noiseRarity: pick(4, 20, 1_000_000),
      gapRarity: pick(5, 50, 500), backwardRarity: pick(7, 100, 1_000_000, 1_000_000),
      gaps: pick(Self.shortGaps, Self.shortGaps + Self.longGaps),
      longestTrain: pick(1, 4, 100), pace: pick(1, 1000, 20_000_000, 900_000_000, 4_000_000_000))
    self.random = random
  }

  /// The next `count` frames.
  mutating func frames(_ count: Int) -> [TestFrame] {
    while queue.count < count { makeTrain() }
    defer { queue.removeFirst(count) }
    return Array(queue[..<count])
  }

  private mutating func moveTime() {
    time += UInt64.random(in: 0...2 * mixture.pace, using: &random)
    if random.oneIn(mixture.gapRarity) {
      time += mixture.gaps.randomElement(using: &random)!
    }
    if random.oneIn(mixture.backwardRarity) {
      let back = [
        1000, second / 1000, second / 2, second, second + 1, 20 * second, 100 * second, 5000 * second,
        30_000_000 * second, 600_000_000 * second,
      ].randomElement(using: &random)!
      time = time > back ? time - back : time
    }
    if mixture.backwardRarity < 1_000_000, random.oneIn(1000) { time += 40_000_000 * second }
  }

  /// Some packets of one flow in a row, in both directions.
  private mutating func makeTrain() {
    var packet = ReferencePacket()
    packet.key.isVersion6 = mixture.versions.randomElement(using: &random)!
    packet.key.protocolNumber = mixture.protocols.randomElement(using: &random)!
    let tag = mixture.vlans.randomElement(using: &random)!
    packet.key.vlan = tag ?? 0
    packet.key.source = address(packet.key.isVersion6)
    packet.key.destination = address(packet.key.isVersion6)
    if Dissector.hasPorts(packet.key.protocolNumber) {
      packet.key.sourcePort = UInt16.random(in: 1...UInt16(mixture.ports), using: &random)
      packet.key.destinationPort = UInt16.random(in: 1...UInt16(mixture.ports), using: &random)
    }
    for _ in 0..<Int.random(in: 1...mixture.longestTrain, using: &random) {
      moveTime()
      if random.oneIn(mixture.noiseRarity) { queue.append(noise()) }
      if random.oneIn(3) { packet.key = packet.key.reversed }
      if random.oneIn(mixture.fragmentRarity) { makeFragments(packet, tag) } else { makeWhole(packet, tag) }
    }
  }

  private mutating func address(_ isVersion6: Bool) -> [UInt8] {
    let host = UInt8.random(in: 0..<UInt8(mixture.hosts), using: &random)
    guard isVersion6 else { return [10, host & 1, 0, host >> 1] }
    // Hosts that agree in the last 32 bits, which is all that the record's key holds of an IPv6 address.
    return [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, host, 0, 0, host & 1, 0, 0, 0, 0, host >> 1]
  }

  private mutating func flags() -> UInt8 {
    var flags: UInt8 = random.oneIn(2) ? 0x10 : 0x18
    if random.oneIn(mixture.flagRarity) { flags |= 0x02 }
    if random.oneIn(mixture.flagRarity) { flags |= 0x01 }
    if random.oneIn(mixture.flagRarity * 2) { flags |= 0x04 }
    return flags
  }

  private mutating func makeWhole(_ template: ReferencePacket, _ tag: UInt16?) {
    var packet = template
    if packet.key.protocolNumber == 6 { packet.flags = flags() }
    let payload = Int.random(in: 0...(random.oneIn(3) ? 40 : 0), using: &random)
    let options = packet.key.protocolNumber == 6 ? [0, 0, 12, 4].randomElement(using: &random)! : 0
    let transport = FrameMaker.transport(packet, options: options, payload: payload)
    packet.payloadLength = transport.count - transport.headerLength
    queue.append(FrameMaker.frame(packet, tag, transport.bytes, nil, time: time))
  }

  /// A datagram in pieces: usually in order, sometimes without its first one.
  private mutating func makeFragments(_ template: ReferencePacket, _ tag: UInt16?) {
    // Few identifications, so that they are used again, also by other flows of the same hosts.
    let identification = UInt32.random(in: 1...3, using: &random)
    var first = template
    if first.key.protocolNumber == 6 { first.flags = flags() }
    let transport = FrameMaker.transport(first, options: 0, payload: 44)
    first.payloadLength = transport.count - transport.headerLength
    first.fragment = .init(identification: identification, isFirst: true)
    if !random.oneIn(4) {
      queue.append(
        FrameMaker.frame(
          first, tag, transport.bytes, FragmentField(identification, offset: 0, more: true), time: time))
    }
    for piece in 1...Int.random(in: 1...3, using: &random) {
      moveTime()
      var later = template
      later.key.sourcePort = 0
      later.key.destinationPort = 0
      later.payloadLength = 32
      later.fragment = .init(identification: identification, isFirst: false)
      queue.append(
        FrameMaker.frame(
          later, tag, [UInt8](repeating: 0x11, count: 32),
          FragmentField(identification, offset: UInt16(piece) * 8, more: piece < 3), time: time))
    }
  }

  /// A frame that belongs to no flow.
  private mutating func noise() -> TestFrame {
    let arp: [UInt8] = Array(repeating: 0xFF, count: 12) + [0x08, 0x06] + Array(repeating: 0, count: 46)
    let cut: [UInt8] = Array(repeating: 2, count: 12) + [0x08, 0x00, 0x45, 0, 0, 40]
    let bytes = random.oneIn(2) ? arp : cut
    return TestFrame(frame: CapturedFrame(bytes: bytes, wire: bytes.count, time: time), packet: nil)
  }
}

/// The fragment fields of an IP header.
struct FragmentField {
  var identification: UInt32
  /// In units of eight bytes.
  var offset: UInt16
  var more: Bool

  init(_ identification: UInt32, offset: UInt16, more: Bool) {
    self.identification = identification
    self.offset = offset
    self.more = more
  }
}

/// Writes headers.
enum FrameMaker {
  /// The IP payload of a whole packet.
  static func transport(_ packet: ReferencePacket, options: Int, payload: Int) -> (
    bytes: [UInt8], headerLength: Int, count: Int
  ) {
    let (from, to) = (packet.key.sourcePort, packet.key.destinationPort)
    let payload = [UInt8](repeating: 0x55, count: payload)
    let bytes: [UInt8]
    var headerLength = 0
    switch packet.key.protocolNumber {
    case 6:
      headerLength = 20 + options
      let texts: [Int: [UInt8]] = [4: [2, 4, 5, 0xB4], 12: [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]]
      bytes = FrameBuilder.tcp(
        from, to, payload, flags: packet.flags, sequence: 1, acknowledgement: 2,
        options: texts[options] ?? [],
        window: 0x100, words: headerLength / 4)
    case 17, 136:
      headerLength = 8
      bytes = FrameBuilder.udp(from, to, payload)
    case 132:
      bytes = FrameBuilder.word(from) + FrameBuilder.word(to) + [UInt8](repeating: 3, count: 8) + payload
    default: bytes = [UInt8](repeating: 8, count: 8) + payload
    }
    return (bytes, headerLength, bytes.count)
  }

  /// The frame of `packet` around the IP payload `payload`; sets its octets and MAC addresses.
  static func frame(
    _ packet: ReferencePacket, _ tag: UInt16?, _ payload: [UInt8], _ fragment: FragmentField?, time: UInt64
  ) -> TestFrame {
    var packet = packet
    packet.destinationMAC = 0x02_00_00_00_00_00 | UInt64(packet.key.destination.last!)
    packet.sourceMAC = 0x02_00_00_00_00_00 | UInt64(packet.key.source.last!)
    let key = packet.key
    var content = payload
    if key.isVersion6 {
      var next = key.protocolNumber
      if let fragment {
        content =
          [next, 0] + FrameBuilder.word(fragment.offset << 3 | (fragment.more ? 1 : 0))
          + FrameBuilder.word(fragment.identification) + payload
        next = 44
      }
      packet.octets = UInt64(40 + content.count)
      content = FrameBuilder.ipv6(next, content, from: key.source, to: key.destination)
    } else {
      packet.octets = UInt64(20 + payload.count)
      content = FrameBuilder.ipv4(
        key.protocolNumber, payload, from: key.source, to: key.destination,
        identification: UInt16(truncatingIfNeeded: fragment?.identification ?? 7),
        fragment: (fragment?.offset ?? 0) | (fragment?.more == true ? 0x2000 : 0))
    }
    var type: UInt16 = key.isVersion6 ? 0x86DD : 0x0800
    if let tag {
      content = FrameBuilder.vlan(tag, type, content)
      type = 0x8100
    }
    var bytes = FrameBuilder.ethernet(
      type, content, from: [2, 0, 0, 0, 0, key.source.last!], to: [2, 0, 0, 0, 0, key.destination.last!])
    // Ethernet pads to 60 bytes, which must not count as payload.
    while bytes.count < 60 { bytes.append(0) }
    return TestFrame(frame: CapturedFrame(bytes: bytes, wire: bytes.count, time: time), packet: packet)
  }
}
