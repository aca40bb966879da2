// Text that is hashed while it is written, so that a fingerprint's input never lies in memory as a whole.
import CMessageDigest

/// A message digest of libmd.
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
    MD5Init(&context)
    return context
  }
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout MD5_CTX) {
    MD5Update(&context, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
  }
  static func end(_ context: inout MD5_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    MD5Final(digest, &context)
  }
}

/// SHA-256 (FIPS 180-4), for JA4.
enum SHA256: DigestAlgorithm {
  static var empty: InlineArray<32, UInt8> { .init(repeating: 0) }
  static func begin() -> SHA2_CTX {
    var context = SHA2_CTX()
    SHA256Init(&context)
    return context
  }
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout SHA2_CTX) {
    SHA256Update(&context, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
  }
  static func end(_ context: inout SHA2_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    SHA256Final(digest, &context)
  }
}

/// Writes ASCII text into a digest.
struct DigestText<Algorithm: DigestAlgorithm> {
  private var context = Algorithm.begin()
  // The digests take whole blocks of 64 bytes fastest.
  private var buffer = InlineArray<64, UInt8>(repeating: 0)
  private var used = 0
  /// Whether nothing was written yet.
  private(set) var isEmpty = true

  @inline(__always)
  mutating func append(_ character: UInt8) {
    if used == 64 { flush() }
    buffer[used] = character
    used &+= 1
    isEmpty = false
  }

  /// A number in decimal.
  mutating func appendDecimal(_ number: UInt16) {
    var divisor: UInt16 = 10000
    while divisor > 1, number < divisor { divisor /= 10 }
    while divisor > 0 {
      append(0x30 + UInt8(truncatingIfNeeded: number / divisor % 10))
      divisor /= 10
    }
  }

  /// A number in four hexadecimal digits.
  mutating func appendHexadecimal(_ number: UInt16) {
    append(hexadecimalDigit(UInt8(truncatingIfNeeded: number >> 12)))
    append(hexadecimalDigit(UInt8(truncatingIfNeeded: number >> 8)))
    append(hexadecimalDigit(UInt8(truncatingIfNeeded: number >> 4)))
    append(hexadecimalDigit(UInt8(truncatingIfNeeded: number)))
  }

  private mutating func flush() {
    buffer.span.bytes.extracting(first: used).withUnsafeBytes { Algorithm.add($0, to: &context) }
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
  return value < 10 ? 0x30 + value : 0x57 + value
}
