// What is kept of a flow's hellos until it is exported: one block of the slab, 512 bytes for nearly every flow.
import Wire

/// The fields of fixed length, which lie at the block's start; the names follow them.
struct HelloSummary: BitwiseCopyable {
  /// Where a name lies in the block.
  struct Name: BitwiseCopyable {
    var offset: UInt16 = 0
    var length: UInt16 = 0

    /// The name; empty in no block.
    func bytes(in contents: MutableBytes) -> Bytes {
      contents.dropFirst(Int(offset)).prefix(Int(length))
    }
  }

  /// How many extensions are listed.
  static let listed = 30
  /// The longest server name; a longer one is no host name (RFC 1035) and is left out.
  static let longestServerName = 253
  /// The most bytes of offered protocols; further ones are left out.
  static let longestOffer = 255

  var hasClientHello = false
  var hasServerHello = false
  var hasEncryptedHello = false
  /// Whether the hello was short enough for its fingerprint.
  var hasClientFingerprint = false
  var hasServerFingerprint = false
  var extensionCount: UInt8 = 0
  var serverExtensionCount: UInt8 = 0
  /// From the ServerHello, or before it the ClientHello's legacy version.
  var serverVersion: UInt16 = 0
  var clientVersion: UInt16 = 0
  var cipherSuite: UInt16 = 0
  var serverName = Name()
  var offeredProtocols = Name()
  var chosenProtocol = Name()
  /// The offset of the first free byte behind the names.
  var end = UInt16(HelloSummary.headSize)
  var ja3 = TLS.JA3.Fingerprint(repeating: 0)
  var ja3s = TLS.JA3.Fingerprint(repeating: 0)
  var ja4 = TLS.JA4.Fingerprint(repeating: 0)
  var extensionTypes = InlineArray<30, UInt16>(repeating: 0)
  var extensionLengths = InlineArray<30, UInt16>(repeating: 0)
  var serverExtensionTypes = InlineArray<30, UInt16>(repeating: 0)

  static var headSize: Int { MemoryLayout<HelloSummary>.size }
  /// The most that a summary with its names takes.
  static var largest: Int { headSize + longestServerName + longestOffer + 255 }

  // MARK: Filling

  /// Takes the ClientHello in; one seen before is forgotten.
  mutating func note(
    _ hello: TLS.ClientHello, transport: TLS.Transport, _ memory: TLS.FingerprintMemory,
    _ stored: inout StoredBytes, _ blocks: inout FlowBlocks
  ) -> Bool {
    let name = hello.serverName.count <= HelloSummary.longestServerName ? hello.serverName.count : 0
    // The chosen protocol is there only if the ServerHello was seen first: then the names go behind it.
    if !hasServerHello { end = UInt16(HelloSummary.headSize) }
    guard
      reserve(name &+ min(hello.protocols.count, HelloSummary.longestOffer), &stored, &blocks)
    else { return false }
    serverName = append(hello.serverName.prefix(name), to: blocks.contents(stored.block))
    offeredProtocols = appendOffer(hello.protocols, to: blocks.contents(stored.block))
    hasClientHello = true
    hasEncryptedHello = hello.hasEncryptedHello
    clientVersion = hello.version
    if !hasServerHello { serverVersion = hello.legacyVersion }
    hasClientFingerprint = hello.isFingerprinted
    if hasClientFingerprint {
      ja3 = TLS.JA3.fingerprint(hello, memory)
      ja4 = TLS.JA4.fingerprint(hello, transport: transport, memory)
    } else {
      ja4 = TLS.JA4.Fingerprint(repeating: 0)
      blocks.noteFingerprintLeftOut()
    }
    extensionCount = 0
    var reader = TLS.ExtensionReader(hello.extensions)
    while Int(extensionCount) < HelloSummary.listed, let (type, contents) = reader.next() {
      extensionTypes[total: Int(extensionCount)] = type
      extensionLengths[total: Int(extensionCount)] = UInt16(truncatingIfNeeded: contents.count)
      extensionCount &+= 1
    }
    return true
  }

  /// Takes the ServerHello in.
  mutating func note(
    _ hello: TLS.ServerHello, _ memory: TLS.FingerprintMemory, _ stored: inout StoredBytes,
    _ blocks: inout FlowBlocks
  ) -> Bool {
    // Without a ClientHello there are no names yet, or only those of a ServerHello that this one replaces.
    if !hasClientHello { end = UInt16(HelloSummary.headSize) }
    guard reserve(hello.chosenProtocol.count, &stored, &blocks) else { return false }
    chosenProtocol = append(hello.chosenProtocol, to: blocks.contents(stored.block))
    hasServerHello = true
    serverVersion = hello.version
    cipherSuite = hello.cipherSuite
    hasServerFingerprint = TLS.FingerprintLimit.allows(
      hello.extensions, others: TLS.FingerprintLimit.cipherSuite)
    if hasServerFingerprint {
      ja3s = TLS.JA3.fingerprint(hello, memory)
    } else {
      blocks.noteFingerprintLeftOut()
    }
    serverExtensionCount = 0
    var reader = TLS.ExtensionReader(hello.extensions)
    while Int(serverExtensionCount) < HelloSummary.listed, let (type, _) = reader.next() {
      serverExtensionTypes[total: Int(serverExtensionCount)] = type
      serverExtensionCount &+= 1
    }
    return true
  }

  /// Sees to it that `length` more bytes of names fit; moves to a block for the largest summary if they do not, so that a
  /// flow never takes more than two.
  private func reserve(_ length: Int, _ stored: inout StoredBytes, _ blocks: inout FlowBlocks) -> Bool {
    let old = blocks.contents(stored.block)
    let isEmpty = stored.block.isNone
    guard isEmpty || Int(end) &+ length > old.count else { return true }
    guard let new = blocks.take(isEmpty ? Int(end) &+ length : HelloSummary.largest) else { return false }
    if !isEmpty { blocks.contents(new).copy(old.prefix(Int(end)), to: 0) }
    stored.block = new
    return true
  }

  private mutating func append(_ bytes: Bytes, to contents: MutableBytes) -> Name {
    let name = Name(offset: end, length: UInt16(truncatingIfNeeded: bytes.count))
    contents.copy(bytes, to: Int(end))
    end &+= name.length
    return name
  }

  /// The names of an ALPN list joined by commas, as many as fit whole.
  private mutating func appendOffer(_ list: Bytes, to contents: MutableBytes) -> Name {
    let start = end
    var cursor = Cursor(list)
    while let name = try? cursor.field8() {
      let separator = end > start ? 1 : 0
      guard Int(end &- start) &+ separator &+ name.count <= HelloSummary.longestOffer else { break }
      if separator > 0 {
        contents.store(UInt8(0x2C), at: Int(end))
        end &+= 1
      }
      _ = append(name, to: contents)
    }
    return Name(offset: start, length: end &- start)
  }
}
