// The plugins with their options and columns, as JSON: from the same declarations as everything else that is said of them.
import Arrow
import FlowCore
import Glibc
import IPFIX
import Rendering

/// What `martlet_plugins` gives.
enum PluginText {
  /// The basic fields, then each plugin.
  static var all: UnsafeMutablePointer<CChar>? {
    let basic = entry(
      "", "the fields that all records have", options: [],
      fields: fields(of: []).map { ($0, nil) })
    return CallerText.make(
      JSON.array([basic] + PluginCatalogue.all.filter { $0.name != RunOptions.ofTheHost }.map(plugin)))
  }

  private static func plugin(_ plugin: PluginDescription) -> String {
    let basic = Set(fields(of: []).compactMap { $0.element?.code })
    var known: [UInt32: ArrowField] = [:]
    // A field that only an option brings has its type from a schema with that option.
    var schemas = Set(plugin.fields.map { $0.option ?? "" }).map { option in
      [PluginSelection(option.isEmpty || option.hasSuffix("=") ? plugin.name : "\(plugin.name):\(option)")]
    }
    // A plugin that may be named several times has fields of its own for each; for others that is no schema.
    schemas.append(Array(repeating: PluginSelection(plugin.name), count: ModelLimits.most))
    for field in schemas.flatMap({ fields(of: $0) }) {
      guard let code = field.element?.code, !basic.contains(code) else { continue }
      known[code] = field
    }
    return entry(
      plugin.name, plugin.summary, options: plugin.options,
      fields: plugin.fields.compactMap { field in known[field.element.code].map { ($0, field.option) } })
  }

  private static func fields(of plugins: [PluginSelection]) -> [ArrowField] {
    guard let schema = try? BuiltInSchema(plugins: plugins) else { return [] }
    return ArrowField.fields(schema.tableColumns(), names: .short, addresses: .text)
  }

  private static func entry(
    _ name: String, _ summary: String, options: [PluginOption], fields: [(ArrowField, option: String?)]
  ) -> String {
    JSON.object([
      ("name", JSON.quoted(name)), ("summary", JSON.quoted(summary)),
      ("options", JSON.array(options.map(option))),
      ("fields", JSON.array(fields.map { field($0, option: $1) })),
    ])
  }

  private static func option(_ option: PluginOption) -> String {
    let fallback =
      switch option.kind {
      case .flag: "false"
      case .number(_, let fallback): String(fallback)
      case .choice(_, let fallback), .text(let fallback): JSON.quoted(fallback)
      case .path: "null"
      }
    return JSON.object([
      ("name", JSON.quoted(option.name)), ("default", fallback), ("text", JSON.quoted(option.summary)),
    ])
  }

  private static func field(_ field: ArrowField, option: String?) -> String {
    let element = field.element.map { JSON.quoted($0.key) } ?? "null"
    return JSON.object(
      [
        ("name", JSON.quoted(field.name)), ("element", element), ("type", JSON.quoted(field.typeName)),
        ("description", JSON.quoted(field.origin)),
      ] + (option.flatMap { $0.isEmpty ? nil : [("option", JSON.quoted($0))] } ?? []))
  }
}
