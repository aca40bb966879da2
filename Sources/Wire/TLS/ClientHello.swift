// The ClientHello (RFC 8446 section 4.1.2, RFC 9147 section 5.3): where its parts lie, nothing is copied.

extension TLS {
  /// The parts of a ClientHello, as views of the message.
  package struct ClientHello: BitwiseCopyable {
    /// The version field, 0x0303 in all that speak TLS 1.3 too.
    package let legacyVersion: UInt16
    package let cipherSuites: NumberList
    /// All extensions, type, length and contents.
    package let extensions: Bytes
    /// Whether there is a server_name extension, whatever is in it.
    package private(set) var hasServerName = false
    /// Whether the client offers an encrypted ClientHello, or pretends to (GREASE ECH looks the same).
    package private(set) var hasEncryptedHello = false
    /// The first host name, or empty.
    package private(set) var serverName: Bytes
    /// The names of the ALPN extension, each with its length in the byte before it.
    package private(set) var protocols: Bytes
    package private(set) var groups: NumberList
    package private(set) var pointFormats: Bytes
    package private(set) var signatureAlgorithms: NumberList
    package private(set) var supportedVersions: NumberList

    /// Reads the body of the message, without the handshake header:
    ///
    ///     version 2 | random 32 | n 1, session id n | DTLS: n 1, cookie n | n 2, cipher suites n | n 1, compressions n
    ///     | n 2, extensions n (may be missing as a whole)
    ///
    /// Throws where one of these lengths leads past the end. Extensions, and what they hold, are read as far as they make
    /// sense, as tshark does.
    package init(_ body: Bytes, transport: Transport) throws(Truncated) {
      var cursor = Cursor(body)
      legacyVersion = try cursor.unsigned16()
      try cursor.skip(32)
      _ = try cursor.field8()
      if transport == .datagram { _ = try cursor.field8() }
      cipherSuites = NumberList(bytes: try cursor.field16())
      _ = try cursor.field8()
      let nothing = body.prefix(0)
      extensions = cursor.remaining == 0 ? nothing : try cursor.field16()
      serverName = nothing
      protocols = nothing
      groups = NumberList(bytes: nothing)
      pointFormats = nothing
      signatureAlgorithms = NumberList(bytes: nothing)
      supportedVersions = NumberList(bytes: nothing)
      readExtensions()
    }

    private mutating func readExtensions() {
      var reader = ExtensionReader(extensions)
      while let (type, contents) = reader.next() {
        // What was there already stays: a repeated extension is an error that servers refuse.
        switch type {
        case ExtensionType.serverName:
          if !hasServerName { serverName = ClientHello.hostName(contents) }
          hasServerName = true
        case ExtensionType.supportedGroups: ClientHello.read16(contents, &groups)
        case ExtensionType.signatureAlgorithms: ClientHello.read16(contents, &signatureAlgorithms)
        case ExtensionType.pointFormats:
          var list = Cursor(contents)
          if pointFormats.isEmpty, let formats = try? list.field8() { pointFormats = formats }
        case ExtensionType.protocols:
          var list = Cursor(contents)
          if protocols.isEmpty, let names = try? list.field16() { protocols = names }
        case ExtensionType.supportedVersions:
          var list = Cursor(contents)
          if supportedVersions.count == 0, let versions = try? list.field8() {
            supportedVersions = NumberList(bytes: versions)
          }
        case ExtensionType.encryptedClientHello: hasEncryptedHello = true
        default: break
        }
      }
    }

    /// The first name of a server_name extension: `| n 2, list: | type 1 (0 is a host) | n 2, name n | …`.
    private static func hostName(_ contents: Bytes) -> Bytes {
      var cursor = Cursor(contents)
      guard let list = try? cursor.field16() else { return contents.prefix(0) }
      var names = Cursor(list)
      guard let type = try? names.unsigned8(), type == 0, let name = try? names.field16() else {
        return contents.prefix(0)
      }
      return name
    }

    private static func read16(_ contents: Bytes, _ numbers: inout NumberList) {
      var cursor = Cursor(contents)
      if numbers.count == 0, let list = try? cursor.field16() { numbers = NumberList(bytes: list) }
    }

    /// The newest version offered.
    package var version: UInt16 {
      var newest: UInt16 = 0
      var index = 0
      while index < supportedVersions.count {
        let version = supportedVersions[index]
        index &+= 1
        if !isGrease(version) { newest = newest == 0 ? version : Version.newer(newest, version) }
      }
      return newest == 0 ? legacyVersion : newest
    }

    /// The first protocol offered by ALPN, or empty.
    package var firstProtocol: Bytes {
      var cursor = Cursor(protocols)
      return (try? cursor.field8()) ?? protocols.prefix(0)
    }
  }
}
