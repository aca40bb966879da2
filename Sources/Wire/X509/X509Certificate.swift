// What an X.509 certificate says of its owner, where it lies; nothing is copied, no signature is checked.

/// A certificate (RFC 5280 section 4.1):
///
///     SEQUENCE                              the certificate
///       SEQUENCE                            what is signed
///         [0] version                       may be missing
///         INTEGER serial number
///         SEQUENCE signature algorithm
///         SEQUENCE issuer                   SETs of SEQUENCEs of an identifier and a string
///         SEQUENCE notBefore, notAfter      UTCTime or GeneralizedTime
///         SEQUENCE subject
///         SEQUENCE public key               SEQUENCE of an identifier and parameters, BIT STRING
///       …
package struct X509Certificate: BitwiseCopyable {
  /// What a public key is for.
  package enum KeyType: UInt8, BitwiseCopyable {
    case other, rsa, rsaPSS, dsa, ellipticCurve, ed25519, ed448

    /// Its usual name; empty for another type.
    package var name: Bytes {
      switch self {
      case .other: Bytes("")
      case .rsa: Bytes("RSA")
      case .rsaPSS: Bytes("RSA-PSS")
      case .dsa: Bytes("DSA")
      case .ellipticCurve: Bytes("EC")
      case .ed25519: Bytes("Ed25519")
      case .ed448: Bytes("Ed448")
      }
    }
  }

  /// The serial number, most significant byte first, without the zero that keeps it positive.
  package let serialNumber: Bytes
  /// The last common names: the most specific ones; empty where there are none.
  package let issuer: DirectoryString
  package let subject: DirectoryString
  /// Seconds since 1970, 0 for what is before or no date.
  package let notBefore: UInt64
  package let notAfter: UInt64
  package let keyType: KeyType
  /// Bits of the modulus, the prime or the curve; 0 where the key is of another type.
  package let keyBits: UInt16

  /// Reads a certificate in DER; nil where one of its parts up to the public key is missing.
  /// - Complexity: O(bytes)
  package init?(_ bytes: Bytes) {
    var outer = DERReader(bytes)
    guard let certificate = outer.next(DERReader.Tag.sequence) else { return nil }
    var parts = DERReader(certificate)
    guard let signed = parts.next(DERReader.Tag.sequence) else { return nil }
    var fields = DERReader(signed)
    if fields.tag == DERReader.Tag.first { _ = fields.next() }
    guard let serial = fields.next(DERReader.Tag.integer),
      fields.next(DERReader.Tag.sequence) != nil,
      let issuer = fields.next(DERReader.Tag.sequence),
      let validity = fields.next(DERReader.Tag.sequence),
      let subject = fields.next(DERReader.Tag.sequence),
      let key = fields.next(DERReader.Tag.sequence)
    else { return nil }
    serialNumber = serial.count > 1 && serial[0] == 0 ? serial.dropFirst(1) : serial
    self.issuer = X509Certificate.commonName(issuer)
    self.subject = X509Certificate.commonName(subject)
    var times = DERReader(validity)
    notBefore = X509Certificate.time(times.next())
    notAfter = X509Certificate.time(times.next())
    (keyType, keyBits) = X509Certificate.key(key)
  }

  // MARK: Names

  /// `id-at-commonName`, 2.5.4.3.
  private static let commonNameIdentifier: UInt32 = 0x55_04_03

  private static func commonName(_ name: Bytes) -> DirectoryString {
    var found = DirectoryString(tag: 0, name.prefix(0))
    var relative = DERReader(name)
    while let set = relative.next(DERReader.Tag.set) {
      var pairs = DERReader(set)
      while let pair = pairs.next(DERReader.Tag.sequence) {
        var fields = DERReader(pair)
        guard let identifier = fields.next(DERReader.Tag.objectIdentifier), identifier.count == 3,
          identifier.number == UInt64(commonNameIdentifier), let value = fields.next()
        else { continue }
        found = DirectoryString(tag: value.tag, value.contents)
      }
    }
    return found
  }

  // MARK: Times

  /// `YYMMDDHHMMSSZ` (UTCTime; RFC 5280: 1950 to 2049) or `YYYYMMDDHHMMSSZ` as seconds since 1970.
  private static func time(_ element: (tag: UInt8, contents: Bytes)?) -> UInt64 {
    guard let element else { return 0 }
    var text = element.contents
    var year: Int
    switch element.tag {
    case DERReader.Tag.utcTime:
      guard let short = text.digits(2, at: 0) else { return 0 }
      year = short &+ (short < 50 ? 2000 : 1900)
      text = text.dropFirst(2)
    case DERReader.Tag.generalizedTime:
      guard let long = text.digits(4, at: 0) else { return 0 }
      year = long
      text = text.dropFirst(4)
    default: return 0
    }
    guard let month = text.digits(2, at: 0), let day = text.digits(2, at: 2),
      let hour = text.digits(2, at: 4), let minute = text.digits(2, at: 6),
      let second = text.digits(2, at: 8),
      month >= 1, month <= 12, day >= 1, day <= daysOfMonth(month, of: year), hour < 24, minute < 60,
      second <= 60
    else { return 0 }
    // Years that begin in March have their leap day last: 153 days are five months from March or from August on.
    if month < 3 { year &-= 1 }
    let dayOfYear = (153 &* (month &+ (month < 3 ? 9 : -3)) &+ 2) / 5 &+ day &- 1
    let days = 365 &* year &+ year / 4 &- year / 100 &+ year / 400 &+ dayOfYear &- 719_468
    return UInt64(clamping: ((days &* 24 &+ hour) &* 60 &+ minute) &* 60 &+ second)
  }

  /// How many days a month has (1 to 12), in the calendar of today.
  private static func daysOfMonth(_ month: Int, of year: Int) -> Int {
    guard month == 2 else { return 30 &+ (month &+ month / 8) & 1 }
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
  }

  // MARK: Keys

  /// The identifiers of key types and curves as numbers, big-endian, as far as eight bytes go.
  private enum Identifier {
    /// 1.2.840.113549.1.1.1 and …1.10 without their first byte (RFC 8017).
    static let rsa: UInt64 = 0x86_48_86_F7_0D_01_01_01
    static let rsaPSS: UInt64 = 0x86_48_86_F7_0D_01_01_0A
    /// 1.2.840.10040.4.1 (RFC 3279)
    static let dsa: UInt64 = 0x2A_86_48_CE_38_04_01
    /// 1.2.840.10045.2.1 (RFC 5480)
    static let ellipticCurve: UInt64 = 0x2A_86_48_CE_3D_02_01
    /// 1.3.101.112 and 113 (RFC 8410)
    static let ed25519: UInt64 = 0x2B_65_70
    static let ed448: UInt64 = 0x2B_65_71
    /// 1.3.132.0.35, P-521: the one curve whose bits are not eight times its bytes.
    static let p521: UInt64 = 0x2B_81_04_00_23
  }

  /// A SubjectPublicKeyInfo: what the key is, and its size.
  private static func key(_ information: Bytes) -> (KeyType, UInt16) {
    var fields = DERReader(information)
    guard let algorithm = fields.next(DERReader.Tag.sequence) else { return (.other, 0) }
    var parts = DERReader(algorithm)
    guard let identifier = parts.next(DERReader.Tag.objectIdentifier) else { return (.other, 0) }
    let parameters = parts.next()
    // Its first byte says how many bits of the last one are unused: none.
    let bits = (fields.next(DERReader.Tag.bitString) ?? information.prefix(0)).dropFirst(1)
    switch identifier.number {
    case Identifier.rsa: return (.rsa, modulusBits(bits))
    case Identifier.rsaPSS: return (.rsaPSS, modulusBits(bits))
    case Identifier.dsa:
      // Parameters: SEQUENCE of p, q and g.
      var numbers = DERReader(parameters?.contents ?? information.prefix(0))
      return (.dsa, bitWidth(numbers.next(DERReader.Tag.integer)))
    case Identifier.ellipticCurve:
      if let curve = parameters, curve.contents.number == Identifier.p521 { return (.ellipticCurve, 521) }
      // A point: 4 and both coordinates, or 2 or 3 and one of them.
      let coordinates = max(0, bits.count &- 1) / (bits.count > 0 && bits[0] == 4 ? 2 : 1)
      return (.ellipticCurve, UInt16(clamping: coordinates &* 8))
    case Identifier.ed25519: return (.ed25519, 256)
    case Identifier.ed448: return (.ed448, 456)
    default: return (.other, 0)
    }
  }

  /// An RSA key is a SEQUENCE of modulus and exponent.
  private static func modulusBits(_ key: Bytes) -> UInt16 {
    var outer = DERReader(key)
    var numbers = DERReader(outer.next(DERReader.Tag.sequence) ?? key.prefix(0))
    return bitWidth(numbers.next(DERReader.Tag.integer))
  }

  private static func bitWidth(_ number: Bytes?) -> UInt16 {
    guard var number else { return 0 }
    if number.count > 1, number[0] == 0 { number = number.dropFirst(1) }
    guard number.count > 0 else { return 0 }
    return UInt16(clamping: number.count &* 8 &- number[0].leadingZeroBitCount)
  }
}

extension Bytes {
  /// The last eight bytes as a number, most significant byte first.
  fileprivate var number: UInt64 {
    var number: UInt64 = 0
    var index = max(0, count &- 8)
    while index < count {
      number = number &<< 8 | UInt64(self[index])
      index &+= 1
    }
    return number
  }

  /// A number of `length` decimal digits; nil where one is missing or none.
  fileprivate func digits(_ length: Int, at offset: Int) -> Int? {
    guard count >= offset &+ length else { return nil }
    var number = 0
    var index = offset
    while index < offset &+ length {
      guard self[index] >= 0x30, self[index] <= 0x39 else { return nil }
      number = number &* 10 &+ Int(self[index] &- 0x30)
      index &+= 1
    }
    return number
  }
}
