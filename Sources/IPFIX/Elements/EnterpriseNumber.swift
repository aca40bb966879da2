// Who an element belongs to on the wire and in text: enterprise numbers and the keys of JSON and CSV.

/// The private enterprise numbers that Martlet's messages contain (IANA "Private Enterprise Numbers").
public enum EnterpriseNumber {
  /// No enterprise: the element is registered with IANA and its field specifier has no enterprise number.
  public static let iana: UInt32 = 0
  /// CESNET, whose elements the published datasets use.
  public static let cesnet: UInt32 = 8057
  /// Flowmon Networks.
  public static let flowmon: UInt32 = 39499
  /// Reverse direction of an IANA element (RFC 5103 section 6.1).
  public static let reverse: UInt32 = 29305
  /// Reserved for documentation (RFC 5612): stands for Martlet's own elements until an operator names a number.
  public static let documentation: UInt32 = 32473
}

extension InformationElement.Owner {
  /// The enterprise number of Martlet's own elements unless the operator names another.
  public static var martletEnterpriseNumber: UInt32 { EnterpriseNumber.documentation }

  /// The part of a JSON key before the colon.
  @inlinable
  public var name: StaticString {
    switch self {
    case .iana: "iana"
    case .cesnet: "cesnet"
    case .flowmon: "flowmon"
    case .martlet: "martlet"
    }
  }
}

extension InformationElement {
  /// The enterprise number in the element's field specifier, 0 when it has none (RFC 7011 section 3.2).
  ///
  /// The reverse of an IANA element is sent under 29305 with the same identifier (RFC 5103 section 6.1). The
  /// reverse of an enterprise's element would need a number of that enterprise, so `isReverse` is ignored there.
  /// - Parameter martlet: the number to use for Martlet's own elements.
  @inlinable @inline(__always)
  public func enterpriseNumber(martlet: UInt32 = EnterpriseNumber.documentation) -> UInt32 {
    switch owner {
    case .iana: isReverse ? 29305 : 0
    case .cesnet: 8057
    case .flowmon: 39499
    case .martlet: martlet
    }
  }

  /// The name in JSON and CSV, for example `iana@reverse:octetDeltaCount`; allocates.
  public var key: String {
    "\(owner.name)\(isReverse ? "@reverse" : ""):\(name)"
  }

  /// What tells two elements apart, in one word.
  @inlinable @inline(__always)
  public var code: UInt32 {
    UInt32(identifier) | UInt32(owner.rawValue) << 16 | (isReverse ? 1 << 24 : 0)
  }

  /// The element that carries lists (RFC 6313 section 4.5.1).
  @inlinable
  public static var basicList: InformationElement {
    InformationElement(.iana, 291, "basicList", .basicList, semantics: .list)
  }
}
