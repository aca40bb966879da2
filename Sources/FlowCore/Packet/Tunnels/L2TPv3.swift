// Layer two tunnelling, version 3, around Ethernet frames. Nothing in a packet says how long its cookie is and whether a
// sublayer follows: both were agreed on before. So the frame is looked for in the places where it can be.
import Wire

/// Reads L2TPv3's data headers (RFC 3931 sections 4.1.1 and 4.1.2).
///
///     IP    | session 32, not 0 | cookie 0, 4 or 8 bytes | [sublayer 4 bytes] | frame
///     UDP   | T 1 = 0, 11, version 4 = 3 | reserved 16 | session 32 | …
enum L2TPv3 {
  /// A packet right above IP. Session 0 is the control connection's.
  static func open(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 4 else { return nil }
    let session = bytes.load(UInt32.self, at: 0)
    guard session != 0, let start = frame(in: bytes, from: 4) else { return nil }
    return OpenedTunnel(kind: .l2tpv3, identifier: session, layer: .ethernet, offset: start)
  }

  /// A datagram's payload.
  static func openDatagram(_ bytes: Bytes) -> OpenedTunnel? {
    guard bytes.count > 8, bytes.load(UInt32.self, at: 0) & 0x800F_FFFF == 0x0003_0000 else { return nil }
    return open(bytes.dropFirst(4))?.shifted(4)
  }

  /// Where behind `start` an Ethernet frame with IP in it begins: without a cookie and a sublayer, or with 4, 8 or 12 bytes.
  private static func frame(in bytes: Bytes, from start: Int) -> Int? {
    var place = start
    while place <= start &+ 12 {
      if EthernetGuess.isFrame(bytes.dropFirst(place)) { return place }
      place &+= 4
    }
    return nil
  }
}
