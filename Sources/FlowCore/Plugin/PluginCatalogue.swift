// What there is to choose from: the declarations of all plugins, for `--list-plugins`, usage errors and the docs.
import IPFIX

/// One plugin's declaration.
public struct PluginDescription: Sendable {
  public let name: String
  public let summary: String
  public let options: [PluginOption]
  /// Bytes that a flow's record grows by with the default options.
  public let bytesPerFlow: Int
  /// The fields, in template order.
  public let fields: [InformationElement]
}

/// All built-in plugins, by name.
public enum PluginCatalogue {
  public static let all: [PluginDescription] = {
    var lister = PluginLister()
    for number in 0..<BuiltInPlugins.count { BuiltInPlugins.visit(UInt8(number), &lister) }
    return lister.descriptions.sorted { $0.name < $1.name }
  }()

  /// Splits `a,b:key=value,flag,c` into plugins: a word that has `=`, or that is an option of the plugin before it, belongs
  /// to that plugin; every other word names a plugin.
  public static func parse(_ text: String) -> [PluginSelection] {
    var selections: [PluginSelection] = []
    var takesOptions = false
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let key = word.prefix { $0 != "=" }
      if takesOptions, let last = selections.indices.last,
        word.contains("=") && !key.contains(":") || isOption(String(key), of: selections[last].name)
      {
        selections[last].options += (selections[last].options.isEmpty ? "" : ",") + word
      } else {
        selections.append(PluginSelection(String(word)))
        takesOptions = word.contains(":")
      }
    }
    return selections
  }

  private static func isOption(_ word: String, of plugin: String) -> Bool {
    all.first { $0.name == plugin }?.options.contains { $0.name == word } ?? false
  }
}

private struct PluginLister: PluginVisitor {
  var descriptions: [PluginDescription] = []

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard let schema = try? RecordSchema(plugins: [PluginSelection(P.name)]) else { return }
    let (columns, counts) = schema.columnsAndCounts()
    descriptions.append(
      PluginDescription(
        name: P.name, summary: P.summary, options: P.options,
        bytesPerFlow: Int(schema.layout.slots[0].trailingOffset + schema.layout.slots[0].trailingSize)
          - FlowRecord.size,
        fields: Array(columns.suffix(counts.first ?? 0))))
  }
}
