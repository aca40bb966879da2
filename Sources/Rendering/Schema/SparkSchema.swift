// Spark reads JSON with a StructType, which it takes as JSON itself: StructType.fromJson, DataType.fromJson.

/// The StructType of records.
enum SparkSchema {
  /// Its JSON.
  static func text(_ fields: [JSONField]) -> String {
    let members = fields.map { field in
      "  "
        + SchemaText.object([
          ("name", SchemaText.quoted(field.key)), ("type", type(field)),
          ("nullable", field.isOptional || field.value == .float32 ? "true" : "false"),
          ("metadata", SchemaText.object([("comment", SchemaText.quoted(field.origin))])),
        ])
    }
    return "{\"type\": \"struct\", \"fields\": [\n\(members.joined(separator: ",\n"))\n]}\n"
  }

  private static func type(_ field: JSONField) -> String {
    let plain = SchemaText.quoted(field.isCount ? "long" : name(field.value))
    guard field.isList else { return plain }
    return SchemaText.object([
      ("type", SchemaText.quoted("array")), ("elementType", plain), ("containsNull", "false"),
    ])
  }

  /// Spark's integers have signs, so that unsigned ones need the next larger type, and the largest a decimal one, as a hash;
  /// counts of packets and octets end far below.
  private static func name(_ value: JSONField.Value) -> String {
    switch value {
    case .unsigned(let bits) where bits <= 8: "short"
    case .unsigned(let bits) where bits <= 16: "integer"
    case .unsigned(let bits) where bits <= 32: "long"
    case .unsigned: "decimal(20,0)"
    case .signed(let bits) where bits <= 8: "byte"
    case .signed(let bits) where bits <= 16: "short"
    case .signed(let bits) where bits <= 32: "integer"
    case .signed: "long"
    case .float32: "float"
    case .time: "timestamp"
    case .ipv4Address, .ipv6Address, .address, .macAddress, .octets, .string: "string"
    }
  }
}
