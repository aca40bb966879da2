// The lists of algorithms with which a side of SSH begins, and HASSH, the fingerprint that is made of them.

extension SSH {
  /// SSH_MSG_KEXINIT: names joined by commas, the preferred one first (RFC 4253 section 7.1).
  package struct KeyExchange {
    package let keyExchange: Bytes
    package let hostKey: Bytes
    private let encryptionToServer: Bytes
    private let encryptionToClient: Bytes
    private let authenticationToServer: Bytes
    private let authenticationToClient: Bytes
    private let compressionToServer: Bytes
    private let compressionToClient: Bytes

    /// Reads a message from its number on; nil where it ends too early.
    init?(_ message: Bytes) {
      var cursor = Cursor(message)
      do throws(Truncated) {
        // Number and cookie.
        try cursor.skip(17)
        keyExchange = try cursor.names()
        hostKey = try cursor.names()
        encryptionToServer = try cursor.names()
        encryptionToClient = try cursor.names()
        authenticationToServer = try cursor.names()
        authenticationToClient = try cursor.names()
        compressionToServer = try cursor.names()
        compressionToClient = try cursor.names()
      } catch {
        return nil
      }
    }

    /// What a side says of the direction in which it sends.
    package func encryption(ofClient: Bool) -> Bytes { ofClient ? encryptionToServer : encryptionToClient }
    package func authentication(ofClient: Bool) -> Bytes {
      ofClient ? authenticationToServer : authenticationToClient
    }
    package func compression(ofClient: Bool) -> Bytes { ofClient ? compressionToServer : compressionToClient }

    /// Whether a client sends such lists, where a name tells: those of extensions (RFC 8308 section 2.1) and of OpenSSH's strict
    /// key exchange have a letter for the side. Nil where none does.
    package var isClients: Bool? {
      let names = keyExchange.prefix(Self.longestFingerprinted)
      if let place = names.find("ext-info-") { return Self.isClients(names.dropFirst(place &+ 9)) }
      if let place = names.find("kex-strict-") { return Self.isClients(names.dropFirst(place &+ 11)) }
      return nil
    }

    private static func isClients(_ letter: Bytes) -> Bool? {
      guard !letter.isEmpty else { return nil }
      switch letter[0] {
      case UInt8(ascii: "c"): return true
      case UInt8(ascii: "s"): return false
      default: return nil
      }
    }

    // MARK: Text

    /// The most bytes of each list in `writeAlgorithms`; names that do not fit whole are left out.
    private static var limits: (keyExchange: Int, encryption: Int, authentication: Int, compression: Int) {
      (192, 96, 96, 48)
    }
    /// The most bytes that `writeAlgorithms` writes.
    package static var longestAlgorithms: Int { 192 + 96 + 96 + 48 + 3 }
    /// The most bytes of `shortHostKey`.
    package static var longestHostKey: Int { 128 }

    /// Writes the algorithms for key exchange, encryption, authentication and compression, joined by semicolons.
    package func writeAlgorithms(ofClient: Bool, to text: inout ScratchText) {
      let limits = Self.limits
      text.append(keyExchange.wholeNames(limits.keyExchange))
      text.append(semicolon)
      text.append(encryption(ofClient: ofClient).wholeNames(limits.encryption))
      text.append(semicolon)
      text.append(authentication(ofClient: ofClient).wholeNames(limits.authentication))
      text.append(semicolon)
      text.append(compression(ofClient: ofClient).wholeNames(limits.compression))
    }

    /// The first host key algorithms.
    package var shortHostKey: Bytes { hostKey.wholeNames(Self.longestHostKey) }

    // MARK: Fingerprint

    package typealias Fingerprint = InlineArray<16, UInt8>

    /// The most bytes that are hashed; those of real implementations have some 1000.
    private static var longestFingerprinted: Int { 4096 }

    /// HASSH of a client, HASSHServer of a server (Salesforce, 2018): the MD5 of the four lists joined by semicolons. Nil where
    /// that would take long.
    package func fingerprint(ofClient: Bool) -> Fingerprint? {
      let (encryption, authentication) = (encryption(ofClient: ofClient), authentication(ofClient: ofClient))
      let compression = compression(ofClient: ofClient)
      guard
        keyExchange.count &+ encryption.count &+ authentication.count &+ compression.count
          <= Self.longestFingerprinted
      else { return nil }
      var context = MD5.begin()
      let separator = Bytes(";")
      MD5.add(keyExchange.buffer, to: &context)
      MD5.add(separator.buffer, to: &context)
      MD5.add(encryption.buffer, to: &context)
      MD5.add(separator.buffer, to: &context)
      MD5.add(authentication.buffer, to: &context)
      MD5.add(separator.buffer, to: &context)
      MD5.add(compression.buffer, to: &context)
      var digest = MD5.empty
      withUnsafeMutableBytes(of: &digest) {
        // Safe: a digest has the 16 bytes that are written.
        guard let start = $0.bindMemory(to: UInt8.self).baseAddress else { return }
        MD5.end(&context, into: start)
      }
      return digest
    }
  }
}

private let semicolon: UInt8 = 0x3B

extension Cursor {
  /// A list of names behind its length (RFC 4251 section 5).
  fileprivate mutating func names() throws(Truncated) -> Bytes { try take(Int(try unsigned32())) }
}

extension Bytes {
  /// The first names of a list that is joined by commas: those that fit whole in `limit` bytes.
  /// - Complexity: O(`limit`)
  fileprivate func wholeNames(_ limit: Int) -> Bytes {
    guard count > limit else { return self }
    var end = limit
    while end > 0, self[end] != 0x2C { end &-= 1 }
    return prefix(end)
  }
}
