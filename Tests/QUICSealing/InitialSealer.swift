// Puts protection on Initial packets (RFC 9001 section 5): for tests and the fuzzer, which say what the frames in them are.
import CDigest
import Wire

/// A maker of Initial packets.
public struct InitialSealer {
  public enum Sender { case client, server }

  public var sender = Sender.client
  public var version: UInt32 = 1
  /// The id of which the keys are made; that of the first client's Initial, or of a Retry.
  public var keyed: [UInt8]
  public var destination: [UInt8]
  public var source: [UInt8] = []
  public var token: [UInt8] = []
  public var number: UInt32 = 0
  /// How many bytes of the number are sent: 1 to 4.
  public var numberLength = 1

  /// A client's packets to `destination`, of which the keys are made.
  public init(to destination: [UInt8]) { (self.destination, keyed) = (destination, destination) }

  /// The packet with these frames, and the next number.
  public mutating func seal(_ frames: [UInt8]) -> [UInt8] {
    // A sample must be there, four bytes behind the number's start.
    let frames = frames + [UInt8](repeating: 0, count: max(0, 4 - frames.count))
    let keys = derivedKeys()
    let type: UInt8 = version == 0x6B33_43CF ? 0xD0 : 0xC0
    let length = numberLength + frames.count + 16
    var header: [UInt8] = [type | UInt8(numberLength - 1)] + Self.bytes(version)
    header += [UInt8(destination.count)] + destination + [UInt8(source.count)] + source
    header += Self.variable(token.count) + token + Self.variable(length)
    let numberBytes = Array(Self.bytes(number).suffix(numberLength))
    var nonce = Array(keys[16..<28])
    for (index, byte) in numberBytes.enumerated() { nonce[12 - numberLength + index] ^= byte }
    let sealed = Self.encrypt(
      "AES-128-GCM", key: Array(keys[0..<16]), nonce: nonce, header: header + numberBytes, frames)
    let protected = numberBytes + sealed
    let mask = Self.encrypt("AES-128-ECB", key: Array(keys[28..<44]), Array(protected[4..<20]))
    header[0] ^= mask[0] & 0x0F
    let masked = zip(numberBytes, mask[1...]).map { $0 ^ $1 }
    number &+= 1
    return header + masked + sealed
  }

  /// A Retry of version 1 with its tag, for a client whose first packet went to `original` (RFC 9001 section 5.8).
  public static func retry(
    to destination: [UInt8], from source: [UInt8], token: [UInt8], original: [UInt8]
  ) -> [UInt8] {
    let packet =
      [0xF0, 0, 0, 0, 1, UInt8(destination.count)] + destination + [UInt8(source.count)] + source + token
    let key: [UInt8] = [
      0xBE, 0x0C, 0x69, 0x0B, 0x9F, 0x66, 0x57, 0x5A, 0x1D, 0x76, 0x6B, 0x54, 0xE3, 0x68, 0xC8, 0x4E,
    ]
    let nonce: [UInt8] = [0x46, 0x15, 0x99, 0xD3, 0x5D, 0x63, 0x2B, 0xF2, 0x23, 0x98, 0x25, 0xBB]
    return packet
      + encrypt(
        "AES-128-GCM", key: key, nonce: nonce, header: [UInt8(original.count)] + original + packet, [])
  }

  /// A CRYPTO frame.
  public static func crypto(_ bytes: [UInt8], at offset: Int) -> [UInt8] {
    [6] + variable(offset) + variable(bytes.count) + bytes
  }

  /// A number below 2^30 in as few bytes as it takes.
  public static func variable(_ number: Int) -> [UInt8] {
    let bytes = bytes(UInt32(number))
    if number < 1 << 6 { return [bytes[3]] }
    return number < 1 << 14 ? [bytes[2] | 0x40, bytes[3]] : [bytes[0] | 0x80] + bytes[1...]
  }

  private static func bytes(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
  }

  private func derivedKeys() -> [UInt8] {
    var keys = [UInt8](repeating: 0, count: QUIC.InitialKeys.size)
    keyed.withUnsafeBytes { id in
      keys.withUnsafeMutableBytes { keys in
        QUIC.InitialKeys.derive(
          sender == .client ? .client : .server, Bytes(id), version: version,
          into: MutableBytes(keys.baseAddress!, count: keys.count))
      }
    }
    return keys
  }

  /// What libcrypto makes of `plain`, with the tag behind it where there is a nonce.
  private static func encrypt(
    _ name: String, key: [UInt8], nonce: [UInt8]? = nil, header: [UInt8] = [], _ plain: [UInt8]
  ) -> [UInt8] {
    let cipher = EVP_CIPHER_fetch(nil, name, nil)
    let context = EVP_CIPHER_CTX_new()
    defer {
      EVP_CIPHER_CTX_free(context)
      EVP_CIPHER_free(cipher)
    }
    var sealed = [UInt8](repeating: 0, count: plain.count + (nonce == nil ? 0 : 16))
    var written: Int32 = 0
    var isGood = EVP_CipherInit_ex(context, cipher, nil, key, nonce, 1) == 1
    if nonce != nil {
      isGood = isGood && EVP_CipherUpdate(context, nil, &written, header, Int32(header.count)) == 1
    }
    isGood = isGood && EVP_CipherUpdate(context, &sealed, &written, plain, Int32(plain.count)) == 1
    if nonce != nil {
      var tag = [UInt8](repeating: 0, count: 16)
      isGood = isGood && EVP_CipherFinal_ex(context, &tag, &written) == 1
      isGood = isGood && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, &tag) == 1
      sealed.replaceSubrange(plain.count..., with: tag)
    }
    precondition(isGood, "libcrypto does not encrypt")
    return sealed
  }
}
