// `--list-plugins`: what each plugin adds, for people and for the table in README.md that is made from it.
import FlowCore

/// `--list-plugins`: every plugin with its options, memory and fields, and the presets.
enum PluginList {
  static var text: String {
    plugins + "\n" + presets
  }

  private static var presets: String {
    PluginPreset.allCases.map { preset in
      let words = preset.selections.map { $0.options.isEmpty ? $0.name : "\($0.name):\($0.options)" }
      return
        "    preset \(preset.rawValue): \(words.joined(separator: ",")); \(preset.bytesPerFlow) bytes per flow\n"
    }.joined()
  }

  private static var plugins: String {
    PluginCatalogue.all.map { plugin in
      var lines = ["\(plugin.name)  \(plugin.summary); \(plugin.bytesPerFlow) bytes per flow"]
      for option in plugin.options {
        let value =
          switch option.kind {
          case .flag: ""
          case .number(let range, let fallback): "=\(range.lowerBound)…\(range.upperBound) (\(fallback))"
          case .choice(let words, let fallback): "=\(words.joined(separator: "|")) (\(fallback))"
          case .text(let fallback): fallback.isEmpty ? "=TEXT" : "=TEXT (\(fallback))"
          case .path: "=FILE"
          }
        lines.append("    option \(option.name)\(value): \(option.summary)")
      }
      lines += plugin.fields.map { field in
        "    field  \(field.element.key), \(field.type)" + (field.option.map { " (with \($0))" } ?? "")
      }
      return lines.joined(separator: "\n") + "\n"
    }.joined(separator: "\n")
  }
}
