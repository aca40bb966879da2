// The options that a plugin declares, and how `--plugin NAME:key=value,…` becomes their values.

/// One option of a plugin.
public struct PluginOption: Sendable {
  /// What values an option takes.
  public enum Kind: Sendable {
    /// Present or absent; takes no value.
    case flag
    /// A whole number in a range, and its default.
    case number(ClosedRange<Int>, default: Int)
    /// One of several words, and the default.
    case choice([String], default: String)
  }

  public let name: String
  public let kind: Kind
  /// One line that says what the option does.
  public let summary: String

  public init(_ name: String, _ kind: Kind, _ summary: String) {
    self.name = name
    self.kind = kind
    self.summary = summary
  }
}

/// The values given for one plugin's options, checked against its declarations.
public struct PluginOptions: Sendable {
  private var values: [String: String] = [:]
  private let declared: [PluginOption]

  /// Parses `key=value,…`; `plugin` is named in errors.
  public init(_ text: String, declared: [PluginOption], plugin: String) throws(FlowSetupError) {
    self.declared = declared
    for part in text.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = declared.first(where: { $0.name == pair[0] }) else {
        let choices = declared.map(\.name).joined(separator: ", ")
        throw .plugin(
          "plugin \(plugin) has no option '\(pair[0])'"
            + (declared.isEmpty ? "; it takes none" : "; it takes \(choices)"))
      }
      guard values[option.name] == nil else {
        throw .plugin("option \(option.name) of plugin \(plugin) is given twice")
      }
      let value = pair.count > 1 ? pair[1] : nil
      try PluginOptions.check(value, option, plugin)
      values[pair[0]] = value ?? ""
    }
  }

  private static func check(_ value: String?, _ option: PluginOption, _ plugin: String) throws(FlowSetupError)
  {
    switch option.kind {
    case .flag:
      if let value {
        throw .plugin("option \(option.name) of plugin \(plugin) takes no value, not '\(value)'")
      }
    case .number(let range, _):
      guard let number = value.flatMap({ Int($0) }), range.contains(number) else {
        throw .plugin(
          "option \(option.name) of plugin \(plugin) takes a number from \(range.lowerBound) to \(range.upperBound), not '\(value ?? "")'"
        )
      }
    case .choice(let words, _):
      guard let value, words.contains(value) else {
        throw .plugin(
          "option \(option.name) of plugin \(plugin) is one of \(words.joined(separator: ", ")), not '\(value ?? "")'"
        )
      }
    }
  }

  /// Whether a flag was given.
  public func flag(_ name: String) -> Bool { values[name] != nil }

  /// A number's value, or its default.
  public func number(_ name: String) -> Int {
    guard case .number(_, let fallback)? = declared.first(where: { $0.name == name })?.kind else { return 0 }
    return values[name].flatMap { Int($0) } ?? fallback
  }

  /// A choice's value, or its default.
  public func choice(_ name: String) -> String {
    guard case .choice(_, let fallback)? = declared.first(where: { $0.name == name })?.kind else { return "" }
    return values[name] ?? fallback
  }
}
