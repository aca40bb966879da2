// Text that is hashed while it is written, so that a fingerprint's input never lies in memory as a whole.
import CDigest

/// A message digest of libcrypto.
package protocol DigestAlgorithm {
  associatedtype Context
  associatedtype Digest: BitwiseCopyable
  static var empty: Digest { get }
  static func begin() -> Context
  static func add(_ bytes: UnsafeRawBufferPointer, to context: inout Context)
  static func end(_ context: inout Context, into digest: UnsafeMutablePointer<UInt8>)
}

/// MD5 (RFC 1321), for JA3.
package enum MD5: DigestAlgorithm {
  package static var empty: InlineArray<16, UInt8> { .init(repeating: 0) }
  package static func begin() -> MD5_CTX {
    var context = MD5_CTX()
    MD5_Init(&context)
    return context
  }
  package static func add(_ bytes: UnsafeRawBufferPointer, to context: inout MD5_CTX) {
    MD5_Update(&context, bytes.baseAddress, bytes.count)
  }
  package static func end(_ context: inout MD5_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    MD5_Final(digest, &context)
  }
}

/// SHA-256 (FIPS 180-4), for JA4.
package enum SHA256: DigestAlgorithm {
  package static var empty: InlineArray<32, UInt8> { .init(repeating: 0) }
  package static func begin() -> SHA256_CTX {
    var context = SHA256_CTX()
    SHA256_Init(&context)
    return context
  }
  package static func add(_ bytes: UnsafeRawBufferPointer, to context: inout SHA256_CTX) {
    SHA256_Update(&context, bytes.baseAddress, bytes.count)
  }
  package static func end(_ context: inout SHA256_CTX, into digest: UnsafeMutablePointer<UInt8>) {
    SHA256_Final(digest, &context)
  }
}

/// Writes ASCII text into a digest: numbers with what separates them.
package struct DigestText<Algorithm: DigestAlgorithm> {
  private var context = Algorithm.begin()
  // Whole blocks of a digest, which it takes without a copy of its own, and room for a store that reaches beyond them.
  private var buffer = InlineArray<264, UInt8>(repeating: 0)
  private var used = 0
  /// Octets of `buffer` that are handed over together: four blocks.
  private static var whole: Int { 256 }
  private var hasHandedOver = false
  /// Whether nothing was written yet.
  package var isEmpty: Bool { used == 0 && !hasHandedOver }

  @inline(__always)
  package mutating func append(_ character: UInt8) { put(UInt64(character), length: 1) }

  /// A number in decimal.
  @inline(__always)
  package mutating func appendDecimal(_ number: UInt16) {
    let (digits, length) = decimal(number)
    put(digits, length: length)
  }

  /// A separator and a number in decimal.
  @inline(__always)
  package mutating func append(_ separator: UInt8, decimal number: UInt16) {
    let (digits, length) = decimal(number)
    put(UInt64(separator) | digits &<< 8, length: length &+ 1)
  }

  /// A number in four hexadecimal digits.
  @inline(__always)
  package mutating func appendHexadecimal(_ number: UInt16) { put(hexadecimal(number), length: 4) }

  /// A separator and a number in four hexadecimal digits.
  @inline(__always)
  package mutating func append(_ separator: UInt8, hexadecimal number: UInt16) {
    put(UInt64(separator) | hexadecimal(number) &<< 8, length: 5)
  }

  /// Appends the `length` lowest octets of `characters`, at most eight, lowest first.
  @inline(__always)
  private mutating func put(_ characters: UInt64, length: Int) {
    if _slowPath(used >= Self.whole) { handOver() }
    // The line above has left less than that.
    let end = used & (Self.whole &- 1)
    withUnsafeMutableBytes(of: &buffer) {
      // Safe: the mask leaves room for eight octets. What is beyond `length` is written over.
      $0.storeBytes(of: characters.littleEndian, toByteOffset: end, as: UInt64.self)
    }
    used = end &+ length
  }

  /// Gives what is written to the digest, whole blocks of it; what is behind them, at most eight octets, moves to the front.
  @inline(never)
  private mutating func handOver() {
    let length = max(0, min(used, Self.whole))
    buffer.span.bytes.extracting(first: length).withUnsafeBytes { Algorithm.add($0, to: &context) }
    var index = 0
    while index < used &- length {
      buffer[total: index] = buffer[total: length &+ index]
      index &+= 1
    }
    used = index
    hasHandedOver = true
  }

  /// The digest of all that was written.
  package mutating func finish() -> Algorithm.Digest {
    handOver()
    if used > 0 { handOver() }
    var digest = Algorithm.empty
    withUnsafeMutableBytes(of: &digest) {
      // Safe: a digest is never empty, and `Digest` has the length that the algorithm writes.
      guard let start = $0.bindMemory(to: UInt8.self).baseAddress else { return }
      Algorithm.end(&context, into: start)
    }
    return digest
  }
}

/// The decimal digits of a number as text, the first one in the lowest octet, because that comes first in memory; and how
/// many there are. No division and no branch: a hello may have hundreds of numbers.
@inline(__always)
private func decimal(_ number: UInt16) -> (text: UInt64, length: Int) {
  let number = UInt64(number)
  // Quotients by multiplication, exact for all that occurs: n / 10000 for 16 bits, n / 100 below 10000, n / 10 below 100.
  let first = (number &* 107_375) &>> 30
  let rest = number &- first &* 10000
  let hundreds = (rest &* 5243) &>> 19
  // Two numbers below 100, 16 bits apart, and then the four digits of both.
  let pairs = hundreds | (rest &- hundreds &* 100) &<< 16
  let tens = (pairs &* 103) &>> 10 & 0x000F_000F
  let digits = first | (tens | (pairs &- tens &* 10) &<< 8) &<< 8
  // Leading zeros are the lowest octets; the last digit stays whatever it is.
  let zeros = (digits | 1 &<< 32).trailingZeroBitCount &>> 3
  return ((digits | 0x30_3030_3030) &>> UInt64(truncatingIfNeeded: 8 &* zeros), 5 &- zeros)
}

/// The four hexadecimal digits of a number as text, the first one in the lowest octet.
@inline(__always)
private func hexadecimal(_ number: UInt16) -> UInt64 {
  let number = UInt64(number)
  let nibbles =
    number &>> 12 | (number &>> 8 & 0xF) &<< 8 | (number &>> 4 & 0xF) &<< 16 | (number & 0xF) &<< 24
  // 6 more reach 16 where a nibble is a letter; a letter is 0x27 further than a digit would be.
  let letters = (nibbles &+ 0x0606_0606) &>> 4 & 0x0101_0101
  return nibbles &+ 0x3030_3030 &+ letters &* 0x27
}

/// The digit for the low four bits, in lower case.
@inline(__always)
package func hexadecimalDigit(_ nibble: UInt8) -> UInt8 {
  let value = nibble & 0xF
  return value < 10 ? 0x30 &+ value : 0x57 &+ value
}

extension SHA256 {
  /// The digest of `bytes` in 64 lower-case hexadecimal digits.
  package static func hexadecimal(of bytes: [UInt8]) -> String {
    var context = begin()
    bytes.withUnsafeBytes { add($0, to: &context) }
    var digest = [UInt8](repeating: 0, count: 32)
    digest.withUnsafeMutableBufferPointer { buffer in
      // Safe: an array with elements has an address, and this one has the 32 that a digest takes.
      if let start = buffer.baseAddress { end(&context, into: start) }
    }
    return String(
      decoding: digest.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0)] }, as: UTF8.self)
  }
}
