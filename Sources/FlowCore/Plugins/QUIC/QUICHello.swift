// What is kept of a client's hello until it is exported: one block of the slab.
import Wire

/// The fields of fixed length, which lie at the block's start; the names follow them.
struct QUICHello: BitwiseCopyable {
  typealias Name = HelloSummary.Name

  /// How many extensions are listed.
  private static let listed = 30
  /// The longest server name; a longer one is no host name (RFC 1035) and is left out.
  private static let longestServerName = 253
  /// The most bytes of offered protocols, of a user agent, and of extensions.
  private static let longestOffer = 255
  private static let longestUserAgent = 255
  private static let longestExtensions = 1499

  private(set) var extensionCount: UInt8 = 0
  private(set) var hasFingerprint = false
  private(set) var hasEncryptedHello = false
  private(set) var serverName = Name()
  private(set) var offeredProtocols = Name()
  private(set) var userAgent = Name()
  /// The contents of the extensions that QUIC's hellos have: ALPN and transport parameters.
  private(set) var extensions = Name()
  private(set) var ja4 = TLS.JA4.Fingerprint(repeating: 0)
  private(set) var extensionTypes = InlineArray<30, UInt16>(repeating: 0)
  private(set) var extensionLengths = InlineArray<30, UInt16>(repeating: 0)

  private static var headSize: Int { MemoryLayout<QUICHello>.size }

  /// Stores what a hello says; false where the slab has no block for it.
  static func store(
    _ hello: TLS.ClientHello, in stored: inout StoredBytes, _ worker: QUICWorker, _ blocks: inout FlowBlocks
  ) -> Bool {
    var summary = QUICHello()
    var names = worker.names
    summary.fill(hello, &names)
    if hello.isFingerprinted {
      summary.hasFingerprint = true
      summary.ja4 = TLS.JA4.fingerprint(hello, transport: .quic, worker.fingerprints)
    } else {
      blocks.noteFingerprintLeftOut()
    }
    guard let block = blocks.take(headSize &+ names.count) else { return false }
    let contents = blocks.contents(block)
    contents.store(summary, at: 0)
    contents.copy(names.bytes, to: headSize)
    stored = StoredBytes(block, length: headSize &+ names.count)
    return true
  }

  private mutating func fill(_ hello: TLS.ClientHello, _ names: inout ScratchText) {
    hasEncryptedHello = hello.hasEncryptedHello
    if hello.serverName.count <= QUICHello.longestServerName { names.append(hello.serverName) }
    serverName = QUICHello.name(from: 0, names)
    var start = names.count
    QUICHello.append(offer: hello.protocols, to: &names)
    offeredProtocols = QUICHello.name(from: start, names)
    start = names.count
    var agent = hello.protocols.prefix(0)
    var reader = TLS.ExtensionReader(hello.extensions)
    while let (type, contents) = reader.next() {
      if Int(extensionCount) < QUICHello.listed {
        extensionTypes[total: Int(extensionCount)] = type
        extensionLengths[total: Int(extensionCount)] = UInt16(truncatingIfNeeded: contents.count)
        extensionCount &+= 1
      }
      let isParameters = QUIC.isTransportParameters(type)
      if isParameters, agent.isEmpty { agent = QUIC.userAgent(contents) }
      if isParameters || type == TLS.ExtensionType.protocols {
        names.append(contents.prefix(QUICHello.longestExtensions &- (names.count &- start)))
      }
    }
    extensions = QUICHello.name(from: start, names)
    start = names.count
    names.append(agent.prefix(QUICHello.longestUserAgent))
    userAgent = QUICHello.name(from: start, names)
  }

  private static func name(from start: Int, _ names: ScratchText) -> Name {
    Name(
      offset: UInt16(truncatingIfNeeded: headSize &+ start),
      length: UInt16(truncatingIfNeeded: names.count &- start))
  }

  /// The names of an ALPN list joined by commas, as many as fit whole.
  private static func append(offer list: Bytes, to names: inout ScratchText) {
    let start = names.count
    var cursor = Cursor(list)
    while let name = try? cursor.field8() {
      let separator = names.count > start ? 1 : 0
      guard names.count &- start &+ separator &+ name.count <= longestOffer else { return }
      if separator > 0 { names.append(UInt8(ascii: ",")) }
      names.append(name)
    }
  }
}
