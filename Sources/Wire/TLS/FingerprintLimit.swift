// How much of a hello is hashed: a hello made to cost time must cost no more than a bound, which ordinary ones stay within.

extension TLS {
  /// The cap on what JA3, JA3S and JA4 are made of. Beyond it the fingerprint is left out and counted.
  ///
  /// What a number costs depends on where it stands: a cipher suite is written and hashed for JA3, sorted, written and hashed
  /// again for JA4; an extension is looked for besides; a group is only in JA3, a signature algorithm only in JA4. A unit is
  /// about 22 cycles.
  package enum FingerprintLimit {
    /// The most that a hello may cost: 117 cipher suites and nothing else, or 93 extensions. Browsers' hellos take 200 units,
    /// those of OpenSSL 1.0.1 with its 80 cipher suites 420, of 1.0.2 with 91 some 450.
    package static let units = 468
    /// Units for each number, GREASE included.
    package static let cipherSuite = 4
    package static let extensionType = 5
    package static let group = 2
    package static let pointFormat = 2
    package static let signatureAlgorithm = 1

    /// Whether extensions and `others`, the units of all other numbers, are within the limit.
    package static func allows(_ extensions: Bytes, others: Int) -> Bool {
      var sum = others
      guard sum <= units else { return false }
      var reader = ExtensionReader(extensions)
      while sum <= units, reader.next() != nil { sum &+= extensionType }
      return sum <= units
    }
  }
}

extension TLS.ClientHello {
  /// Whether the hello is short enough for its fingerprints.
  package var isFingerprinted: Bool {
    TLS.FingerprintLimit.allows(
      extensions,
      others: cipherSuites.count &* TLS.FingerprintLimit.cipherSuite &+ groups.count
        &* TLS.FingerprintLimit.group
        &+ pointFormats.count &* TLS.FingerprintLimit.pointFormat
        &+ signatureAlgorithms.count &* TLS.FingerprintLimit.signatureAlgorithm)
  }
}
