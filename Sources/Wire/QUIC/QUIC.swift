// QUIC (RFC 8999, RFC 9000, RFC 9369): its versions, its packets' types, and its numbers of variable length.

/// QUIC, as far as it can be read from outside: long headers, and Initial packets, whose keys everyone can derive.
package enum QUIC {
  /// The longest connection id (RFC 9000 section 17.2).
  @inline(__always) package static var longestConnectionID: Int { 20 }

  /// Bits of a packet's first byte: a long header follows; the fixed bit, also called the QUIC bit.
  @inline(__always) package static var longHeader: UInt8 { 0x80 }
  @inline(__always) package static var fixedBit: UInt8 { 0x40 }

  /// What a packet with a long header is. The raw values are those of `cesnet:quicPackets`.
  package enum PacketType: UInt8, BitwiseCopyable {
    case initial = 1
    case zeroRTT = 2
    case handshake = 4
    case retry = 8
    case versionNegotiation = 16
  }

  /// Whether a datagram may begin with a long header of a version that is known: what can be said from its first five bytes.
  @inline(__always)
  package static func mayBeLongHeader(_ datagram: Bytes) -> Bool {
    datagram.count >= 8 && datagram[0] & longHeader != 0 && isKnown(datagram.load(UInt32.self, at: 1))
  }

  /// Whether a version is negotiation (0), one that QUIC's implementations speak, or one that clients offer only to keep
  /// servers tolerant (0x?a?a?a?a).
  package static func isKnown(_ version: UInt32) -> Bool {
    switch version {
    case 0, 1, Version.two, Version.twoProvisional, Version.twoDraft: true
    // Drafts; those before the 17th protected their packets in another way.
    case 0xFF00_0011...0xFF00_0022: true
    case Version.googleT050, Version.googleT051: true
    case 0xFACE_B000...0xFACE_B0FF: true  // mvfst
    case 0x5043_5130, 0x5043_5131: true  // picoquic
    case 0xABCD_0000...0xABCD_000F: true  // MsQuic
    case 0x5147_4F00...0x5147_4FFF: true  // quic-go
    case 0x91C1_7000...0x91C1_70FF: true  // quicly
    case 0x4547_4700...0x4547_47FF: true  // quant
    case 0xF0F0_F0F0...0xF0F0_F0FF, 0xF0F0_F1F0...0xF0F0_F1FF, 0xF0F0_F2F0...0xF0F0_F2FF: true  // experiments
    case 0x0700_7000...0x0700_700F: true  // Tencent
    case 0xF123_F0C0...0xF123_F0CF: true  // MozQuic
    case 0x5C10_0000...0x5C10_000F: true  // SCION
    default: version & 0x0F0F_0F0F == 0x0A0A_0A0A
    }
  }

  /// Versions that differ in more than their number.
  package enum Version {
    package static var negotiation: UInt32 { 0 }
    package static var two: UInt32 { 0x6B33_43CF }
    package static var twoProvisional: UInt32 { 0x709A_50C4 }
    package static var twoDraft: UInt32 { 0xFF02_0000 }
    package static var googleT050: UInt32 { 0x5430_3530 }
    package static var googleT051: UInt32 { 0x5430_3531 }

    /// Whether packet types and labels are those of version 2 (RFC 9369 section 3).
    static func isTwo(_ version: UInt32) -> Bool {
      version == two || version == twoProvisional || version == twoDraft
    }

    /// The draft that a version follows; 34, the last one, for those that are none.
    static func draft(_ version: UInt32) -> UInt32 {
      switch version {
      case 0xFF00_0000...0xFF00_0022: version & 0xFF
      case 0xFACE_B001: 22
      case 0xFACE_B002, 0xFACE_B00E: 27
      default: 34
      }
    }
  }
}

extension Cursor {
  /// A number of variable length (RFC 9000 section 16): the first two bits say that it takes 1, 2, 4 or 8 bytes.
  package mutating func variableInteger() throws(Truncated) -> UInt64 {
    let first = try unsigned8()
    switch first &>> 6 {
    case 0: return UInt64(first)
    case 1: return UInt64(first & 0x3F) &<< 8 | UInt64(try unsigned8())
    case 2: return UInt64(first & 0x3F) &<< 24 | UInt64(try unsigned24())
    default:
      let middle = try unsigned24()
      return UInt64(first & 0x3F) &<< 56 | UInt64(middle) &<< 32 | UInt64(try unsigned32())
    }
  }

  /// As many bytes as a number of variable length before them says.
  package mutating func variableField() throws(Truncated) -> Bytes {
    try take(Int(clamping: try variableInteger()))
  }
}
