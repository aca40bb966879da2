// What a field's values are, for all who make tables or schemas of sample records: said once here, for each way to write a field.
import IPFIX

/// A column of a table of records.
public struct TableColumn: Sendable {
  /// The element that fills it.
  public let element: InformationElement
  /// What a value is, or each entry of a list.
  public let value: JSONField.Value
  /// Whether a value is a list.
  public let isList: Bool
}

/// A field writer that hears which fields there are and what their values may be, and does not look at the values.
public protocol ValueListener: FieldWriter {
  /// Takes note of a field.
  mutating func field(_ column: TableColumn)
}

extension ValueListener {
  private mutating func plain(_ element: InformationElement, _ value: JSONField.Value) {
    field(TableColumn(element: element, value: value, isList: false))
  }

  private mutating func unsigned(_ element: InformationElement, bits: Int) {
    plain(element, .unsigned(bits: max(bits, element.type.bits)))
  }

  public mutating func unsigned8(_ element: InformationElement, _ value: UInt8) { unsigned(element, bits: 8) }
  public mutating func unsigned16(_ element: InformationElement, _ value: UInt16) {
    unsigned(element, bits: 16)
  }
  public mutating func unsigned32(_ element: InformationElement, _ value: UInt32) {
    unsigned(element, bits: 32)
  }
  public mutating func unsigned64(_ element: InformationElement, _ value: UInt64) {
    unsigned(element, bits: 64)
  }
  public mutating func float32(_ element: InformationElement, _ value: Float) { plain(element, .float32) }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    plain(element, .ipv4Address)
  }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    plain(element, .ipv6Address)
  }
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    plain(element, .macAddress)
  }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) { plain(element, .time) }
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) { plain(element, .octets) }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) { plain(element, .string) }
  public mutating func addressOctets(
    _ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool
  ) {
    plain(element, .address)
  }
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    let bits = max(Entry.bitWidth, element.type.bits)
    field(
      TableColumn(
        element: element, value: Entry.isSigned ? .signed(bits: bits) : .unsigned(bits: bits),
        isList: true))
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    field(TableColumn(element: element, value: .time, isList: true))
  }
}

extension AbstractDataType {
  /// The bits of an integer; 0 for other types.
  fileprivate var bits: Int {
    switch self {
    case .unsigned8, .signed8: 8
    case .unsigned16, .signed16: 16
    case .unsigned32, .signed32: 32
    case .unsigned64, .signed64: 64
    default: 0
    }
  }
}
