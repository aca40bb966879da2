// OpenSSL's reasons in one line, with what to do where that is known.
import CTLS

/// What OpenSSL says of a failure.
enum TLSReason {
  /// The oldest error of this thread, which began the trouble: its library and reason; forgets them all.
  static func take() -> (library: Int32, number: Int32, text: String) {
    let code = ERR_peek_error()
    defer { ERR_clear_error() }
    let text = ERR_reason_error_string(code).map { String(cString: $0) }
    return (
      ERR_GET_LIB(code), ERR_GET_REASON(code),
      text ?? (code == 0 ? "no reason given" : "OpenSSL error \(code)")
    )
  }

  /// Why a handshake or a connection failed; forgets the errors of this thread.
  ///
  /// - Parameters:
  ///   - verification: what became of the collector's certificate (X509_V_…).
  ///   - hasCertificate: whether Martlet has one of its own.
  static func connection(verification: Int, hasCertificate: Bool) -> String {
    let (library, number, text) = take()
    guard library == ERR_LIB_SSL else { return "TLS: \(text)" }
    if number == SSL_R_CERTIFICATE_VERIFY_FAILED { return certificate(verification) }
    if number >= SSL_AD_REASON_OFFSET, number < SSL_AD_REASON_OFFSET + 256 {
      return alert(number &- SSL_AD_REASON_OFFSET, hasCertificate: hasCertificate)
    }
    if number == SSL_R_WRONG_VERSION_NUMBER { return "TLS: \(text); it may not speak TLS at this port" }
    return "TLS: \(text)"
  }

  /// What is wrong with the collector's certificate.
  private static func certificate(_ verification: Int) -> String {
    let code = Int32(truncatingIfNeeded: verification)
    let words: UnsafePointer<CChar>? = X509_verify_cert_error_string(Int(code))
    let text = words.map { String(cString: $0) } ?? "error \(code)"
    let hint =
      switch code {
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        "; ca=FILE names whom to trust"
      case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: "; use a name that is in it"
      case X509_V_ERR_CERT_NOT_YET_VALID: "; is this machine's clock right?"
      default: ""
      }
    return "the collector's certificate is refused: \(text)\(hint)"
  }

  /// What the collector's alert says (RFC 8446 section 6).
  private static func alert(_ number: Int32, hasCertificate: Bool) -> String {
    let words: UnsafePointer<CChar>? = SSL_alert_desc_string_long(number)
    var text = words.map { String(cString: $0) } ?? "unknown"
    if number == 116 { text = "certificate required" }
    if text == "unknown" { text = "alert \(number)" }
    let isAboutCertificate = (41...46).contains(number) || number == 48 || number == 116
    let hint = number == 40 || number == 116 ? "; it may want certificate=FILE" : ""
    if isAboutCertificate, hasCertificate { return "the collector refuses Martlet's certificate: \(text)" }
    return "the collector refuses the connection: \(text)\(hasCertificate ? "" : hint)"
  }
}
