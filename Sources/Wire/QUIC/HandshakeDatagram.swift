// What a datagram of a QUIC handshake begins with, as far as its header tells without keys: enough to measure how long answers
// take.
//
//     | 1 | 1 | type 2 | … 4 | version 32 | length 8, destination's ID | length 8, source's ID | …    RFC 9000 section 17.2

/// The first packet of a datagram with a long header.
package enum HandshakeDatagram {
  /// What a connection begins with.
  case initial
  /// Data that a client sends without waiting for an answer.
  case early
  /// Handshake, Retry, Version Negotiation.
  case other

  /// The first packet of `payload`; nil where it has no long header of a version that is known.
  package init?(_ payload: Bytes) {
    guard payload.count >= 7, payload[0] & 0x80 != 0 else { return nil }
    let version = payload.load(UInt32.self, at: 1)
    // | length | destination's ID | length | source's ID |: 20 bytes each at the most.
    let destinationLength = Int(payload[5])
    guard destinationLength <= 20, payload.count > 6 &+ destinationLength,
      payload[6 &+ destinationLength] <= 20
    else { return nil }
    // Version Negotiation, in which the other bits of the first byte may be anything (section 17.2.1).
    if version == 0 {
      self = .other
      return
    }
    // The second bit is fixed only where nobody greases it (RFC 9287).
    guard let initial = HandshakeDatagram.initialType(version) else { return nil }
    switch payload[0] >> 4 & 3 {
    case initial: self = .initial
    case (initial &+ 1) & 3: self = .early
    default: self = .other
    }
  }

  /// Whether `payload`, a client's first datagram, begins a connection (RFC 9000 sections 7.2 and 14.1).
  package static func begins(_ payload: Bytes, length: Int) -> Bool {
    guard length >= 1200, payload.count >= 7, payload[5] >= 8, let first = HandshakeDatagram(payload) else {
      return false
    }
    if case .initial = first { return true }
    return false
  }

  /// The type of Initial packets in a version; nil for a version that is not known. 0-RTT is the next one, modulo 4.
  private static func initialType(_ version: UInt32) -> UInt8? {
    // Version 2 (RFC 9369 section 3.2).
    if version == 0x6B33_43CF { return 1 }
    let isKnown =
      version == 1
      // Drafts 27 to 34, and those of mvfst.
      || version &- 0xFF00_001B <= 7 || version & 0xFFFF_FFF0 == 0xFACE_B000
      // Reserved ones, which have a server name those that it knows (section 15).
      || version & 0x0F0F_0F0F == 0x0A0A_0A0A
    return isKnown ? 0 : nil
  }
}
