// IPv6 through IPv4's address translators, in UDP.
import Wire

/// Reads what may stand before Teredo's IPv6 packet (RFC 4380 section 5.1.1), in this order, and behind it (RFC 6081 section 4).
///
///     | 00 01 | id length 8 | authentication length 8 | id | authentication | nonce 64 | confirmation 8 |
///     | 00 00 | obscured port 16 | obscured address 32 |
///     | IPv6 … | trailers: | type 8 | length 8 | contents
enum Teredo {
  static func open(_ bytes: Bytes) -> OpenedTunnel? {
    var rest = bytes
    var offset = 0
    if rest.count >= 4, rest.load(UInt16.self, at: 0) == 1 {
      let length = 13 &+ Int(rest[2]) &+ Int(rest[3])
      offset &+= length
      rest = rest.dropFirst(length)
    }
    if rest.count >= 8, rest.load(UInt16.self, at: 0) == 0 {
      offset &+= 8
      rest = rest.dropFirst(8)
    }
    guard rest.count >= 40, rest[0] >> 4 == 6 else { return nil }
    let length = Int(rest.load(UInt16.self, at: 4)) &+ 40
    // A whole IPv6 packet that ends where the datagram or its trailers do, or was cut by a snap length.
    var end = length
    while end < rest.count {
      guard rest.count &- end >= 2 else { return nil }
      end &+= 2 &+ Int(rest[end &+ 1])
    }
    guard end == rest.count || end == length else { return nil }
    return OpenedTunnel(
      kind: .teredo, identifier: nil, layer: .ipv6, offset: offset, end: offset &+ length)
  }
}
