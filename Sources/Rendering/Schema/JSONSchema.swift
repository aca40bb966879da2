// JSON Schema (draft 2020-12), with which a consumer or a registry checks records.

/// The schema of a record.
enum JSONSchema {
  /// Its JSON.
  static func text(_ fields: [JSONField]) -> String {
    let properties = fields.map { "    \(SchemaText.quoted($0.key)): \(property($0))" }
    let required = fields.filter { !$0.isOptional }.map { "    \(SchemaText.quoted($0.key))" }
    return """
      {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Martlet's flow record",
        "type": "object",
        "properties": {
      \(properties.joined(separator: ",\n"))
        },
        "required": [
      \(required.joined(separator: ",\n"))
        ],
        "additionalProperties": false
      }

      """
  }

  private static func property(_ field: JSONField) -> String {
    let description = ("description", SchemaText.quoted(field.origin))
    guard field.isList else { return SchemaText.object(members(field.value) + [description]) }
    return SchemaText.object([
      ("type", SchemaText.quoted("array")), ("items", SchemaText.object(members(field.value))), description,
    ])
  }

  /// What a value must be.
  private static func members(_ value: JSONField.Value) -> [(String, String)] {
    func text(_ more: (String, String)...) -> [(String, String)] {
      [("type", SchemaText.quoted("string"))] + more.map { ($0.0, SchemaText.quoted($0.1)) }
    }
    switch value {
    case .unsigned(let bits):
      return [
        ("type", SchemaText.quoted("integer")), ("minimum", "0"),
        ("maximum", "\(UInt64.max &>> UInt64(clamping: 64 - bits))"),
      ]
    case .signed(let bits):
      let most = Int64.max &>> Int64(clamping: 64 - bits)
      return [
        ("type", SchemaText.quoted("integer")), ("minimum", "\(-most - 1)"), ("maximum", "\(most)"),
      ]
    case .float32: return [("type", "[\"number\", \"null\"]")]
    case .ipv4Address: return text(("format", "ipv4"))
    case .ipv6Address: return text(("format", "ipv6"))
    case .macAddress: return text(("pattern", "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"))
    case .time: return text(("format", "date-time"))
    case .octets: return text(("pattern", "^0x([0-9a-f]{2})*$"))
    case .address, .string: return text()
    }
  }
}
