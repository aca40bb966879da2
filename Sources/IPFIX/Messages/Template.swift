// What a template is, and the field writer that makes one by listening to a record's fields.

/// An ordered list of fields with the number that data sets name it by (RFC 7011 section 3.4.1).
public struct Template: Sendable, Equatable {
  /// 256 to 65535.
  public var identifier: UInt16
  /// The fields, in the order in which data records hold them.
  public var fields: [FieldSpecifier]

  /// A template; pure data.
  public init(identifier: UInt16, fields: [FieldSpecifier]) {
    self.identifier = identifier
    self.fields = fields
  }

  /// The octets of the shortest record: the fixed fields, and one for each variable field's length.
  public var shortestRecord: Int {
    fields.reduce(0) { $0 + ($1.length == FieldSpecifier.variableLength ? 1 : Int($1.length)) }
  }

  /// The template record as it stands in a template set, big-endian.
  ///
  ///      0                   1                   2                   3
  ///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |          template id          |          field count          |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |E|         element id          |         field length          |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |                 enterprise number (only if E)                 |
  ///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  ///     |                              ...                              |
  public var record: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 + 8 * fields.count)
    func append16(_ value: UInt16) {
      bytes.append(UInt8(value >> 8))
      bytes.append(UInt8(value & 0xFF))
    }
    append16(identifier)
    append16(UInt16(truncatingIfNeeded: fields.count))
    for field in fields {
      append16(field.identifier & 0x7FFF | (field.enterpriseNumber != 0 ? 0x8000 : 0))
      append16(field.length)
      guard field.enterpriseNumber != 0 else { continue }
      append16(UInt16(field.enterpriseNumber >> 16))
      append16(UInt16(field.enterpriseNumber & 0xFFFF))
    }
    return bytes
  }
}

/// Collects the field specifiers of a record; the values are ignored.
public struct TemplateCollector: FieldListener {
  /// What was collected so far.
  public private(set) var fields: [FieldSpecifier] = []
  private let martletEnterpriseNumber: UInt32

  /// An empty collector that gives Martlet's own elements the enterprise number `martletEnterpriseNumber`.
  public init(martletEnterpriseNumber: UInt32 = EnterpriseNumber.documentation) {
    self.martletEnterpriseNumber = martletEnterpriseNumber
  }

  public mutating func field(_ element: InformationElement, length: UInt16) {
    fields.append(
      FieldSpecifier(
        identifier: element.identifier, length: length,
        enterpriseNumber: element.enterpriseNumber(martlet: martletEnterpriseNumber)))
  }

  /// The field is a basicList of variable length; the inner element is named in the data (RFC 6313 section 4.5.1).
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    field(.basicList, length: FieldSpecifier.variableLength)
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    field(.basicList, length: FieldSpecifier.variableLength)
  }
}
