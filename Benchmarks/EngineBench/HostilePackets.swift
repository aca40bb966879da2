// The packets that cost plugins most, as far as is known: the hostile benchmark has a row for each.

/// What every packet of a hostile row is like.
///
/// What is not here (vlan, mpls, icmp, flowhash, pstats, phists, bstats, nettisa) costs the same for every packet that it
/// looks at, so that its worst packet is any packet.
struct HostilePacket {
  /// What differs from packet to packet.
  enum Variation {
    case nothing
    /// Bytes 4 to 7 of the payload are random.
    case index
    /// The payload's length is random, from 60 to 150.
    case length
  }

  let shape: TrafficKind.Shape
  /// The plugin that it is made for.
  let plugin: String
  var isTCP = true
  /// TCP options, whole words.
  var options: [UInt8] = []
  var payload: [UInt8] = []
  var variation = Variation.nothing

  /// As `FingerprintLimit.units` says: the most that a hello with a fingerprint may have.
  static let mostSuites = 117
  static let mostExtensions = 92

  static let all = [
    // Beyond what is fingerprinted, as long as a segment.
    HostilePacket(shape: .suites, plugin: "tls", payload: clientHello(suites: 630)),
    // The most that is fingerprinted, as suites and as extensions, of which one is read in several places.
    HostilePacket(shape: .fingerprint, plugin: "tls", payload: clientHello(suites: mostSuites)),
    HostilePacket(
      shape: .extensions, plugin: "tls", payload: clientHello(suites: 1, extensions: mostExtensions)),
    // The longest walk through TCP's options: 40 of one byte.
    HostilePacket(shape: .options, plugin: "basicplus", options: [UInt8](repeating: 1, count: 40)),
    // Initiations, each with another index: each ends a record and begins one.
    HostilePacket(
      shape: .sessions, plugin: "wg", isTCP: false,
      payload: [1, 0, 0, 0] + [UInt8](repeating: 0x5A, count: 144),
      variation: .index),
    // Large packets that begin OpenVPN's handshake again and again.
    HostilePacket(
      shape: .resets, plugin: "ovpn", isTCP: false, payload: [7 << 3] + [UInt8](repeating: 0x5A, count: 599)),
    // Lengths of SYNs in tunnels: each is looked for among those of the other direction, and noted or forgotten.
    HostilePacket(
      shape: .lengths, plugin: "ssadetector", isTCP: false, payload: [UInt8](repeating: 0x5A, count: 150),
      variation: .length),
    // Payload in both directions, of which each takes a block.
    HostilePacket(shape: .contents, plugin: "idpcontent", payload: [UInt8](repeating: 0x5A, count: 1310)),
    // Initial packets of QUIC that no key opens, as many as are tried in a datagram.
    HostilePacket(shape: .initials, plugin: "quic", isTCP: false, payload: (0..<4).flatMap { _ in initial }),
    // Pipelined requests, of which each is a record of its own, as many as a packet makes.
    HostilePacket(
      shape: .requests, plugin: "http",
      payload: (0..<72).flatMap { _ in Array("GET / HTTP/1.0\r\n\r\n".utf8) }),
    // The first packet of an SSH client behind its version, its lists of algorithms as long as a segment has room for.
    HostilePacket(shape: .offers, plugin: "ssh", payload: keyExchange(of: 1290)),
  ]

  /// An Initial packet of QUIC version 1 (RFC 9000 section 17.2.2) of 310 bytes.
  private static let initial =
    [0xC3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x41, 0x24] + [UInt8](repeating: 0x5A, count: 292)

  /// SSH's version and a packet with a KEXINIT message (RFC 4253 section 7.1) of ten lists, together of `length` bytes.
  private static func keyExchange(of length: Int) -> [UInt8] {
    func word(_ value: Int) -> [UInt8] { [0, 0, UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    let version = Array("SSH-2.0-x\r\n".utf8)
    let room = (length - version.count - 6 - 16 - 10 * 4 - 5) / 10
    let list = Array((0..<room).map { $0 % 10 == 9 ? UInt8(ascii: ",") : UInt8(ascii: "a") })
    let message =
      [20] + [UInt8](repeating: 0x5A, count: 16) + (0..<10).flatMap { _ in word(list.count) + list }
    let body = message + [0, 0, 0, 0, 0]
    return version + word(body.count + 1) + [0] + body
  }

  /// A TLS record with a ClientHello of that many cipher suites, in no order and of five digits each, and that many empty
  /// extensions.
  private static func clientHello(suites: Int, extensions: Int = 0) -> [UInt8] {
    func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    func number(_ index: Int) -> [UInt8] { word(10001 + index * 40503 % 50000) }
    var body: [UInt8] = [3, 3] + [UInt8](repeating: 0x5A, count: 32) + [0] + word(2 * suites)
    for index in 0..<suites { body += number(index) }
    body += [1, 0] + word(4 * extensions)
    for index in 0..<extensions { body += number(index) + [0, 0] }
    return [22, 3, 1] + word(body.count + 4) + [1, 0] + word(body.count) + body
  }
}
