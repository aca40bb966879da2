// What a JSON record's values look like to those who make tables for them, found by listening to sample records.
import IPFIX

/// One key of the JSON records, and what its values are.
public struct JSONField: Equatable, Sendable {
  /// What a value is; all but numbers are strings.
  public enum Value: Equatable, Sendable {
    case unsigned(bits: Int)
    case signed(bits: Int)
    /// A number, or null for what JSON has none for: NaN and infinities.
    case float32
    case ipv4Address
    case ipv6Address
    /// An address of either version.
    case address
    /// Six octets, as `02:00:00:00:00:01`.
    case macAddress
    /// ISO 8601 in UTC with six decimals.
    case time
    /// `0x` and hexadecimal digits.
    case octets
    /// Text from the wire.
    case string
  }

  /// The name in the record.
  public let key: String
  /// The element, as people look it up.
  public let origin: String
  /// What a value is, or each entry of a list.
  public let value: Value
  /// Whether it counts something, so that it is far from the end of its type.
  public let isCount: Bool
  /// Whether it is an array.
  public let isList: Bool
  /// Whether records may lack it.
  public internal(set) var isOptional: Bool

  /// The field of an element.
  public init(_ element: InformationElement, _ value: Value, isList: Bool = false) {
    key = element.key
    let units = element.units == .none ? "" : "\(element.units), "
    origin =
      "\(units)\(element.owner.name) \(element.identifier), \(element.type)\(isList ? " in a list" : "")"
    self.value = value
    isCount = element.semantics == .deltaCounter || element.semantics == .totalCounter
    self.isList = isList
    isOptional = true
  }
}

/// Writes down the fields of sample records; values are ignored.
///
/// The basic fields come first, once in each of the forms that they have, each after `startForm()`; then `endForms()`, and the
/// plugins' fields.
public struct JSONFieldList: ValueListener {
  /// The fields, each once, in the order of records.
  public private(set) var fields: [JSONField] = []
  /// In how many forms each field is.
  private var appearances: [String: Int] = [:]
  private var forms = 0
  /// Where the next field that is not known yet has its place.
  private var cursor = 0

  /// No fields.
  public init() {}

  /// Begins a form of the basic fields.
  public mutating func startForm() {
    forms += 1
    cursor = 0
  }

  /// The basic fields are complete: those that all forms have are in every record.
  public mutating func endForms() {
    for index in fields.indices { fields[index].isOptional = appearances[fields[index].key] != forms }
    cursor = fields.count
  }

  public mutating func field(_ column: TableColumn) {
    let field = JSONField(column.element, column.value, isList: column.isList)
    appearances[field.key, default: 0] += 1
    if let known = fields.firstIndex(where: { $0.key == field.key }) {
      cursor = max(cursor, known + 1)
    } else {
      fields.insert(field, at: cursor)
      cursor += 1
    }
  }
}
