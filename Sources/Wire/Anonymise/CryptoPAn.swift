// Crypto-PAn: addresses become others, under a key, so that two that share their first n bits share exactly as many afterwards
// (Xu, Fan, Ammar, Moon, "Prefix-preserving IP address anonymization", ICNP 2002). IPv6 goes the same way with 128 bits, as
// other implementations have it.
import CDigest

/// The mapping of one key, for one thread.
///
/// Bit i of the result is bit i of the address, turned round where AES-128 of the first i bits, filled up with the bits of a pad,
/// begins with a one. All of an address's blocks are encrypted with one call, so that the CPU works on several at once.
public final class CryptoPAn {
  /// Octets of a key: AES's, and what the pad is made of.
  public static var keyLength: Int { 32 }

  private let cipher: OpaquePointer
  /// The pad as two numbers.
  private var pad: (high: UInt64, low: UInt64) = (0, 0)
  /// | blocks of an address 2048 | the same encrypted 2048 + 16 |
  private let memory: UnsafeMutableRawPointer
  private static var blockLength: Int { 16 }
  private static var room: Int { 128 * blockLength }

  /// The mapping; nil for a key of another length, or where libcrypto has no AES.
  public init?(key: [UInt8]) {
    guard key.count == CryptoPAn.keyLength, let cipher = CryptoPAn.context(key) else { return nil }
    self.cipher = cipher
    memory = .allocate(byteCount: 2 * CryptoPAn.room + CryptoPAn.blockLength, alignment: 64)
    // Safe: as many bytes were allocated.
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * CryptoPAn.room + CryptoPAn.blockLength)
    let half = key.dropFirst(CryptoPAn.blockLength)
    func word(_ octets: ArraySlice<UInt8>) -> UInt64 { octets.reduce(0) { $0 &<< 8 | UInt64($1) } }
    put(block: 0, high: word(half.prefix(8)), low: word(half.suffix(8)))
    encrypt(blocks: 1)
    pad = (encrypted(0), encrypted(8))
  }

  deinit {
    EVP_CIPHER_CTX_free(cipher)
    memory.deallocate()
  }

  /// AES-128 with the key's first half.
  private static func context(_ key: [UInt8]) -> OpaquePointer? {
    guard let cipher = EVP_CIPHER_fetch(nil, "AES-128-ECB", nil) else { return nil }
    // The context keeps the cipher.
    defer { EVP_CIPHER_free(cipher) }
    guard let context = EVP_CIPHER_CTX_new() else { return nil }
    guard EVP_CipherInit_ex(context, cipher, nil, key, nil, 1) == 1,
      EVP_CIPHER_CTX_set_padding(context, 0) == 1
    else {
      EVP_CIPHER_CTX_free(context)
      return nil
    }
    return context
  }

  /// The IPv4 address in place of another: 192.0.2.1 is 0xC0000201.
  public func map(_ address: UInt32) -> UInt32 {
    let bits = flips(high: UInt64(address) &<< 32, low: 0, count: 32).high
    return address ^ UInt32(truncatingIfNeeded: bits &>> 32)
  }

  /// The IPv6 address in place of another, both in halves.
  public func map(high: UInt64, low: UInt64) -> (high: UInt64, low: UInt64) {
    let bits = flips(high: high, low: low, count: 128)
    return (high ^ bits.high, low ^ bits.low)
  }

  /// Which of the first `count` bits are turned round.
  private func flips(high: UInt64, low: UInt64, count: Int) -> (high: UInt64, low: UInt64) {
    var index = 0
    while index < count {
      // The smart shift gives 0 for 64 and more.
      let highMask: UInt64 = index == 0 ? 0 : .max << UInt64(truncatingIfNeeded: max(0, 64 &- index))
      let lowMask: UInt64 = index <= 64 ? 0 : .max << UInt64(truncatingIfNeeded: 128 &- index)
      put(
        block: index, high: high & highMask | pad.high & ~highMask, low: low & lowMask | pad.low & ~lowMask)
      index &+= 1
    }
    encrypt(blocks: count)
    var bits: (high: UInt64, low: UInt64) = (0, 0)
    index = 0
    while index < count {
      let bit = encrypted(index &* CryptoPAn.blockLength) &>> 63
      if index < 64 {
        bits.high |= bit &<< UInt64(truncatingIfNeeded: 63 &- index)
      } else {
        bits.low |= bit &<< UInt64(truncatingIfNeeded: 127 &- index)
      }
      index &+= 1
    }
    return bits
  }

  private func put(block: Int, high: UInt64, low: UInt64) {
    // Safe: an address has at most 128 blocks, for which there is room.
    memory.storeBytes(of: high.bigEndian, toByteOffset: block &* CryptoPAn.blockLength, as: UInt64.self)
    memory.storeBytes(of: low.bigEndian, toByteOffset: block &* CryptoPAn.blockLength &+ 8, as: UInt64.self)
  }

  /// The number at this offset of what was encrypted.
  private func encrypted(_ offset: Int) -> UInt64 {
    // Safe: only offsets within the blocks of an address are asked for.
    UInt64(bigEndian: memory.load(fromByteOffset: CryptoPAn.room &+ offset, as: UInt64.self))
  }

  private func encrypt(blocks: Int) {
    var written: Int32 = 0
    // Safe: both parts of the memory have room for the blocks; AES without padding writes as much as it reads.
    let bytes = memory.assumingMemoryBound(to: UInt8.self)
    EVP_EncryptUpdate(
      cipher, bytes + CryptoPAn.room, &written, bytes,
      Int32(truncatingIfNeeded: blocks &* CryptoPAn.blockLength))
  }
}
