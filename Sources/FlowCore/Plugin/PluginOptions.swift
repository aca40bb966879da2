// The options that a plugin declares, and how `--plugin NAME:key=value,…` becomes their values.
import Wire

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
    /// Any text, and its default.
    case text(default: String)
    /// A file, which is read once, at start; without the option there is none.
    case path
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
  /// Those of each further time that the plugin is named, which only one that reads records may be.
  public internal(set) var further: [PluginOptions] = []
  private let declared: [PluginOption]
  private let plugin: String

  /// Parses `key=value,…`; `plugin` is named in errors.
  public init(_ text: String, declared: [PluginOption], plugin: String) throws(FlowSetupError) {
    self.declared = declared
    self.plugin = plugin
    for part in PluginOptions.words(of: text) where !part.isEmpty {
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
      let value = pair.count > 1 ? try PluginOptions.unquoted(pair[1], option, plugin) : nil
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
    case .text:
      guard value != nil else {
        throw .plugin("option \(option.name) of plugin \(plugin) takes a text: \(option.name)=TEXT")
      }
    case .path:
      guard value?.isEmpty == false else {
        throw .plugin("option \(option.name) of plugin \(plugin) takes a file: \(option.name)=FILE")
      }
    }
  }

  // MARK: Values

  /// Whether a flag was given.
  public func flag(_ name: String) -> Bool { values[name] != nil }

  /// A number's value, or its default.
  public func number(_ name: String) -> Int {
    guard case .number(_, let fallback)? = kind(name) else { return 0 }
    return values[name].flatMap { Int($0) } ?? fallback
  }

  /// A choice's value, or its default.
  public func choice(_ name: String) -> String {
    guard case .choice(_, let fallback)? = kind(name) else { return "" }
    return values[name] ?? fallback
  }

  /// A text, or its default.
  public func text(_ name: String) -> String {
    guard case .text(let fallback)? = kind(name) else { return "" }
    return values[name] ?? fallback
  }

  /// The path of a file, or nil where none is given.
  public func path(_ name: String) -> String? { values[name] }

  /// The most bytes that `contents` reads.
  public static let largestFile = 64 << 20

  /// The bytes of the file that option `name` gives, or nil where it gives none. They are read now, and not again.
  public func contents(_ name: String) throws(FlowSetupError) -> [UInt8]? {
    guard let path = values[name] else { return nil }
    do throws(OrdinaryFile.Unreadable) {
      return try OrdinaryFile.contents(path, atMost: Self.largestFile)
    } catch {
      throw .plugin("option \(name) of plugin \(plugin): cannot read \(path): \(error.reason)")
    }
  }

  /// A copy of `bytes` that lives as long as the process, for plugins to hold: they may have no array and no string.
  public static func keep(_ bytes: some Collection<UInt8>) -> Bytes {
    guard !bytes.isEmpty else { return Bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    _ = copy.initialize(from: bytes)
    // Safe: an allocated buffer has an address, and nobody writes to it or frees it any more.
    return Bytes(UnsafeRawPointer(copy.baseAddress!), count: bytes.count)
  }

  private func kind(_ name: String) -> PluginOption.Kind? { declared.first { $0.name == name }?.kind }

  // MARK: Quotes

  /// The words between commas. In double quotes a comma is an ordinary character; a backslash there makes the next
  /// character one. Quotes stay, for `unquoted` to take away.
  static func words(of text: String) -> [String] {
    var words = [""]
    var isQuoted = false
    var isEscaped = false
    var last: Character = ","
    for character in text {
      if character == ",", !isQuoted {
        words.append("")
      } else {
        words[words.count - 1].append(character)
        // Only a value begins a quotation: an inch mark in the middle of a word is one of its characters.
        if character == "\"", !isEscaped, isQuoted || last == "=" { isQuoted.toggle() }
      }
      isEscaped = isQuoted && character == "\\" && !isEscaped
      last = character
    }
    return words
  }

  /// The value in the quotes, where it begins with one; else the value as it stands.
  private static func unquoted(_ value: String, _ option: PluginOption, _ plugin: String)
    throws(FlowSetupError) -> String
  {
    guard value.first == "\"" else { return value }
    var result = ""
    var isEscaped = false
    var rest = value.dropFirst()
    while let character = rest.popFirst() {
      if isEscaped || character != "\\" && character != "\"" {
        result.append(character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if rest.isEmpty {
        return result
      } else {
        break
      }
    }
    throw .plugin(
      "option \(option.name) of plugin \(plugin): a value that begins with a quote ends with one, not '\(value)'"
    )
  }
}
