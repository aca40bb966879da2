// The fields of the tls plugin: ipfixprobe's first, then Martlet's own (docs/elements.md).
import IPFIX
import Wire

extension TLSPlugin {
  static let serverVersion = InformationElement(
    .flowmon, 333, "tlsServerVersion", .unsigned16, semantics: .identifier)
  static let serverName = InformationElement(.cesnet, 808, "TLSSNI", .string)
  static let chosenProtocol = InformationElement(.flowmon, 337, "tlsAlpn", .string)
  static let ja3 = InformationElement(.flowmon, 357, "tlsJa3Fingerprint", .octetArray)
  static let ja4 = InformationElement(.cesnet, 809, "tlsJa4", .string)
  static let extensionType = InformationElement(
    .cesnet, 802, "tlsExtTypeField", .unsigned16, semantics: .identifier)
  static let extensionLength = InformationElement(
    .cesnet, 803, "tlsExtLenField", .unsigned16, semantics: .quantity, units: .octets)
  static let offeredProtocols = InformationElement(.martlet, 10, "tlsClientAlpn", .string)
  static let cipherSuite = InformationElement(
    .martlet, 11, "tlsCipherSuite", .unsigned16, semantics: .identifier)
  static let clientVersion = InformationElement(
    .martlet, 12, "tlsClientVersion", .unsigned16, semantics: .identifier)
  static let ja3s = InformationElement(.martlet, 13, "tlsJa3sFingerprint", .octetArray)
  // Martlet's number 14 is reserved (docs/elements.md).
  static let encryptedHello = InformationElement(
    .martlet, 15, "tlsEncryptedClientHello", .unsigned8, semantics: .flags)
  static let serverExtensionType = InformationElement(
    .martlet, 16, "tlsServerExtType", .unsigned16, semantics: .identifier)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let contents = flow.slab.contents(state.summary.block)
    let summary = state.summary.isEmpty ? HelloSummary() : contents.load(HelloSummary.self, at: 0)
    writer.unsigned16(Self.serverVersion, summary.serverVersion)
    writer.string(Self.serverName, summary.serverName.bytes(in: contents).span)
    writer.string(Self.chosenProtocol, summary.chosenProtocol.bytes(in: contents).span)
    writer.octets(Self.ja3, summary.ja3.span.bytes.extracting(first: summary.hasClientFingerprint ? 16 : 0))
    writer.string(
      Self.ja4, summary.ja4.span.bytes.extracting(first: summary.hasClientFingerprint ? summary.ja4.count : 0)
    )
    writer.list(Self.extensionType, count: Int(summary.extensionCount)) { summary.extensionTypes[total: $0] }
    writer.list(Self.extensionLength, count: Int(summary.extensionCount)) {
      summary.extensionLengths[total: $0]
    }
    writer.string(Self.offeredProtocols, summary.offeredProtocols.bytes(in: contents).span)
    writer.unsigned16(Self.cipherSuite, summary.cipherSuite)
    writer.unsigned16(Self.clientVersion, summary.clientVersion)
    writer.octets(Self.ja3s, summary.ja3s.span.bytes.extracting(first: summary.hasServerFingerprint ? 16 : 0))
    writer.unsigned8(Self.encryptedHello, summary.hasEncryptedHello ? 1 : 0)
    writer.list(Self.serverExtensionType, count: Int(summary.serverExtensionCount)) {
      summary.serverExtensionTypes[total: $0]
    }
    guard readsCertificates else { return }
    let hasReader = state.certificate.rawValue != CertificatePhase.none.rawValue
    let certificate = hasReader ? flow.trailing.load(CertificateReader.self, at: 0).summary : StoredBytes()
    exportCertificate(certificate, flow, into: &writer)
  }
}
