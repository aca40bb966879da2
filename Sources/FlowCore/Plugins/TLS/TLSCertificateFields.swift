// The fields that the option `certificates` of tls adds (docs/elements.md).
import IPFIX
import Wire

extension TLSPlugin {
  static let certificateSubject = InformationElement(.martlet, 170, "tlsCertificateSubject", .string)
  static let certificateIssuer = InformationElement(.martlet, 171, "tlsCertificateIssuer", .string)
  static let certificateSerial = InformationElement(.martlet, 172, "tlsCertificateSerialNumber", .octetArray)
  static let certificateNotBefore = InformationElement(
    .martlet, 173, "tlsCertificateNotBefore", .dateTimeMilliseconds)
  static let certificateNotAfter = InformationElement(
    .martlet, 174, "tlsCertificateNotAfter", .dateTimeMilliseconds)
  static let certificateFingerprint = InformationElement(.martlet, 175, "tlsCertificateSha256", .octetArray)
  static let certificateKeyType = InformationElement(.martlet, 176, "tlsCertificateKeyType", .string)
  static let certificateKeyBits = InformationElement(
    .martlet, 177, "tlsCertificateKeyBits", .unsigned16, semantics: .quantity)
  static let certificateChainLength = InformationElement(
    .martlet, 178, "tlsCertificateChainLength", .unsigned8, semantics: .quantity)

  /// What IPFIX's times can be at most, in the year 2554, is what later ones become.
  private static func nanoseconds(_ seconds: UInt64) -> UInt64 {
    let (product, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return isOver ? .max : product
  }

  func exportCertificate<Writer: FieldWriter & ~Copyable>(
    _ stored: StoredBytes, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let contents = flow.bytes(stored)
    let summary =
      stored.isEmpty
      ? CertificateSummary() : flow.slab.contents(stored.block).load(CertificateSummary.self, at: 0)
    writer.string(Self.certificateSubject, summary.subject(in: contents).span)
    writer.string(Self.certificateIssuer, summary.issuer(in: contents).span)
    writer.octets(Self.certificateSerial, summary.serial(in: contents).span)
    writer.time(Self.certificateNotBefore, nanoseconds: Self.nanoseconds(summary.notBefore))
    writer.time(Self.certificateNotAfter, nanoseconds: Self.nanoseconds(summary.notAfter))
    writer.octets(
      Self.certificateFingerprint,
      summary.fingerprint.span.bytes.extracting(first: summary.isPresent ? 32 : 0))
    writer.string(Self.certificateKeyType, summary.keyType.name.span)
    writer.unsigned16(Self.certificateKeyBits, summary.keyBits)
    writer.unsigned8(Self.certificateChainLength, summary.isPresent ? summary.chainLength : 0)
  }
}
