// What a settings file says: names with values, and nothing that nests deeper than a list in the section of EAL's options.

/// What is wrong in a settings file, and where.
struct SettingsProblem: Error, Equatable {
  /// The line, from 1; 0 for the file as a whole.
  let line: Int
  /// What is wrong, and what to write.
  let text: String

  init(_ line: Int, _ text: String) {
    self.line = line
    self.text = text
  }

  /// The problem as one line, in front of which the file's name stands.
  func description(in file: String) -> String { line > 0 ? "\(file):\(line): \(text)" : "\(file): \(text)" }
}

/// A value as it stands in the file.
struct SettingsValue: Equatable {
  let text: String
  let line: Int
  /// How it stands there.
  let style: YAMLEvent.Style

  /// It stands there without quotes.
  var isPlain: Bool { style == .plain }

  /// Whether it has what nobody means in a value: a NUL, which ends words, or, where no quotes say that it is meant, the end of a
  /// line or another control character.
  var hasStrayControl: Bool {
    text.unicodeScalars.contains { $0 == "\0" || $0.value < 0x20 && style != .quoted }
  }

  /// Whether it is YAML's way to say that there is none.
  var isNull: Bool { isPlain && ["", "~", "null", "Null", "NULL"].contains(text) }
}

/// A name with what stands behind it.
struct Setting: Equatable {
  /// What may stand behind a name.
  enum Content: Equatable {
    case one(SettingsValue)
    case list([SettingsValue])
    /// Names of their own, in the section of EAL's options.
    case section([Setting])
  }

  let name: String
  let line: Int
  let content: Content
}

/// The settings of a file in their order.
struct SettingsDocument {
  let settings: [Setting]
  /// What could be read past.
  let problems: [SettingsProblem]

  /// Reads the text of a file.
  ///
  /// - Throws: what keeps the rest from being read.
  init(_ bytes: [UInt8]) throws(SettingsProblem) {
    guard let parser = YAMLParser(bytes) else { throw SettingsProblem(0, "there is no memory to read it") }
    var reader = DocumentReader(parser)
    try reader.read()
    settings = reader.settings
    problems = reader.problems
  }
}

/// Reads a document event by event.
private struct DocumentReader: ~Copyable {
  private(set) var settings: [Setting] = []
  private(set) var problems: [SettingsProblem] = []
  private var parser: YAMLParser

  init(_ parser: consuming YAMLParser) { self.parser = parser }

  /// Reads the whole stream.
  mutating func read() throws(SettingsProblem) {
    _ = try parser.next()
    let start = try parser.next()
    // Nothing, or nothing but comments.
    if start.kind == .streamEnd { return }
    let top = try parser.next()
    if case .scalar("", .plain) = top.kind {
      // A document of nothing.
    } else {
      try check(top)
      guard top.kind == .mappingStart else {
        throw SettingsProblem(top.line, "write a NAME: VALUE on each line, as 'export: udp://127.0.0.1:4739'")
      }
      settings = try mapping(section: nil)
    }
    _ = try parser.next()
    let end = try parser.next()
    guard end.kind == .streamEnd else {
      throw SettingsProblem(end.line, "a second document begins here: keep all settings in one")
    }
  }

  /// The names of a mapping up to its end, in a section or at the top.
  private mutating func mapping(section: String?) throws(SettingsProblem) -> [Setting] {
    var found: [Setting] = []
    while true {
      let key = try parser.next()
      if key.kind == .mappingEnd { return found }
      try check(key)
      guard case .scalar(let name, _) = key.kind else {
        throw SettingsProblem(key.line, "the name of a setting is a word, as 'export'")
      }
      let value = try content(of: name, in: section)
      if let first = found.first(where: { $0.name == name }) {
        problems.append(
          SettingsProblem(key.line, "'\(name)' is there twice, first in line \(first.line): leave one out"))
      } else {
        found.append(Setting(name: name, line: key.line, content: value))
      }
    }
  }

  private mutating func content(of name: String, in section: String?) throws(SettingsProblem)
    -> Setting.Content
  {
    let event = try parser.next()
    try check(event)
    switch event.kind {
    case .scalar(let text, let style):
      return .one(SettingsValue(text: text, line: event.line, style: style))
    case .sequenceStart: return .list(try list(of: name))
    case .mappingStart:
      guard section == nil, name == EALSettings.section else {
        throw SettingsProblem(
          event.line, "'\(name)' takes a value or a list of values, not names with values")
      }
      return .section(try mapping(section: name))
    default: throw SettingsProblem(event.line, "'\(name)' has no value")
    }
  }

  private mutating func list(of name: String) throws(SettingsProblem) -> [SettingsValue] {
    var values: [SettingsValue] = []
    while true {
      let event = try parser.next()
      if event.kind == .sequenceEnd { return values }
      try check(event)
      guard case .scalar(let text, let style) = event.kind else {
        throw SettingsProblem(event.line, "the list of '\(name)' has something in it that is no plain value")
      }
      values.append(SettingsValue(text: text, line: event.line, style: style))
    }
  }

  /// Refuses what would need more than this line to be understood.
  private func check(_ event: YAMLEvent) throws(SettingsProblem) {
    guard event.kind != .alias, !event.isMarked else {
      throw SettingsProblem(
        event.line,
        "anchors, aliases and tags (& * !) are not taken: write the value out, in quotes if it begins so")
    }
  }
}
