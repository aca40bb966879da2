// Takes the protection off Initial packets (RFC 9001 sections 5.3 and 5.4): AES-128-GCM, under a header that is masked by
// AES-128 of a sample of the packet.
import CDigest

extension QUIC {
  /// libcrypto's contexts and the memory that a worker needs to open packets. It is made once; to open a packet allocates
  /// nothing.
  package struct InitialCipher: BitwiseCopyable {
    /// The most bytes of frames that are decrypted, and of a header.
    @inline(__always) package static var longestPayload: Int { 4096 }
    private static var longestHeader: Int { 2048 }
    /// Bytes of the sample from which a header's mask is made, and how far it lies behind the packet number's first byte.
    private static var sampleLength: Int { 16 }
    private static var sampleOffset: Int { 4 }

    private let mask: OpaquePointer
    private let payload: OpaquePointer
    /// | the header, as it was 2048 | nonce 16 | mask 16 | frames 4096 |
    private let memory: UnsafeMutableRawPointer
    private static var nonceOffset: Int { longestHeader }
    private static var maskOffset: Int { longestHeader + 16 }
    private static var payloadOffset: Int { longestHeader + 32 }
    private static var size: Int { payloadOffset + longestPayload }

    /// The contexts; nil where libcrypto has none of these ciphers, as with a provider that does not allow them.
    package init?() {
      guard let mask = InitialCipher.context("AES-128-ECB") else { return nil }
      guard let payload = InitialCipher.context("AES-128-GCM") else {
        EVP_CIPHER_CTX_free(mask)
        return nil
      }
      (self.mask, self.payload) = (mask, payload)
      memory = .allocate(byteCount: InitialCipher.size, alignment: 64)
      // Safe: as many bytes were allocated.
      memory.initializeMemory(as: UInt8.self, repeating: 0, count: InitialCipher.size)
    }

    /// A context with its cipher, which from here on only gets keys.
    private static func context(_ name: String) -> OpaquePointer? {
      guard let cipher = EVP_CIPHER_fetch(nil, name, nil) else { return nil }
      // The context keeps the cipher.
      defer { EVP_CIPHER_free(cipher) }
      guard let context = EVP_CIPHER_CTX_new() else { return nil }
      guard EVP_CipherInit_ex(context, cipher, nil, nil, nil, name.hasSuffix("GCM") ? 0 : 1) == 1 else {
        EVP_CIPHER_CTX_free(context)
        return nil
      }
      return context
    }

    package func free() {
      EVP_CIPHER_CTX_free(mask)
      EVP_CIPHER_CTX_free(payload)
      memory.deallocate()
    }

    /// The frames of an Initial packet, if `keys` (`InitialKeys`) open it: its tag says so. They are valid until the next
    /// packet is opened.
    /// - Complexity: O(bytes of the packet)
    package func open(_ packet: LongPacket, _ keys: Bytes) -> Bytes? {
      let scratch = MutableBytes(memory, count: InitialCipher.size)
      let protected = packet.bytes.dropFirst(packet.numberOffset)
      guard keys.count == InitialKeys.size,
        protected.count >= InitialCipher.sampleOffset &+ InitialCipher.sampleLength,
        packet.numberOffset &+ 4 <= InitialCipher.longestHeader,
        let mask = headerMask(
          protected.slice(InitialCipher.sampleOffset, InitialCipher.sampleLength),
          keys.slice(InitialKeys.headerKeyOffset, InitialKeys.keyLength), scratch)
      else { return nil }
      // The header without its mask: five bits of the first byte are protected in short headers, four in long ones.
      let first = packet.bytes[0] ^ mask[0] & 0x0F
      let numberLength = Int(first & 3) &+ 1
      scratch.copy(packet.bytes.prefix(packet.numberOffset), to: 0)
      scratch.store(first, at: 0)
      // The nonce: the packet number is added to its last bytes. An Initial's number is sent as it is: only after a
      // packet was acknowledged its first bytes may be left out.
      let nonce = keys.slice(InitialKeys.nonceOffset, InitialKeys.nonceLength)
      scratch.copy(nonce, to: InitialCipher.nonceOffset)
      var index = 0
      while index < numberLength {
        let byte = protected[index] ^ mask[index &+ 1]
        scratch.store(byte, at: packet.numberOffset &+ index)
        let place = InitialCipher.nonceOffset &+ InitialKeys.nonceLength &- numberLength &+ index
        scratch.store(scratch.load(UInt8.self, at: place) ^ byte, at: place)
        index &+= 1
      }
      let sealed = protected.dropFirst(numberLength)
      let length = sealed.count &- QUIC.tagLength
      guard length <= InitialCipher.longestPayload else { return nil }
      return decrypt(
        sealed.prefix(length), tag: sealed.dropFirst(length),
        header: scratch.prefix(packet.numberOffset &+ numberLength),
        key: keys.prefix(InitialKeys.keyLength), scratch)
    }

    /// AES of the sample: the mask's first byte is the first byte's, those behind it the packet number's.
    @inline(__always)
    private func headerMask(_ sample: Bytes, _ key: Bytes, _ scratch: MutableBytes) -> Bytes? {
      let block = scratch.dropFirst(InitialCipher.maskOffset)
      var written: Int32 = 0
      // Safe: a key and a sample have 16 bytes, which `open` checked, and so many are written.
      guard EVP_CipherInit_ex(mask, nil, nil, key.octets, nil, 1) == 1,
        EVP_CipherUpdate(mask, block.octets, &written, sample.octets, Int32(InitialCipher.sampleLength)) == 1
      else { return nil }
      return block.prefix(InitialCipher.sampleLength)
    }

    @inline(__always)
    private func decrypt(
      _ sealed: Bytes, tag: Bytes, header: Bytes, key: Bytes, _ scratch: MutableBytes
    ) -> Bytes? {
      let opened = scratch.dropFirst(InitialCipher.payloadOffset)
      let nonce = scratch.dropFirst(InitialCipher.nonceOffset)
      var written: Int32 = 0
      var rest: Int32 = 0
      // Safe: the key has 16 bytes, the nonce 12 and the tag 16; as many bytes are written as are read, and `open` has
      // seen to it that there is room for them. libcrypto does not write to the tag.
      guard EVP_CipherInit_ex(payload, nil, nil, key.octets, nonce.octets, 0) == 1,
        EVP_CipherUpdate(payload, nil, &written, header.octets, Int32(clamping: header.count)) == 1,
        EVP_CipherUpdate(payload, opened.octets, &written, sealed.octets, Int32(clamping: sealed.count)) == 1,
        EVP_CIPHER_CTX_ctrl(
          payload, EVP_CTRL_AEAD_SET_TAG, Int32(QUIC.tagLength), UnsafeMutableRawPointer(mutating: tag.base))
          == 1,
        EVP_CipherFinal_ex(payload, opened.dropFirst(sealed.count).octets, &rest) == 1
      else { return nil }
      return opened.prefix(sealed.count)
    }

    /// Whether `tag` is that of nothing, with a connection's id and `signed` beside it. The secret is a key of 16 bytes and a
    /// nonce of 12, in the order in which they are written.
    func isTag(
      _ tag: Bytes, _ secret: (UInt64, UInt64, UInt64, UInt32), connection: Bytes, of signed: Bytes
    ) -> Bool {
      let scratch = MutableBytes(memory, count: InitialCipher.size)
      let key = scratch.dropFirst(InitialCipher.maskOffset)
      key.store(secret.0.bigEndian, at: 0)
      key.store(secret.1.bigEndian, at: 8)
      let nonce = scratch.dropFirst(InitialCipher.nonceOffset)
      nonce.store(secret.2.bigEndian, at: 0)
      nonce.store(secret.3.bigEndian, at: 8)
      let id = connection.prefix(QUIC.longestConnectionID)
      scratch.store(UInt8(truncatingIfNeeded: id.count), at: 0)
      scratch.copy(id, to: 1)
      var written: Int32 = 0
      // Safe: the key has 16 bytes and the nonce 12, as stored above; the tag has 16, which is asked first. Nothing is
      // decrypted, so nothing is written. libcrypto does not write to the tag.
      return tag.count == QUIC.tagLength
        && EVP_CipherInit_ex(payload, nil, nil, key.octets, nonce.octets, 0) == 1
        && EVP_CipherUpdate(payload, nil, &written, scratch.octets, Int32(clamping: 1 &+ id.count)) == 1
        && EVP_CipherUpdate(payload, nil, &written, signed.octets, Int32(clamping: signed.count)) == 1
        && EVP_CIPHER_CTX_ctrl(
          payload, EVP_CTRL_AEAD_SET_TAG, Int32(QUIC.tagLength), UnsafeMutableRawPointer(mutating: tag.base))
          == 1
        && EVP_CipherFinal_ex(payload, scratch.dropFirst(InitialCipher.payloadOffset).octets, &written) == 1
    }
  }
}

extension Bytes {
  @inline(__always)
  // Safe: bytes are bytes; the caller gives their count along.
  fileprivate var octets: UnsafePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }
}

extension MutableBytes {
  @inline(__always)
  // Safe: bytes are bytes; the caller gives their count along.
  fileprivate var octets: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }
}
