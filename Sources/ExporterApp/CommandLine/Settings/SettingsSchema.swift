// `--print-schema settings`: a JSON Schema of settings files, with which editors complete names and mark mistakes.

/// The schema of settings files, draft 2020-12.
enum SettingsSchema {
  /// The schema for these options.
  static func text(_ table: OptionTable) -> String {
    var properties = [
      "    \(JSONText.quoted(EALSettings.section)): {\n"
        + "      \"description\": \"DPDK's options by their names, or as a list of the words that stand before --\",\n"
        + "      \"oneOf\": [\(words), {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\(eal)}}]\n    }"
    ]
    for option in table.settable {
      for name in option.names {
        let help = option.help.split(whereSeparator: \.isNewline).joined(separator: " ")
        let value = type(option)
        let members =
          option.isRepeating
          ? "\"oneOf\": [\(value), {\"type\": \"array\", \"minItems\": 1, \"items\": \(value)}]"
          : String(value.dropFirst().dropLast())
        properties.append(
          "    \(JSONText.quoted(name)): {\"description\": \(JSONText.quoted(help)), \(members)}")
      }
    }
    return """
      {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of Martlet",
        "type": "object",
        "additionalProperties": false,
        "properties": {
      \(properties.joined(separator: ",\n"))
        }
      }

      """
  }

  /// What a value of the option may be.
  private static func type(_ option: OptionDeclaration) -> String {
    if option.isFlag { return "{\"type\": \"boolean\"}" }
    if !option.choices.isEmpty {
      return "{\"enum\": [\(option.choices.map(JSONText.quoted).joined(separator: ", "))]}"
    }
    return switch option.valueName {
    case "N": "{\"type\": \"integer\"}"
    case "S": "{\"type\": \"number\", \"minimum\": 0}"
    default: "{\"type\": [\"string\", \"number\"]}"
    }
  }

  /// A list of words.
  private static let words = "{\"type\": \"array\", \"items\": {\"type\": [\"string\", \"number\"]}}"

  /// The properties of EAL's section.
  private static var eal: String {
    let value = "{\"type\": [\"string\", \"number\"]}"
    let valued = EALSettings.valued.map { "\(JSONText.quoted($0)): {\"oneOf\": [\(value), \(words)]}" }
    let flags = EALSettings.flags.map {
      "\(JSONText.quoted($0)): {\"type\": [\"boolean\", \"string\", \"number\"]}"
    }
    return (valued + flags).joined(separator: ", ")
  }
}
