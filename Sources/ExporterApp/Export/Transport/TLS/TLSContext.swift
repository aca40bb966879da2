// Certificates, keys and authorities, read and checked before a connection needs them.
import CTLS
import Glibc

/// What all TLS connections of an output have in common. It does not change.
final class TLSContext {
  /// OpenSSL's `SSL_CTX`.
  let pointer: OpaquePointer
  /// Whether Martlet has a certificate of its own.
  let hasCertificate: Bool

  /// Reads the files.
  ///
  /// - Throws: `ExportError.credentials` for a file that cannot be read or means nothing, a certificate whose time is not now,
  ///   a key that is not the certificate's.
  init(_ settings: TLSSettings) throws(ExportError) {
    guard let pointer = SSL_CTX_new(TLS_client_method()) else {
      throw .credentials("OpenSSL cannot be used: \(TLSReason.take().text)")
    }
    self.pointer = pointer
    hasCertificate = settings.certificate != nil
    // RFC 9325 section 3.1.1.
    SSL_CTX_ctrl(pointer, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    SSL_CTX_ctrl(pointer, SSL_CTRL_MODE, Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
    SSL_CTX_set_options(pointer, martlet_tls_no_renegotiation)
    // Nobody is there to be asked for a passphrase.
    SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
    SSL_CTX_set_verify(pointer, settings.verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
    try trust(settings.authorities)
    if let certificate = settings.certificate {
      try present(certificate, key: settings.key ?? certificate)
    }
  }

  deinit { SSL_CTX_free(pointer) }

  /// Reads whom to trust; nil is whom the system trusts.
  private func trust(_ path: String?) throws(ExportError) {
    ERR_clear_error()
    guard let path else {
      SSL_CTX_set_default_verify_paths(pointer)
      return
    }
    // Whoever is named is trusted, not only a root.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(pointer), UInt(X509_V_FLAG_PARTIAL_CHAIN))
    if try Self.checkReadable(path, "ca", mayBeFolder: true) == S_IFDIR {
      guard Self.holdsHashedNames(path) else {
        throw .credentials("ca \(path): no certificate there has a hashed name; run 'openssl rehash \(path)'")
      }
      guard SSL_CTX_load_verify_dir(pointer, path) == 1 else {
        throw .credentials("ca \(path): \(TLSReason.take().text)")
      }
    } else if SSL_CTX_load_verify_file(pointer, path) != 1 {
      throw .credentials("ca \(path): no PEM certificate in it (\(TLSReason.take().text))")
    }
  }

  /// Reads Martlet's own certificate and key.
  private func present(_ certificate: String, key: String) throws(ExportError) {
    _ = try Self.checkReadable(certificate, "certificate")
    _ = try Self.checkReadable(key, "key")
    ERR_clear_error()
    guard SSL_CTX_use_certificate_chain_file(pointer, certificate) == 1,
      let own = SSL_CTX_get0_certificate(pointer)
    else {
      throw .credentials("certificate \(certificate): no PEM certificate in it (\(TLSReason.take().text))")
    }
    if X509_cmp_current_time(X509_get0_notAfter(own)) < 0 {
      throw .credentials(
        "certificate \(certificate): it expired on \(Self.date(X509_get0_notAfter(own))); get a new one")
    }
    if X509_cmp_current_time(X509_get0_notBefore(own)) > 0 {
      throw .credentials(
        "certificate \(certificate): it is valid from \(Self.date(X509_get0_notBefore(own))) on; is the clock right?"
      )
    }
    ERR_clear_error()
    guard SSL_CTX_use_PrivateKey_file(pointer, key, SSL_FILETYPE_PEM) == 1,
      SSL_CTX_check_private_key(pointer) == 1
    else {
      let (library, number, text) = TLSReason.take()
      if library == ERR_LIB_X509, number == X509_R_KEY_VALUES_MISMATCH || number == X509_R_KEY_TYPE_MISMATCH {
        throw .credentials("key \(key): it is not the key of certificate \(certificate)")
      }
      if library == ERR_LIB_SSL, number == SSL_R_NO_PRIVATE_KEY_ASSIGNED {
        throw .credentials("key \(key): it is not the key of certificate \(certificate)")
      }
      let isSealed =
        number == PEM_R_BAD_PASSWORD_READ || text.contains("password") || text.contains("interrupted")
      throw .credentials(
        isSealed
          ? "key \(key): it has a passphrase; write it without one, readable for Martlet alone ('openssl pkey')"
          : "key \(key): no private key in it that can be used (\(text))")
    }
  }

  /// Makes sure that a file can be opened and that opening it waits for nobody; its type (S_IFREG, S_IFDIR).
  private static func checkReadable(
    _ path: String, _ name: String, mayBeFolder: Bool = false
  ) throws(ExportError) -> mode_t {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw .credentials("\(name) \(path): \(errorText(errno))") }
    defer { Glibc.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .credentials("\(name) \(path): \(errorText(errno))") }
    let type = status.st_mode & S_IFMT
    guard type == S_IFREG || mayBeFolder && type == S_IFDIR else {
      throw .credentials("\(name) \(path): it is no file")
    }
    return type
  }

  /// Whether a folder has names such as `5ed36f99.0`, by which OpenSSL finds certificates.
  private static func holdsHashedNames(_ path: String) -> Bool {
    guard let folder = opendir(path) else { return false }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      if withUnsafeBytes(of: &entry.pointee.d_name, { isHashedName($0) }) { return true }
    }
    return false
  }

  /// Whether octets, with a zero behind them, are eight hexadecimal digits, a dot and a number.
  private static func isHashedName(_ octets: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index < octets.count, hasDigit(octets[index], hexadecimal: true) { index &+= 1 }
    guard index == 8, octets.count > 10, octets[index] == UInt8(ascii: ".") else { return false }
    index = 9
    while index < octets.count, hasDigit(octets[index], hexadecimal: false) { index &+= 1 }
    return index > 9 && index < octets.count && octets[index] == 0
  }

  private static func hasDigit(_ octet: UInt8, hexadecimal: Bool) -> Bool {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "a")...UInt8(ascii: "f"): hexadecimal
    default: false
    }
  }

  /// A day as `2026-11-26` (UTC).
  private static func date(_ time: UnsafePointer<ASN1_TIME>?) -> String {
    var parts = tm()
    guard ASN1_TIME_to_tm(time, &parts) == 1 else { return "an unknown day" }
    func digits(_ number: Int32, _ count: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, count &- text.count)) + text
    }
    return "\(digits(parts.tm_year &+ 1900, 4))-\(digits(parts.tm_mon &+ 1, 2))-\(digits(parts.tm_mday, 2))"
  }
}
