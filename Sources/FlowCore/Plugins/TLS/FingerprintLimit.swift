// How much of a hello is hashed: a hello made to cost time must cost no more than the longest that clients really send.
import Wire

/// The cap on what JA3, JA3S and JA4 are made of. Beyond it the fingerprint is left out and counted.
enum FingerprintLimit {
  /// The most numbers in a hello, GREASE included: cipher suites, extensions, groups, point formats and signature
  /// algorithms. TLS knows some 350 suites, and the longest hello of the public captures offers 350 and has 358 numbers.
  static let numbers = 384

  /// Whether `numbers` numbers, and one for each of the extensions, are within the limit.
  static func allows(_ extensions: Bytes, numbers: Int) -> Bool {
    var count = numbers
    guard count <= FingerprintLimit.numbers else { return false }
    var reader = ExtensionReader(extensions)
    while count <= FingerprintLimit.numbers, reader.next() != nil { count &+= 1 }
    return count <= FingerprintLimit.numbers
  }
}

extension ClientHello {
  /// Whether the hello is short enough for its fingerprints.
  var isFingerprinted: Bool {
    FingerprintLimit.allows(
      extensions,
      numbers: cipherSuites.count &+ groups.count &+ pointFormats.count &+ signatureAlgorithms.count)
  }
}
