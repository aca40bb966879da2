// Sets of plugins by the names of what they are for, so that nobody has to list them.

/// A set of plugins that `--preset` names.
public enum PluginPreset: String, CaseIterable, Sendable {
  /// Every plugin but the one that takes models, which nobody has by default; `--plugins all` says the same.
  case all
  /// What published models of encrypted traffic are trained on.
  case ml
  /// What analysts of incidents look for.
  case security

  /// The plugins in the order of their fields, as `--plugins` takes them.
  private var words: String {
    switch self {
    case .all: PluginCatalogue.names.filter { $0 != ModelPlugin.name }.joined(separator: ",")
    case .ml: "pstats,phists,nettisa,bstats,tls,quic"
    case .security: "tls:certificates,quic,dns,http,ssh,smtp,basicplus"
    }
  }

  /// The plugins with their options.
  public var selections: [PluginSelection] { PluginCatalogue.parse(words) }

  /// Bytes that a flow's record grows by.
  public var bytesPerFlow: Int {
    guard let schema = try? BuiltInSchema(plugins: selections) else { return 0 }
    return schema.layout.stride - FlowRecord.size
  }

  /// What `presets` and the plugins named one by one come to: these as they are named, and behind them what the presets add,
  /// with the options that any of them gives. The word `all` among the names stands for its preset.
  public static func expand(_ presets: [PluginPreset], _ named: [PluginSelection]) -> [PluginSelection] {
    var selections = named.filter { $0.name != PluginPreset.all.rawValue || !$0.options.isEmpty }
    let sets = presets + (selections.count < named.count ? [.all] : [])
    let own = selections.count
    for selection in sets.flatMap(\.selections) {
      guard let known = selections.firstIndex(where: { $0.name == selection.name }) else {
        selections.append(selection)
        continue
      }
      if known >= own, selections[known].options.isEmpty { selections[known].options = selection.options }
    }
    return selections
  }
}
