// GPRS tunnelling, user plane: what a mobile network's base stations and gateways carry (S1-U, S5, N3, N9).
import Wire

/// Reads GTP-U's header of a G-PDU (3GPP TS 29.281 sections 5.1 and 5.2).
///
///     | version 3 = 1, PT 1 = 1, reserved 1, E 1, S 1, PN 1 | type 8 = 255 | length 16 | TEID 32 |
///     | sequence 16 | N-PDU 8 | next extension 8 |                          if any of E, S, PN is set
///     extension: | length 8, in units of 4 bytes | contents | next extension 8 |
enum GTPU {
  /// The most extension headers that are passed: real packets have one or two.
  static let mostExtensions = 8

  static func open(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 8 else { return nil }
    let flags = bytes[0]
    guard flags & 0xF0 == 0x30, bytes[1] == 255 else { return nil }
    // What the length says is there: a snap length may have cut it, but nothing is read that lies behind it.
    let end = 8 &+ Int(bytes.load(UInt16.self, at: 2))
    var offset = 8
    if flags & 7 != 0 {
      guard bytes.count > 12, end >= 12 else { return nil }
      offset = 12
      var next = flags & 4 != 0 ? bytes[11] : 0
      var count = 0
      while next != 0 {
        guard count < mostExtensions, offset < bytes.count else { return nil }
        let length = 4 &* Int(bytes[offset])
        // A length of 0 would lead to the same header again.
        guard length > 0, bytes.count &- offset > length else { return nil }
        offset &+= length
        next = bytes[offset &- 1]
        count &+= 1
      }
    }
    guard offset < bytes.count, offset < end else { return nil }
    return OpenedTunnel(
      kind: .gtpu, identifier: bytes.load(UInt32.self, at: 4), layer: .ip, offset: offset, end: end)
  }
}
