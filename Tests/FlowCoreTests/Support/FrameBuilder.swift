// Frames made by hand: each function puts one header before the bytes it is given, so that a frame reads from the
// outside in: `ethernet(0x0800, ipv4(17, udp(1024, 53, payload)))`. `TestPacket` and `Conversation` are made of them.
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
