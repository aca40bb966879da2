// Text that is hashed while it is written, so that a fingerprint's input never lies in memory as a whole.
import CDigest
import Wire

/// A message digest of libcrypto.
protocol DigestAlgorithm {
  associatedtype Context
  associatedtype Digest: BitwiseCopyable
  static var empty: Digest { get }
  static func begin() -> Context
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout Context)
  static func end(_ context: inout Context, into digest: UnsafeMutablePointer<UInt8>)
}

/// MD5 (RFC 1321), for JA3.
enum MD5: DigestAlgorithm {
  static var empty: InlineArray<16, UInt8> { .init(repeating: 0) }
  static func begin() -> MD5_CTX {
    var context = MD5_CTX()
    MD5_Init(&context)
    return context
  }
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout MD5_CTX) {
    MD5_Update(&context, bytes.baseAddress, bytes.count)
  }
  static func end(_ context: inout MD5_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    MD5_Final(digest, &context)
  }
}

/// SHA-256 (FIPS 180-4), for JA4.
enum SHA256: DigestAlgorithm {
  static var empty: InlineArray<32, UInt8> { .init(repeating: 0) }
  static func begin() -> SHA256_CTX {
    var context = SHA256_CTX()
    SHA256_Init(&context)
    return context
  }
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout SHA256_CTX) {
    SHA256_Update(&context, bytes.baseAddress, bytes.count)
  }
  static func end(_ context: inout SHA256_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    SHA256_Final(digest, &context)
  }
}

/// Writes ASCII text into a digest: numbers with what separates them.
struct DigestText<Algorithm: DigestAlgorithm> {
  private var context = Algorithm.begin()
  // Two blocks of a digest, which takes whole ones fastest, and room for a store that reaches beyond them.
  private var buffer = InlineArray<136, UInt8>(repeating: 0)
  private var used = 0
  /// Whether nothing was written yet.
  private(set) var isEmpty = true

  @inline(__always)
  mutating func append(_ character: UInt8) {
    makeRoom(for: 1)
    put(UInt64(character), length: 1)
  }

  /// A number in decimal.
  @inline(__always)
  mutating func appendDecimal(_ number: UInt16) {
    makeRoom(for: 5)
    // The first digit is the lowest octet, because it comes first in memory; then the leading zeros are shifted out.
    let number = UInt64(number)
    let digits =
      number / 10000 | (number / 1000 % 10) &<< 8 | (number / 100 % 10) &<< 16
      | (number / 10 % 10) &<< 24 | (number % 10) &<< 32 | 0x30_3030_3030
    var zeros = number < 10 ? 4 : 3
    if number >= 100 { zeros = number < 1000 ? 2 : number < 10000 ? 1 : 0 }
    put(digits &>> UInt64(truncatingIfNeeded: 8 &* zeros), length: 5 &- zeros)
  }

  /// A number in four hexadecimal digits.
  @inline(__always)
  mutating func appendHexadecimal(_ number: UInt16) {
    makeRoom(for: 4)
    let number = UInt64(number)
    let nibbles =
      number &>> 12 | (number &>> 8 & 0xF) &<< 8 | (number &>> 4 & 0xF) &<< 16 | (number & 0xF) &<< 24
    // 6 more reach 16 where a nibble is a letter; a letter is 0x27 further than a digit would be.
    let letters = (nibbles &+ 0x0606_0606) &>> 4 & 0x0101_0101
    put(nibbles &+ 0x3030_3030 &+ letters &* 0x27, length: 4)
  }

  @inline(__always)
  private mutating func makeRoom(for length: Int) {
    if used &+ length > 128 { flush() }
    isEmpty = false
  }

  /// Appends the `length` lowest octets of `characters`, lowest first.
  @inline(__always)
  private mutating func put(_ characters: UInt64, length: Int) {
    guard used >= 0, used <= 128 else { return noteFault() }
    let end = used
    withUnsafeMutableBytes(of: &buffer) {
      // Safe: the line above leaves room for eight octets. What is beyond `length` is written over.
      $0.storeBytes(of: characters.littleEndian, toByteOffset: end, as: UInt64.self)
    }
    used &+= length
  }

  private mutating func flush() {
    let length = max(0, min(128, used))
    buffer.span.bytes.extracting(first: length).withUnsafeBytes { Algorithm.add($0, to: &context) }
    used = 0
  }

  /// The digest of all that was written.
  mutating func finish() -> Algorithm.Digest {
    flush()
    var digest = Algorithm.empty
    withUnsafeMutableBytes(of: &digest) {
      // Safe: a digest is never empty, and `Digest` has the length that the algorithm writes.
      guard let start = $0.bindMemory(to: UInt8.self).baseAddress else { return }
      Algorithm.end(&context, into: start)
    }
    return digest
  }
}

/// The digit for the low four bits, in lower case.
@inline(__always)
func hexadecimalDigit(_ nibble: UInt8) -> UInt8 {
  let value = nibble & 0xF
  return value < 10 ? 0x30 &+ value : 0x57 &+ value
}
