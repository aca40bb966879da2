// What a plugin exports, found by listening to it.
import IPFIX

/// One field of a plugin.
public struct PluginField: Sendable {
  public let element: InformationElement
  /// Octets on the wire, `FieldSpecifier.variableLength` where each record says how many.
  public let length: UInt16
  /// Whether it is a basicList, of which `element` is an entry.
  public let isList: Bool
  /// The option, as `time=us`, with which the field is there; nil for one that is always there.
  public internal(set) var option: String?

  /// The type as people read it.
  public var type: String { isList ? "list of \(element.type)" : "\(element.type)" }
}

/// Writes down what each field is.
struct PluginFieldList: FieldListener {
  private(set) var fields: [PluginField] = []

  mutating func field(_ element: InformationElement, length: UInt16) {
    fields.append(PluginField(element: element, length: length, isList: false))
  }
  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    fields.append(PluginField(element: element, length: FieldSpecifier.variableLength, isList: true))
  }
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    fields.append(PluginField(element: element, length: FieldSpecifier.variableLength, isList: true))
  }
}
