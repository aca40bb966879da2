// The keys of Initial packets (RFC 9001 section 5.2, RFC 9369 section 3.3): made of the connection id that the client chose
// for the server, so that everyone on the path has them.
import CDigest

extension QUIC {
  /// Who sent a packet.
  package enum Side: UInt8, BitwiseCopyable {
    case client
    case server
  }

  /// What protects the Initial packets of one side.
  ///
  ///     | key 16 | nonce 12 | header protection key 16 |
  package enum InitialKeys {
    /// Their bytes.
    @inline(__always) package static var size: Int { 44 }
    static var keyLength: Int { 16 }
    static var nonceLength: Int { 12 }
    static var nonceOffset: Int { 16 }
    static var headerKeyOffset: Int { 28 }

    /// Derives the keys of `side` for packets of `version`, and writes them to `keys`. `connection` is the destination of the
    /// client's first packet, or the source of the Retry that answered it.
    /// - Complexity: 16 blocks of SHA-256
    package static func derive(
      _ side: Side, _ connection: Bytes, version: UInt32, into keys: MutableBytes
    ) {
      guard keys.count >= size else { return noteFault() }
      var salt = InlineArray<20, UInt8>(repeating: 0)
      withUnsafeMutableBytes(of: &salt) { bytes in
        guard let base = bytes.baseAddress else { return }
        let salt = MutableBytes(base, count: bytes.count)
        let (high, middle, low) = Self.salt(version)
        salt.store(high.bigEndian, at: 0)
        salt.store(middle.bigEndian, at: 8)
        salt.store(low.bigEndian, at: 16)
      }
      // HKDF-Extract, then HKDF-Expand-Label (RFC 8446 section 7.1), whose label is written out: length of the result,
      // length of the label, label, no context, and 1 for the first block.
      let secret = withUnsafeBytes(of: &salt) { HMAC(key: Bytes($0)).digest(connection) }
      let label: Bytes
      switch side {
      case .client: label = Bytes("\u{0}\u{20}\u{0F}tls13 client in\u{0}\u{1}")
      case .server: label = Bytes("\u{0}\u{20}\u{0F}tls13 server in\u{0}\u{1}")
      }
      let hmac = HMAC(key: HMAC(key: secret).digest(label))
      let (key, nonce, header) = labels(version)
      hmac.write(key, to: keys, at: 0, length: keyLength)
      hmac.write(nonce, to: keys, at: nonceOffset, length: nonceLength)
      hmac.write(header, to: keys, at: headerKeyOffset, length: keyLength)
    }

    private static func labels(_ version: UInt32) -> (key: Bytes, nonce: Bytes, header: Bytes) {
      if Version.isTwo(version) {
        return (
          Bytes("\u{0}\u{10}\u{10}tls13 quicv2 key\u{0}\u{1}"),
          Bytes("\u{0}\u{0C}\u{0F}tls13 quicv2 iv\u{0}\u{1}"),
          Bytes("\u{0}\u{10}\u{0F}tls13 quicv2 hp\u{0}\u{1}")
        )
      }
      return (
        Bytes("\u{0}\u{10}\u{0E}tls13 quic key\u{0}\u{1}"),
        Bytes("\u{0}\u{0C}\u{0D}tls13 quic iv\u{0}\u{1}"),
        Bytes("\u{0}\u{10}\u{0D}tls13 quic hp\u{0}\u{1}")
      )
    }

    /// The 20 bytes that each version adds to the connection id.
    private static func salt(_ version: UInt32) -> (UInt64, UInt64, UInt32) {
      switch version {
      case Version.two: return (0x0DED_E3DE_F700_A6DB, 0x8193_81BE_6E26_9DCB, 0xF9BD_2ED9)
      case Version.twoProvisional, Version.twoDraft:
        return (0xA707_C203_A59B_4718, 0x4A1D_62CA_5704_06EA, 0x7AE3_E5D3)
      case Version.googleT050: return (0x7FF5_79E5_ACD0_7291, 0x5580_304C_43A2_367C, 0x6048_8310)
      case Version.googleT051: return (0x7A4E_DEF4_E7CC_EE5F, 0xA450_6C19_124F_C8CC, 0xDA6E_033D)
      default: break
      }
      switch Version.draft(version) {
      case ...20: return (0xEF4F_B0AB_B474_70C4, 0x1BEF_CF80_3133_4FAE, 0x485E_09A0)
      case ...22: return (0x7FBC_DB0E_7C66_BBE9, 0x193A_96CD_2151_9EBD, 0x7A02_644A)
      case ...28: return (0xC3EE_F712_C72E_BB5A, 0x11A7_D243_2BB4_6365, 0xBEF9_F502)
      case ...32: return (0xAFBF_EC28_9993_D24C, 0x9E97_86F1_9C61_11E0, 0x4390_A899)
      default: return (0x3876_2CF7_F559_34B3, 0x4D17_9AE6_A4C8_0CAD, 0xCCBB_7F0A)
      }
    }
  }

  /// HMAC with SHA-256 (RFC 2104) for several messages under one key of at most 64 bytes.
  private struct HMAC {
    typealias Digest = InlineArray<32, UInt8>

    /// What is hashed before each message, and before each message's hash.
    private var inner = SHA256.begin()
    private var outer = SHA256.begin()

    init(key: Bytes) {
      var block = InlineArray<8, UInt64>(repeating: 0)
      withUnsafeMutableBytes(of: &block) { bytes in
        guard let base = bytes.baseAddress else { return }
        MutableBytes(base, count: bytes.count).copy(key, to: 0)
      }
      var index = 0
      while index < 8 {
        block[total: index] ^= 0x3636_3636_3636_3636
        index &+= 1
      }
      withUnsafeBytes(of: &block) { SHA256.add($0, to: &inner) }
      index = 0
      while index < 8 {
        block[total: index] ^= 0x3636_3636_3636_3636 ^ 0x5C5C_5C5C_5C5C_5C5C
        index &+= 1
      }
      withUnsafeBytes(of: &block) { SHA256.add($0, to: &outer) }
    }

    init(key: Digest) {
      var key = key
      self = withUnsafeBytes(of: &key) { HMAC(key: Bytes($0)) }
    }

    func digest(_ message: Bytes) -> Digest {
      var context = inner
      SHA256.add(message.buffer, to: &context)
      var digest = HMAC.end(&context)
      context = outer
      withUnsafeBytes(of: &digest) { SHA256.add($0, to: &context) }
      return HMAC.end(&context)
    }

    private static func end(_ context: inout SHA256_CTX) -> Digest {
      var digest = Digest(repeating: 0)
      withUnsafeMutableBytes(of: &digest) {
        // Safe: a digest has the 32 bytes that are written.
        guard let start = $0.bindMemory(to: UInt8.self).baseAddress else { return }
        SHA256.end(&context, into: start)
      }
      return digest
    }

    /// Writes the first `length` bytes of a message's digest.
    func write(_ message: Bytes, to memory: MutableBytes, at offset: Int, length: Int) {
      var digest = digest(message)
      withUnsafeBytes(of: &digest) { memory.copy(Bytes($0).prefix(length), to: offset) }
    }
  }
}
