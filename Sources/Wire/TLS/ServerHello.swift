// The ServerHello (RFC 8446 section 4.1.3): where its parts lie, nothing is copied.

extension TLS {
  /// The parts of a ServerHello, as views of the message. A HelloRetryRequest is one too: version and cipher suite in it are
  /// those that the connection gets.
  package struct ServerHello: BitwiseCopyable {
    package let legacyVersion: UInt16
    package let cipherSuite: UInt16
    /// All extensions, type, length and contents.
    package let extensions: Bytes
    /// The value of supported_versions, else `legacyVersion`.
    package private(set) var version: UInt16
    /// The protocol of the ALPN extension, or empty; TLS 1.3 sends it encrypted.
    package private(set) var chosenProtocol: Bytes

    /// Reads the body of the message, without the handshake header:
    ///
    ///     version 2 | random 32 | n 1, session id n | cipher suite 2 | compression 1
    ///     | n 2, extensions n (may be missing as a whole)
    ///
    /// Drafts of TLS 1.3 up to the 21st (version 0x7F00 …) had neither session id nor compression.
    package init(_ body: Bytes) throws(Truncated) {
      var cursor = Cursor(body)
      legacyVersion = try cursor.unsigned16()
      try cursor.skip(32)
      let isEarlyDraft = (0x7F00...0x7F15).contains(legacyVersion)
      if !isEarlyDraft { _ = try cursor.field8() }
      cipherSuite = try cursor.unsigned16()
      if !isEarlyDraft { try cursor.skip(1) }
      extensions = cursor.remaining == 0 ? body.prefix(0) : try cursor.field16()
      version = legacyVersion
      chosenProtocol = body.prefix(0)
      var reader = ExtensionReader(extensions)
      while let (type, contents) = reader.next() {
        if type == ExtensionType.supportedVersions, contents.count == 2 {
          version = contents.load(UInt16.self, at: 0)
        } else if type == ExtensionType.protocols, chosenProtocol.isEmpty {
          var fields = Cursor(contents)
          if let names = try? fields.field16() {
            var names = Cursor(names)
            if let name = try? names.field8() { chosenProtocol = name }
          }
        }
      }
    }
  }
}
