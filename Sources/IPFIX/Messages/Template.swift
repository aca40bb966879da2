// What a template is, and the field writer that makes one by listening to a record's fields.
import Wire

/// An ordered list of fields with the number that data sets name it by (RFC 7011 section 3.4.1).
public struct Template: Sendable, Equatable {
  /// 256 to 65535.
  public var identifier: UInt16
  /// The fields, in the order in which data records hold them.
  public var fields: [FieldSpecifier]
  /// How many fields, from the first on, are the scope of options records (RFC 7011 section 3.4.2); 0 in other templates.
  public var scopeCount: Int

  /// A template; pure data.
  public init(identifier: UInt16, fields: [FieldSpecifier], scopeCount: Int = 0) {
    self.identifier = identifier
    self.fields = fields
    self.scopeCount = scopeCount
  }

  /// The template record as it stands in a template set, big-endian; in an options template the number of scope fields
  /// follows the field count.
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
    var record = TemplateRecord(scopeCount: scopeCount)
    for field in fields { record.append(field) }
    record.setIdentifier(identifier)
    return Array(record.bytes.buffer)
  }
}

/// A field of a template with all that is known of its values: name, type, semantics and units, for whoever describes
/// elements to collectors (RFC 5610).
public struct TemplateField: BitwiseCopyable, Sendable {
  /// What the field holds; of a basicList the element of its entries.
  public let element: InformationElement
  /// Octets on the wire, `FieldSpecifier.variableLength` where each record says how many.
  public let length: UInt16
  /// Whether it is a basicList (RFC 6313 section 4.5.1).
  public let isList: Bool

  /// A field; pure data.
  public init(element: InformationElement, length: UInt16, isList: Bool) {
    self.element = element
    self.length = length
    self.isList = isList
  }
}

/// A template record as it grows, field by field, in the form that `Template.record` draws.
@usableFromInline
struct TemplateRecord: ~Copyable {
  private var memory = OwnedBytes(count: 512)
  private var length: Int
  /// Fields of the scope, 0 where records are not options records.
  let scopeCount: Int
  /// The fields with what their values mean; those that were added without it are left out.
  private(set) var fields = GrowableList<TemplateField>(capacity: 64)
  /// How many fields there are.
  private(set) var fieldCount = 0
  /// The octets of the shortest data record: the fixed fields, and one for each variable field's length.
  private(set) var shortestRecord = 0
  /// Some field has variable length.
  private(set) var isVariable = false

  /// A record without fields and number.
  @usableFromInline init(scopeCount: Int = 0) {
    self.scopeCount = scopeCount
    length = scopeCount == 0 ? 4 : 6
    if scopeCount != 0 { memory.store(UInt16(truncatingIfNeeded: scopeCount), at: 4) }
  }

  /// Adds a field.
  mutating func append(_ field: FieldSpecifier) {
    let hasEnterprise = field.enterpriseNumber != 0
    let end = length &+ (hasEnterprise ? 8 : 4)
    if end > memory.count { memory.grow(to: memory.count &* 2, keeping: length) }
    memory.store(field.identifier & 0x7FFF | (hasEnterprise ? 0x8000 : 0), at: length)
    memory.store(field.length, at: length &+ 2)
    if hasEnterprise { memory.store(field.enterpriseNumber, at: length &+ 4) }
    length = end
    fieldCount &+= 1
    let fieldIsVariable = field.length == FieldSpecifier.variableLength
    shortestRecord &+= fieldIsVariable ? 1 : Int(field.length)
    isVariable = isVariable || fieldIsVariable
    memory.store(UInt16(truncatingIfNeeded: fieldCount), at: 2)
  }

  /// Adds a field with what its values mean.
  mutating func append(_ field: FieldSpecifier, _ meaning: TemplateField) {
    append(field)
    fields.append(meaning)
  }

  /// Fills in the template's number.
  mutating func setIdentifier(_ identifier: UInt16) { memory.store(identifier, at: 0) }

  /// The record's octets; valid until a field is added.
  var bytes: Bytes { memory.view(0, length) }
}

/// Makes a template of a record's fields; the values are ignored.
public struct TemplateBuilder: FieldListener, ~Copyable {
  /// The fields so far.
  @usableFromInline var record = TemplateRecord()
  private let martletEnterpriseNumber: UInt32

  /// A template without fields that gives Martlet's own elements the enterprise number `martletEnterpriseNumber`.
  public init(martletEnterpriseNumber: UInt32 = EnterpriseNumber.documentation) {
    self.martletEnterpriseNumber = martletEnterpriseNumber
  }

  public mutating func field(_ element: InformationElement, length: UInt16) {
    append(element, as: element, length: length, isList: false)
  }

  /// The field is a basicList of variable length; the inner element is named in the data (RFC 6313 section 4.5.1).
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    append(element, as: .basicList, length: FieldSpecifier.variableLength, isList: true)
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    append(element, as: .basicList, length: FieldSpecifier.variableLength, isList: true)
  }

  /// Adds a field of the kind `carrier` that holds values of `element`.
  private mutating func append(
    _ element: InformationElement, as carrier: InformationElement, length: UInt16, isList: Bool
  ) {
    record.append(
      FieldSpecifier(
        identifier: carrier.identifier, length: length,
        enterpriseNumber: carrier.enterpriseNumber(martlet: martletEnterpriseNumber)),
      TemplateField(element: element, length: length, isList: isList))
  }
}
