// What the hellos' parsers share: the numbers of the protocol, GREASE, and the two kinds of lists that hellos are made of.

/// TLS and DTLS: what their hellos say, and how they lie in streams.
package enum TLS {
  /// The most bytes of a hello that are put together. The largest in public captures has 11 KiB.
  package static let longestHello = 16384

  /// Handshake message types (RFC 8446 section 4).
  package enum HandshakeType {
    package static let clientHello: UInt8 = 1
    package static let serverHello: UInt8 = 2
  }

  /// Extension types that Martlet looks into (IANA "TLS ExtensionType Values").
  package enum ExtensionType {
    package static let serverName: UInt16 = 0
    package static let supportedGroups: UInt16 = 10
    package static let pointFormats: UInt16 = 11
    package static let signatureAlgorithms: UInt16 = 13
    package static let protocols: UInt16 = 16
    package static let supportedVersions: UInt16 = 43
    package static let encryptedClientHello: UInt16 = 0xFE0D
  }

  /// What carries the handshake: the first letter of JA4.
  package enum Transport: UInt8, BitwiseCopyable {
    case stream = 0x74  // t
    case quic = 0x71  // q: TLS in UDP without DTLS's headers
    case datagram = 0x64  // d
  }

  /// Whether a number is one of those that clients offer only to keep servers tolerant (RFC 8701): 0x0A0A … 0xFAFA.
  @inline(__always)
  package static func isGrease(_ number: UInt16) -> Bool {
    number & 0x0F0F == 0x0A0A && number >> 8 == number & 0xFF
  }

  /// Protocol versions.
  package enum Version {
    package static var ssl3: UInt16 { 0x0300 }
    package static var tls13: UInt16 { 0x0304 }

    /// The newer of two versions. DTLS counts down (0xFEFF is 1.0, 0xFEFC is 1.3), TLS counts up.
    package static func newer(_ one: UInt16, _ other: UInt16) -> UInt16 {
      let areDatagrams = one >> 8 == 0xFE && other >> 8 == 0xFE
      return areDatagrams ? min(one, other) : max(one, other)
    }

    /// The two characters that stand for a version in JA4.
    package static func label(_ version: UInt16) -> (UInt8, UInt8) {
      switch version {
      case 0x0304: (0x31, 0x33)
      case 0x0303: (0x31, 0x32)
      case 0x0302: (0x31, 0x31)
      case 0x0301: (0x31, 0x30)
      case 0x0300: (0x73, 0x33)
      case 0x0002: (0x73, 0x32)
      case 0xFEFF: (0x64, 0x31)
      case 0xFEFD: (0x64, 0x32)
      case 0xFEFC: (0x64, 0x33)
      default: (0x30, 0x30)
      }
    }
  }

  /// A run of 16-bit numbers: cipher suites, groups, signature algorithms, versions. An odd last byte is left out.
  package struct NumberList: BitwiseCopyable {
    package let bytes: Bytes

    package var count: Int { bytes.count / 2 }
    @inline(__always)
    package subscript(index: Int) -> UInt16 { bytes.load(UInt16.self, at: index &* 2) }
  }

  /// The extensions of a hello, read one after the other:
  ///
  ///     | type 2 | length 2 | contents length | …
  package struct ExtensionReader {
    private let bytes: Bytes
    private var position = 0

    package init(_ bytes: Bytes) { self.bytes = bytes }

    /// The next extension; nil at the end, and where a length leads past it.
    ///
    /// Asked several times for each of what may be hundreds of extensions, so it compares once and throws nothing.
    @inline(__always)
    package mutating func next() -> (type: UInt16, contents: Bytes)? {
      let left = bytes.count &- position
      guard left >= 4 else { return nil }
      let head = bytes.load(UInt32.self, at: position)
      let length = Int(head & 0xFFFF)
      guard length <= left &- 4 else { return nil }
      let contents = bytes.slice(position &+ 4, length)
      position &+= 4 &+ length
      return (UInt16(truncatingIfNeeded: head &>> 16), contents)
    }
  }
}

extension Cursor {
  /// A field with its length in one byte before it.
  package mutating func field8() throws(Truncated) -> Bytes { try take(Int(try unsigned8())) }
  /// A field with its length in two bytes before it.
  package mutating func field16() throws(Truncated) -> Bytes { try take(Int(try unsigned16())) }
}
