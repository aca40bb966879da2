// What a decoder makes of a field: a value of the element's type, not bytes.
import IPFIX

/// One decoded value.
public enum FieldValue: Sendable, Equatable {
  /// unsigned8 to unsigned64, whatever their length on the wire.
  case unsigned(UInt64)
  /// signed8 to signed64.
  case signed(Int64)
  /// float32.
  case float32(Float)
  /// float64.
  case float64(Double)
  /// boolean.
  case boolean(Bool)
  /// macAddress, in the low 48 bits.
  case macAddress(UInt64)
  /// ipv4Address as a number.
  case ipv4Address(UInt32)
  /// ipv6Address as its first and last eight bytes.
  case ipv6Address(high: UInt64, low: UInt64)
  /// Any dateTime, in nanoseconds since 1970 (UTC).
  case time(UInt64)
  /// octetArray, and every value whose element or length is not known.
  case octets([UInt8])
  /// string, not checked to be UTF-8.
  case string([UInt8])
  /// basicList.
  case list(BasicList)
}

/// A decoded basicList (RFC 6313 section 4.5.1).
public struct BasicList: Sendable, Equatable {
  /// 3 is allOf, 255 undefined (RFC 6313 section 4.4).
  public var semantic: UInt8
  /// What each entry is.
  public var field: FieldSpecifier
  /// The entries in order.
  public var entries: [FieldValue]

  /// A list; pure data.
  public init(semantic: UInt8, field: FieldSpecifier, entries: [FieldValue]) {
    self.semantic = semantic
    self.field = field
    self.entries = entries
  }
}

/// One field of a decoded data record.
public struct DecodedField: Sendable {
  /// The field's place in the template.
  public let specifier: FieldSpecifier
  /// The element, when the decoder's model knows it.
  public let element: InformationElement?
  /// The value.
  public let value: FieldValue
}

/// One decoded data record.
public struct DecodedRecord: Sendable {
  /// The template it was sent with.
  public let template: UInt16
  /// Its fields in template order.
  public let fields: [DecodedField]

  /// The first value of an element, by its number; O(fields).
  public subscript(_ identifier: UInt16, enterprise: UInt32 = 0) -> FieldValue? {
    fields.first { $0.specifier.identifier == identifier && $0.specifier.enterpriseNumber == enterprise }?
      .value
  }

  /// The first value of an element, or of the list that holds it; O(fields).
  public subscript(_ element: InformationElement) -> FieldValue? {
    let number = element.enterpriseNumber()
    for field in fields {
      if field.specifier.identifier == element.identifier && field.specifier.enterpriseNumber == number {
        return field.value
      }
      if case .list(let list) = field.value, list.field.identifier == element.identifier,
        list.field.enterpriseNumber == number
      {
        return field.value
      }
    }
    return nil
  }
}

/// One decoded message.
public struct DecodedMessage: Sendable {
  /// Octets, header included.
  public var length: Int
  /// Seconds since 1970.
  public var exportTime: UInt32
  /// Data records sent before, modulo 2^32.
  public var sequence: UInt32
  /// The observation domain.
  public var observationDomain: UInt32
  /// Templates defined in this message, in order; withdrawals have no fields.
  public var templates: [Template] = []
  /// Options templates defined in this message, in order.
  public var optionsTemplates: [Template] = []
  /// Data records of templates in order.
  public var records: [DecodedRecord] = []
  /// Data records of options templates in order; they count in the sequence, too.
  public var options: [DecodedRecord] = []
  /// The identifiers of all sets in order.
  public var sets: [UInt16] = []
  /// Data sets left out because their template is not known.
  public var unknownSets = 0
}

/// The elements that a decoder gives types and names to.
public struct InformationModel: Sendable {
  private var elements: [UInt64: InformationElement] = [:]

  /// A model of these elements; those of IANA are known in both directions (RFC 5103).
  public init(
    _ elements: [InformationElement] = [], martletEnterpriseNumber: UInt32 = EnterpriseNumber.documentation
  ) {
    for element in elements {
      let directions = element.owner == .iana && !element.isReverse ? [element, element.reversed] : [element]
      for direction in directions {
        let number = direction.enterpriseNumber(martlet: martletEnterpriseNumber)
        self.elements[UInt64(number) << 16 | UInt64(direction.identifier)] = direction
      }
    }
  }

  /// The element that a field specifier names, if it is known.
  public func element(of field: FieldSpecifier) -> InformationElement? {
    elements[UInt64(field.enterpriseNumber) << 16 | UInt64(field.identifier)]
  }
}
