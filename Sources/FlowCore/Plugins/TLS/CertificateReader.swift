// The server's certificate: put together from the stream, read once, and its facts kept until the flow is exported.
import Wire

/// What the option `certificates` of tls keeps of a flow, behind its state.
struct CertificateReader: BitwiseCopyable {
  /// The longest certificate that is read: what a slab block of 8 KiB holds.
  static let longestLeaf = 8184
  /// How far the stream may be from the ServerHello: in packets, so that a reader never waits for ever.
  private static let mostPackets: UInt8 = 128

  private var walk = TLS.CertificateWalk()
  /// The leaf, as far as it came.
  private var leaf = StoredBytes()
  /// A `CertificateSummary` and the texts in it.
  private(set) var summary = StoredBytes()
  private var leafLength: UInt16 = 0
  private var packets: UInt8 = 0

  /// Takes the bytes of the server's stream that are new. False where no more are wanted.
  mutating func take(_ stream: Bytes, _ blocks: inout FlowBlocks) -> Bool {
    packets &+= 1
    var bytes = stream
    while true {
      switch walk.next(&bytes) {
      case .incomplete: return packets < CertificateReader.mostPackets
      case .leaf(let length):
        // The chain behind a longer one is not of interest either.
        guard length <= CertificateReader.longestLeaf else { return false }
        // Memory is taken for what arrives, not for what is announced.
        leafLength = UInt16(truncatingIfNeeded: length)
      case .piece(let piece, let isLast):
        guard blocks.append(piece, to: &leaf, limit: Int(leafLength)) else { return false }
        guard isLast else { continue }
        note(&blocks)
        if walk.isComplete { return false }
      case .complete:
        noteChain(blocks)
        return false
      case .failed: return false
      }
    }
  }

  /// Reads the leaf.
  private mutating func note(_ blocks: inout FlowBlocks) {
    let bytes = blocks.contents(leaf.block).prefix(leaf.count)
    guard let certificate = X509Certificate(bytes) else { return }
    var head = CertificateSummary()
    head.fill(certificate, bytes)
    guard let block = blocks.take(CertificateSummary.largest) else { return }
    summary.block = block
    summary.length = head.append(certificate, to: blocks.contents(block))
  }

  /// The whole chain was counted.
  private func noteChain(_ blocks: FlowBlocks) {
    guard !summary.isEmpty else { return }
    let contents = blocks.contents(summary.block)
    var head = contents.load(CertificateSummary.self, at: 0)
    head.chainLength = walk.certificates
    contents.store(head, at: 0)
  }
}

/// What is exported of a certificate: numbers at the start of a block, texts behind them.
struct CertificateSummary: BitwiseCopyable {
  typealias Fingerprint = InlineArray<32, UInt8>

  /// The most bytes of a common name (RFC 5280: 64 characters) and of a serial number (20 bytes).
  private static let longestName = 160
  private static let longestSerial = 40
  /// The most that a summary with its texts takes.
  static var largest: Int { MemoryLayout<CertificateSummary>.size + 2 * longestName + longestSerial }

  var fingerprint = Fingerprint(repeating: 0)
  var notBefore: UInt64 = 0
  var notAfter: UInt64 = 0
  var keyBits: UInt16 = 0
  var keyType = X509Certificate.KeyType.other
  /// How many certificates there are; 1 where not all of them were seen.
  var chainLength: UInt8 = 1
  var isPresent = false
  private var subjectLength: UInt8 = 0
  private var issuerLength: UInt8 = 0
  private var serialLength: UInt8 = 0

  /// Takes the numbers in.
  mutating func fill(_ certificate: X509Certificate, _ bytes: Bytes) {
    isPresent = true
    (notBefore, notAfter) = (certificate.notBefore, certificate.notAfter)
    (keyType, keyBits) = (certificate.keyType, certificate.keyBits)
    var context = SHA256.begin()
    SHA256.add(bytes.buffer, to: &context)
    withUnsafeMutableBytes(of: &fingerprint) {
      // Safe: the array has the 32 bytes that the digest writes.
      guard let start = $0.bindMemory(to: UInt8.self).baseAddress else { return }
      SHA256.end(&context, into: start)
    }
  }

  /// Writes the summary and the certificate's texts; returns how long they are together.
  mutating func append(_ certificate: X509Certificate, to contents: MutableBytes) -> UInt16 {
    let start = MemoryLayout<CertificateSummary>.size
    var text = ScratchText(contents.dropFirst(start))
    subjectLength = text.append(certificate.subject, limit: Self.longestName)
    issuerLength = text.append(certificate.issuer, limit: Self.longestName)
    let serial = certificate.serialNumber.prefix(Self.longestSerial)
    text.append(serial)
    serialLength = UInt8(truncatingIfNeeded: serial.count)
    contents.store(self, at: 0)
    return UInt16(truncatingIfNeeded: start &+ text.count)
  }

  // MARK: Texts, in the block that begins with the summary

  func subject(in contents: Bytes) -> Bytes { text(contents, from: 0, subjectLength) }
  func issuer(in contents: Bytes) -> Bytes { text(contents, from: Int(subjectLength), issuerLength) }
  func serial(in contents: Bytes) -> Bytes {
    text(contents, from: Int(subjectLength) &+ Int(issuerLength), serialLength)
  }

  private func text(_ contents: Bytes, from offset: Int, _ length: UInt8) -> Bytes {
    contents.dropFirst(MemoryLayout<CertificateSummary>.size &+ offset).prefix(Int(length))
  }
}

extension ScratchText {
  /// Adds the characters of a name that fit whole in `limit` bytes; returns how many bytes they have.
  fileprivate mutating func append(_ name: DirectoryString, limit: Int) -> UInt8 {
    let before = count
    name.write(to: &self, limit: limit)
    return UInt8(truncatingIfNeeded: count &- before)
  }
}
