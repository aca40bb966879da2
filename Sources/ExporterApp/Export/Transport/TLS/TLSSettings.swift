// Whom a TLS connection trusts, and as whom it presents itself.

/// The files of a `tls://` export, all PEM, and whether the collector must prove who it is.
struct TLSSettings: Equatable, Sendable {
  /// Martlet's certificate, followed by those between it and an authority; nil for none.
  var certificate: String?
  /// The certificate's private key; nil: in the certificate's file.
  var key: String?
  /// A file of certificates to trust, or a folder of such files under hashed names (`openssl rehash`); nil: the system's.
  var authorities: String?
  /// Whether the collector's certificate must be valid, for its name, and from somebody trusted.
  var verifies = true
}
