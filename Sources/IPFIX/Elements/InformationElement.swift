// What an information element is, so that one declaration serves templates, JSON keys, CSV headers,
// `--list-plugins` and the documentation.

/// The abstract data types of RFC 7011 section 6.1 that Martlet exports.
public enum AbstractDataType: UInt8, BitwiseCopyable, Sendable, Hashable {
  case octetArray = 0
  case unsigned8 = 1
  case unsigned16 = 2
  case unsigned32 = 3
  case unsigned64 = 4
  case signed8 = 5
  case signed16 = 6
  case signed32 = 7
  case signed64 = 8
  case float32 = 9
  case float64 = 10
  case boolean = 11
  case macAddress = 12
  case string = 13
  case dateTimeSeconds = 14
  case dateTimeMilliseconds = 15
  case dateTimeMicroseconds = 16
  case dateTimeNanoseconds = 17
  case ipv4Address = 18
  case ipv6Address = 19
  case basicList = 20
}

/// Semantics of an element's values (RFC 5610 section 3.6, RFC 7012 section 3.2).
public enum DataTypeSemantics: UInt8, BitwiseCopyable, Sendable, Hashable {
  case `default` = 0
  case quantity = 1
  case totalCounter = 2
  case deltaCounter = 3
  case identifier = 4
  case flags = 5
  case list = 6
}

/// Units of an element's values (IANA "IPFIX Information Element Units").
public enum Units: UInt16, BitwiseCopyable, Sendable, Hashable {
  case none = 0
  case bits = 1
  case octets = 2
  case packets = 3
  case flows = 4
  case seconds = 5
  case milliseconds = 6
  case microseconds = 7
  case nanoseconds = 8
  case messages = 10
  case hops = 11
  case entries = 12
}

/// One information element: who registered it, its number, and what its values mean.
///
/// Elements are declared as `static let` next to the code that fills them; all members are literals, so a
/// declaration costs nothing at run time.
public struct InformationElement: BitwiseCopyable, Sendable {
  /// Who names the element: the part of a JSON key before the colon.
  public enum Owner: UInt8, BitwiseCopyable, Sendable, Hashable {
    case iana
    case cesnet
    case flowmon
    /// Martlet's own elements; their enterprise number is `Owner.martletEnterpriseNumber` unless the operator names one.
    case martlet
  }

  /// The registered name, for example `sourceIPv4Address`.
  public let name: StaticString
  /// Who registered it.
  public let owner: Owner
  /// The element's number, 1 to 32767 (RFC 7011 section 3.2).
  public let identifier: UInt16
  /// The type of its values, or of each entry where the element is sent in a basicList.
  public let type: AbstractDataType
  /// What the values count or name.
  public let semantics: DataTypeSemantics
  /// The unit of the values.
  public let units: Units
  /// True for the reverse direction's element (RFC 5103): sent under enterprise number 29305.
  public let isReverse: Bool

  /// Declares an element; pure data, no registration is needed.
  @inlinable
  public init(
    _ owner: Owner, _ identifier: UInt16, _ name: StaticString, _ type: AbstractDataType,
    semantics: DataTypeSemantics = .default, units: Units = .none, isReverse: Bool = false
  ) {
    self.owner = owner
    self.identifier = identifier
    self.name = name
    self.type = type
    self.semantics = semantics
    self.units = units
    self.isReverse = isReverse
  }

  /// The element for the reverse direction of a biflow (RFC 5103 section 6).
  @inlinable
  public var reversed: InformationElement {
    InformationElement(owner, identifier, name, type, semantics: semantics, units: units, isReverse: true)
  }

  /// The element for the forward direction of a biflow.
  @inlinable
  public var forward: InformationElement {
    InformationElement(owner, identifier, name, type, semantics: semantics, units: units)
  }
}
