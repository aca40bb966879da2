// Whether a Retry answers a client's Initial: its last 16 bytes are a tag over the packet and the id that the client chose, so
// that nobody makes one who has not seen that id (RFC 9001 section 5.8, RFC 9369 section 3.3.3).

extension QUIC.InitialCipher {
  /// Whether `retry` is one for the client whose first packet went to `connection`. True also where that cannot be told: the
  /// packet was not captured to its end, or its version is a draft before the 25th, which had no tag.
  ///
  ///     tag = AES-128-GCM(key and nonce of the version; nothing, but for | n 1, connection n | retry without its tag |)
  /// - Complexity: O(bytes of the packet)
  package func isGenuine(_ retry: QUIC.LongPacket, to connection: Bytes) -> Bool {
    guard let secret = Self.secret(retry.version) else { return true }
    let signed = retry.bytes.prefix(retry.numberOffset &+ retry.tokenLength)
    guard retry.bytes.count == signed.count &+ QUIC.tagLength else { return true }
    return isTag(retry.bytes.dropFirst(signed.count), secret, connection: connection, of: signed)
  }

  /// A version's key 16 and nonce 12; nil where it has none.
  private static func secret(_ version: UInt32) -> (UInt64, UInt64, UInt64, UInt32)? {
    switch version {
    case QUIC.Version.two:
      return (0x8FB4_B01B_56AC_48E2, 0x60FB_CBCE_AD7C_CC92, 0xD869_69BC_2D7C_6D99, 0x90EF_B04A)
    case QUIC.Version.twoProvisional, QUIC.Version.twoDraft:
      return (0xBA85_8DC7_B43D_E5DB, 0xF876_17FF_4AB2_53DB, 0x141B_99C2_39B0_3E78, 0x5D6A_2E9F)
    case QUIC.Version.googleT050:
      return (0xC92D_323D_9CE3_0DA0, 0x88B9_B7BB_DCCD_50C8, 0x26E4_D623_83D5_C760, 0xEA02_B41F)
    case QUIC.Version.googleT051:
      return (0x2EB9_61A6_7956_F879, 0x5314_DAFB_2EBC_83D7, 0xB50E_4E53_4CFC_0BBB, 0x85F2_F9CA)
    default: break
    }
    switch QUIC.Version.draft(version) {
    case ...24: return nil
    case ...28: return (0x4D32_ECDB_2A21_33C8, 0x41E4_043D_F27D_4430, 0x4D16_11D0_5513_A552, 0xC587_D575)
    case ...32: return (0xCCCE_187E_D09A_09D0, 0x5728_155A_6CB9_6BE1, 0xE549_30F9_7F21_36F0, 0x530A_8C1C)
    default: return (0xBE0C_690B_9F66_575A, 0x1D76_6B54_E368_C84E, 0x4615_99D3_5D63_2BF2, 0x2398_25BB)
    }
  }
}
