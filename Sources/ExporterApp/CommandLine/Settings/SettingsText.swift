// `--print-settings`: what is in effect, as a settings file that can be read again.

/// Settings as a file.
struct SettingsText {
  private let table: OptionTable
  /// The texts of the options that are given, by their long names.
  private let values: [String: [String]]
  private let eal: EALSettings?

  init(_ values: [String: [String]], eal: EALSettings?, _ table: OptionTable) {
    self.values = values
    self.eal = eal
    self.table = table
  }

  /// The file: what is given as settings, what is not as comments with its help, which names the default.
  var text: String {
    var lines = [
      "# What martlet runs with, from the settings file and the command line: martlet --settings FILE", "",
    ]
    if let eal, !eal.words.isEmpty {
      lines.append("\(EALSettings.section):")
      lines += eal.words.map { "  - \(Self.scalar($0))" }
    }
    for option in table.settable {
      guard let texts = values[option.name] else { continue }
      if option.isFlag {
        lines.append("\(option.name): true")
      } else if option.isRepeating, texts.count != 1 {
        lines.append("\(option.name):")
        lines += texts.map { "  - \(Self.scalar($0))" }
      } else {
        lines.append("\(option.name): \(Self.scalar(texts.first ?? ""))")
      }
    }
    let others = table.settable.filter { values[$0.name] == nil }
    lines += ["", "# Not given, with the default in parentheses where there is one:"]
    lines += others.map {
      "# \($0.name): \($0.help.split(whereSeparator: \.isNewline).joined(separator: " "))"
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A value: as it is where no reader takes that for anything else, else in double quotes (YAML 1.2, 7.3.1).
  static func scalar(_ text: String) -> String {
    let isPlain =
      text.unicodeScalars.allSatisfy { scalar in
        scalar.isASCII
          && (scalar.properties.isAlphabetic || "0123456789/_.+-,:=;?&@()[]".unicodeScalars.contains(scalar))
      }
      && text.unicodeScalars.first.map {
        $0.properties.isAlphabetic || "0123456789/(".unicodeScalars.contains($0)
      } ?? false
      && !text.hasSuffix(":") && !SettingsValue(text: text, line: 0, style: .plain).isNull
      && !["true", "false"].contains(text)
    if isPlain { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\" + String(scalar)
      case _ where isUnreadable(scalar):
        let digits = String(scalar.value, radix: 16)
        let (letter, count) = scalar.value < 0x100 ? ("x", 2) : ("u", 4)
        quoted += "\\" + letter + String(repeating: "0", count: count - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// Whether YAML takes a character in quotes for the end of a line, or for nothing at all (1.1, 5.1 and 5.4).
  private static func isUnreadable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: true
    default: false
    }
  }
}
