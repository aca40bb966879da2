// A column of record batches: where its values come from, and how it is announced.
import CArrow
import IPFIX
import Rendering

/// One column.
public struct ArrowField: Sendable {
  /// Its name in the schema.
  public let name: String
  /// What fills it; nil for what the batches have on top.
  public let element: InformationElement?
  /// The type of its values, or of a list's entries.
  public let type: ArrowType
  /// Whether a value is a list.
  public let isList: Bool
  /// The element, as people look it up.
  public let origin: String

  /// The type as Arrow's libraries show it.
  public var typeName: String { isList ? "list<\(type.name)>" : type.name }

  /// The columns for those of a table of records: in front the names of the captures and the durations in seconds.
  public static func fields(
    _ columns: [TableColumn], names: CSVNames, addresses: ArrowType.Addresses
  ) -> [ArrowField] {
    let own = [
      ArrowField(name: source, element: nil, type: .names, isList: false, origin: "the capture"),
      ArrowField(name: duration, element: nil, type: .float64, isList: false, origin: "seconds"),
    ]
    return own
      + zip(columns, names.names(columns.map(\.element))).map { column, name in
        ArrowField(
          name: name, element: column.element,
          type: ArrowType(
            column.value, addresses: addresses, isDigest: CSVNames.isDigest(column.element)),
          isList: column.isList,
          origin: JSONField(column.element, column.value, isList: column.isList).origin)
      }
  }

  /// The names of the two columns in front, which are those that short names in CSV have at the end.
  static let source = "source_file"
  static let duration = "duration"

  /// Makes the schema of a struct of these columns, which its owner releases.
  ///
  /// - Returns: 0, or ENOMEM.
  public static func makeSchema(of fields: [ArrowField], in schema: UnsafeMutablePointer<ArrowSchema>)
    -> Int32
  {
    var status = martlet_arrow_schema(schema, "+s", "", nil, 0, 0, Int64(fields.count), 0)
    guard status == 0 else { return status }
    for (index, field) in fields.enumerated() where status == 0 {
      // Safe: as many children were made above.
      status = field.makeSchema(in: schema.pointee.children[index]!)
    }
    if status != 0 { schema.pointee.release(schema) }
    return status
  }

  private func makeSchema(in schema: UnsafeMutablePointer<ArrowSchema>) -> Int32 {
    let metadata = Self.encode(
      element.map { [("element", $0.key), ("description", origin)] } ?? [("description", origin)])
    let nullable = Int64(element == nil ? 0 : ARROW_FLAG_NULLABLE)
    guard isList else { return make(schema, name, metadata, nullable) }
    let status = martlet_arrow_schema(
      schema, "+l", name, metadata, UInt64(metadata.count), nullable, 1, 0)
    guard status == 0 else { return status }
    // Safe: one child was made above.
    return make(schema.pointee.children[0]!, "item", [], 0)
  }

  /// The schema of plain values.
  private func make(
    _ schema: UnsafeMutablePointer<ArrowSchema>, _ name: String, _ metadata: [UInt8], _ flags: Int64
  ) -> Int32 {
    let status = metadata.withUnsafeBytes {
      martlet_arrow_schema(
        schema, type.format, name, $0.isEmpty ? nil : $0.baseAddress, UInt64($0.count), flags, 0,
        type == .names ? 1 : 0)
    }
    guard status == 0, type == .names else { return status }
    return martlet_arrow_schema(schema.pointee.dictionary, "u", "", nil, 0, 0, 0, 0)
  }

  /// Metadata as the C data interface has it: counts of 32 bits in the machine's byte order, each before what it counts.
  private static func encode(_ pairs: [(String, String)]) -> [UInt8] {
    func count(_ number: Int) -> [UInt8] { withUnsafeBytes(of: Int32(number)) { Array($0) } }
    func text(_ text: String) -> [UInt8] { count(text.utf8.count) + Array(text.utf8) }
    return pairs.reduce(into: count(pairs.count)) { $0 += text($1.0) + text($1.1) }
  }
}
