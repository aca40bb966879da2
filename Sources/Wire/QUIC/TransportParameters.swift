// What a QUIC client says of itself in an extension of its ClientHello (RFC 9000 section 18).

extension QUIC {
  /// TLS extensions that hold the transport parameters: of version 1, of the drafts, and one that was used for version 2.
  package static func isTransportParameters(_ extensionType: UInt16) -> Bool {
    switch extensionType {
    case 0x39, 0xFFA5, 0x26: true
    default: false
    }
  }

  /// Google's client names itself in this parameter.
  private static var userAgent: UInt64 { 0x3129 }
  /// The most parameters that are looked at; clients send some twenty.
  private static var mostParameters: Int { 64 }

  /// The user agent in an extension with transport parameters, or nothing.
  ///
  ///     | id v | n v, value n | id v | n v, value n | …
  package static func userAgent(_ contents: Bytes) -> Bytes {
    var cursor = Cursor(contents)
    var left = mostParameters
    while left > 0, let id = try? cursor.variableInteger(), let value = try? cursor.variableField() {
      if id == userAgent { return value }
      left &-= 1
    }
    return contents.prefix(0)
  }
}
