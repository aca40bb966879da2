// What there is to choose from: the declarations of all plugins, for `--list-plugins`, usage errors and the docs.
import IPFIX

/// One plugin's declaration.
public struct PluginDescription: Sendable {
  public let name: String
  public let summary: String
  public let options: [PluginOption]
  /// Bytes that a flow's record grows by with the default options.
  public let bytesPerFlow: Int
  /// The fields in template order, also those that only an option brings.
  public let fields: [PluginField]
}

extension RecordSchema where Registry == BuiltInPlugins {
  /// The fields that all records have, in template order, those of IPv4 and IPv6, all times, and those that databases fill among
  /// them.
  public static func basicFields() -> [PluginField] {
    let precisions = TimestampPrecision([.milliseconds, .microseconds, .nanoseconds])
    guard let schema = try? BuiltInSchema(plugins: [], timestamps: precisions, enriches: true) else {
      return []
    }
    return schema.basicFields()
  }

  /// The fields of records of flows in tunnels, with `--tunnels`.
  public static func tunnelFields() -> [PluginField] {
    guard let schema = try? BuiltInSchema(plugins: [], tunnels: TunnelSettings(kinds: .all)) else {
      return []
    }
    return schema.tunnelFields()
  }
}

/// All built-in plugins, by name.
public enum PluginCatalogue {
  public static let all: [PluginDescription] = {
    var lister = PluginLister()
    BuiltInPlugins.visitAll(&lister)
    return lister.descriptions.sorted { $0.name < $1.name }
  }()

  /// Splits `a,b:key=value,flag,c` into plugins: a word that has `=`, or that is an option of the plugin before it, belongs
  /// to that plugin; every other word names a plugin. Commas in double quotes do not split (`PluginOptions.words`).
  public static func parse(_ text: String) -> [PluginSelection] {
    var selections: [PluginSelection] = []
    var takesOptions = false
    for word in PluginOptions.words(of: text) {
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

  /// The names of all plugins in order.
  static let names: [String] = options.keys.sorted()

  /// What each plugin's options are called. Apart from `all`, which tries every option out, so that a command line is read at
  /// once.
  private static let options: [String: [String]] = {
    var lister = OptionLister()
    BuiltInPlugins.visitAll(&lister)
    return lister.options
  }()

  private static func isOption(_ word: String, of plugin: String) -> Bool {
    options[plugin]?.contains(word) ?? false
  }
}

private struct OptionLister: PluginVisitor {
  var options: [String: [String]] = [:]

  mutating func visit<P: FlowPlugin>(_ type: P.Type) { options[P.name] = P.options.map(\.name) }
}

private struct PluginLister: PluginVisitor {
  var descriptions: [PluginDescription] = []

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard let schema = try? BuiltInSchema(plugins: [PluginSelection(P.name)]) else { return }
    // The slots are the layout's, which goes with the schema.
    let end = withExtendedLifetime(schema) {
      schema.layout.slots[0].trailingOffset + schema.layout.slots[0].trailingSize
    }
    descriptions.append(
      PluginDescription(
        name: P.name, summary: P.summary, options: P.options, bytesPerFlow: Int(end) - FlowRecord.size,
        fields: fields(of: P.name, schema.pluginFields(), P.options) + furtherFields(of: type)))
  }

  /// The fields of a plugin that is named as often as it may be, which the first of them does not have.
  private func furtherFields<P: FlowPlugin>(of type: P.Type) -> [PluginField] {
    guard P.readsRecords else { return [] }
    var number = 1
    var fields: [PluginField] = []
    while let schema = try? BuiltInSchema(
      plugins: Array(repeating: PluginSelection(P.name), count: number)), number <= 32
    {
      for var field in schema.pluginFields().dropFirst(fields.count) {
        field.option = number == 1 ? nil : "\(P.name) named \(number) times"
        fields.append(field)
      }
      number += 1
    }
    return fields.filter { $0.option != nil }
  }

  /// The fields with the default options, and behind the ones before them those that a flag or other words of an option bring.
  private func fields(of name: String, _ usual: [PluginField], _ options: [PluginOption]) -> [PluginField] {
    var fields = usual
    for option in options {
      let (settings, usualSetting) = settings(of: option)
      for setting in settings {
        guard let schema = try? BuiltInSchema(plugins: [PluginSelection("\(name):\(setting)")]) else {
          continue
        }
        let others = schema.pluginFields()
        for index in fields.indices
        where !others.contains(where: { $0.element.code == fields[index].element.code }) {
          fields[index].option = fields[index].option ?? usualSetting
        }
        var place = 0
        for var field in others {
          if let known = fields.firstIndex(where: { $0.element.code == field.element.code }) {
            place = known + 1
          } else {
            // Behind the one that it stands for.
            while place < fields.count, fields[place].option != nil { place += 1 }
            field.option = setting
            fields.insert(field, at: place)
            place += 1
          }
        }
      }
    }
    return fields
  }

  /// What of an option can be asked for that is not the default, and what the default is called.
  private func settings(of option: PluginOption) -> (others: [String], usual: String) {
    switch option.kind {
    case .flag: ([option.name], "")
    case .choice(let words, let fallback):
      (words.filter { $0 != fallback }.map { "\(option.name)=\($0)" }, "\(option.name)=\(fallback)")
    case .number, .text, .path: ([], "")
    }
  }
}
