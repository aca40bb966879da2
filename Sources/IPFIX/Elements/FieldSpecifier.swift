// What a template says of one field: which element, and how long it is on the wire.

/// One field of a template (RFC 7011 section 3.2).
public struct FieldSpecifier: Sendable, Equatable {
  /// The element's number without the enterprise bit.
  public var identifier: UInt16
  /// Octets on the wire; `FieldSpecifier.variableLength` when each record says how many (RFC 7011 section 7).
  public var length: UInt16
  /// 0 for IANA elements.
  public var enterpriseNumber: UInt32

  /// The length that stands for "variable".
  @inlinable
  public static var variableLength: UInt16 { 65535 }

  /// A field specifier; pure data.
  @inlinable
  public init(identifier: UInt16, length: UInt16, enterpriseNumber: UInt32 = 0) {
    self.identifier = identifier
    self.length = length
    self.enterpriseNumber = enterpriseNumber
  }
}
