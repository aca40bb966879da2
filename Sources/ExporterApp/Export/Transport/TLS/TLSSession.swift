// One TLS connection's state in OpenSSL, which gets and gives octets in memory: sockets are the connection's business, so
// that nothing here blocks, and what each record's length on the wire is can be told.
import CTLS
import Wire

/// The client's side of one TLS connection.
final class TLSSession {
  /// What became of a step.
  enum Step: Equatable {
    case done
    /// Octets from the other side are missing.
    case waiting
    /// The other side ended the connection in good order.
    case closed
    case failed(String)
  }

  /// What OpenSSL tells while it works.
  private struct Seen {
    /// The collector asked for a certificate.
    var request = false
    /// The collector sent a ticket for another session: it accepted this one.
    var ticket = false
  }

  private let ssl: OpaquePointer
  private let input: OpaquePointer
  private let output: OpaquePointer
  private let seen: UnsafeMutablePointer<Seen>
  private let hasCertificate: Bool
  /// The most that one record carries (RFC 8446 section 5.1).
  static let largestRecord = 16384
  /// What a record has besides (RFC 8446 section 5.2: 256; and its header), rounded up.
  static let recordOverhead = 512

  /// Prepares a connection to a host; nil when there is no memory.
  init?(_ context: TLSContext, host: TLSHost) {
    guard let ssl = SSL_new(context.pointer) else { return nil }
    guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
      SSL_free(ssl)
      return nil
    }
    SSL_set_bio(ssl, input, output)
    (self.ssl, self.input, self.output) = (ssl, input, output)
    hasCertificate = context.hasCertificate
    seen = .allocate(capacity: 1)
    seen.initialize(to: Seen())
    Self.name(ssl, host)
    // Safe: `seen` is of this type, and goes after `ssl` does.
    SSL_set_msg_callback(ssl) { isOwn, _, type, message, length, _, argument in
      guard isOwn == 0, type == SSL3_RT_HANDSHAKE, length > 0, let message, let argument else { return }
      let seen = argument.assumingMemoryBound(to: Seen.self)
      let kind = Int32(message.load(as: UInt8.self))
      if kind == SSL3_MT_CERTIFICATE_REQUEST { seen.pointee.request = true }
      if kind == SSL3_MT_NEWSESSION_TICKET { seen.pointee.ticket = true }
    }
    SSL_ctrl(ssl, SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, seen)
    SSL_set_connect_state(ssl)
  }

  deinit {
    SSL_free(ssl)
    seen.deallocate()
  }

  /// Says which name or address the collector's certificate must have; a name goes into the hello, too (RFC 6066 section 3).
  private static func name(_ ssl: OpaquePointer, _ host: TLSHost) {
    let parameters = SSL_get0_param(ssl)
    if X509_VERIFY_PARAM_set1_ip_asc(parameters, host.address) == 1 { return }
    ERR_clear_error()
    X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    SSL_set1_host(ssl, host.name)
    _ = host.name.withCString {
      SSL_ctrl(
        ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
        UnsafeMutableRawPointer(mutating: $0))
    }
  }

  /// Whether the collector may still refuse Martlet's certificate: in TLS 1.3 it looks at it after the handshake has ended
  /// here. A ticket says that it has not.
  var mayBeRefused: Bool {
    SSL_version(ssl) >= TLS1_3_VERSION && seen.pointee.request && !seen.pointee.ticket
  }

  /// Takes octets from the other side.
  func feed(_ octets: Bytes) { BIO_write(input, octets.base, Int32(clamping: octets.count)) }

  /// Goes on with the handshake.
  func handshake() -> Step {
    ERR_clear_error()
    let result = SSL_do_handshake(ssl)
    return result == 1 ? .done : step(result)
  }

  /// Reads all that was fed; what the collector says is thrown away. Never `.done`.
  func read() -> Step {
    withUnsafeTemporaryAllocation(byteCount: Self.largestRecord, alignment: 1) { buffer in
      while true {
        ERR_clear_error()
        let result = SSL_read(ssl, buffer.baseAddress, Int32(truncatingIfNeeded: buffer.count))
        if result <= 0 { return step(result) }
      }
    }
  }

  /// Makes one record of the first octets, at most `largestRecord`; how many, or what is wrong.
  func write(_ octets: Bytes) -> (count: Int, step: Step) {
    ERR_clear_error()
    let result = SSL_write(ssl, octets.base, Int32(truncatingIfNeeded: min(octets.count, Self.largestRecord)))
    return result > 0 ? (Int(result), .done) : (0, step(result))
  }

  /// Says that no more octets come (close_notify).
  func shutdown() {
    ERR_clear_error()
    SSL_shutdown(ssl)
    ERR_clear_error()
  }

  /// How many octets are ready for the other side.
  var ready: Int { Int(clamping: BIO_ctrl_pending(output)) }

  /// Moves octets for the other side to `place`, at most `room`; how many.
  func take(_ place: UnsafeMutableRawPointer, _ room: Int) -> Int {
    max(0, Int(BIO_read(output, place, Int32(clamping: room))))
  }

  private func step(_ result: Int32) -> Step {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: .waiting
    case SSL_ERROR_ZERO_RETURN: .closed
    default:
      .failed(
        TLSReason.connection(verification: SSL_get_verify_result(ssl), hasCertificate: hasCertificate))
    }
  }
}

/// How a collector's certificate may call it.
struct TLSHost {
  /// As the user wrote it, for messages.
  let text: String
  /// The text without the interface that an IPv6 address may have.
  let address: String
  /// The text without the dot that a name may end in.
  let name: String

  /// Takes a name or a numeric address.
  init(_ text: String) {
    self.text = text
    address = String(text.prefix { $0 != "%" })
    name = text.hasSuffix(".") ? String(text.dropLast()) : text
  }
}
