// The options as data, taken from ArgumentParser's own description of their one declaration, so that the settings file, its
// schema and the command line cannot know different ones.
import FoundationEssentials

/// What a settings file may say of an option.
struct OptionDeclaration {
  /// The long name, by which it is printed.
  let name: String
  /// All long names.
  let names: [String]
  /// It has no value: it is true or false.
  let isFlag: Bool
  /// It may have a list of values.
  let isRepeating: Bool
  /// What stands for the value in the help, as N or S.
  let valueName: String
  /// The words it takes; empty for others.
  let choices: [String]
  /// What it does.
  let help: String

  /// Whether it asks something instead of setting it, or is about the settings file itself.
  var isQuestion: Bool {
    ["help", "version", "settings", "check"].contains(name) || name.hasPrefix("list-")
      || name.hasPrefix("print-")
  }
}

/// All options in the order of the help.
struct OptionTable {
  let options: [OptionDeclaration]

  /// The options in a description of a command as ArgumentParser's `_dumpHelp` makes it; none where it is none.
  init(description: String) {
    let tool = try? JSONDecoder().decode(Tool.self, from: Data(description.utf8))
    options = (tool?.command.arguments ?? []).compactMap(OptionDeclaration.init)
  }

  /// The options that a settings file may have.
  var settable: [OptionDeclaration] { options.filter { !$0.isQuestion } }

  /// The option with a long name.
  subscript(name: String) -> OptionDeclaration? { options.first { $0.names.contains(name) } }

  /// The texts of each option in words of a command line, by its long name; a flag has none.
  func values(in words: [String]) -> [String: [String]] {
    var found: [String: [String]] = [:]
    var current: OptionDeclaration?
    for word in words {
      guard word.hasPrefix("--") || short(word) != nil else {
        // A value of the option before, or a capture's name.
        let owner = current.map(\.name) ?? Self.captures
        found[owner, default: []].append(word)
        if current?.name != Self.captures { current = nil }
        continue
      }
      let parts = word.drop { $0 == "-" }.split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let option = short(word) ?? self[String(parts.first ?? "")]
      current = nil
      guard let option else { continue }
      found[option.name, default: []] += parts.count == 2 ? [String(parts[1])] : []
      if !option.isFlag, parts.count < 2 { current = option }
    }
    // Of what has one value the last one counts.
    for (name, texts) in found {
      guard let option = self[name], !option.isFlag, !option.isRepeating, let last = texts.last else {
        continue
      }
      found[name] = [last]
    }
    return found
  }

  /// The option whose short form the word is.
  private func short(_ word: String) -> OptionDeclaration? {
    word == "-i" ? self["interface"] : nil
  }

  /// The option that names captures, which may stand there without it.
  static let captures = "pcap"

  /// The name that somebody meant who wrote another one; nil where none is near.
  static func nearest(_ name: String, among names: [String]) -> String? {
    let candidates = names.map { (name: $0, distance: distance(name, $0)) }
    guard let best = candidates.min(by: { $0.distance < $1.distance }) else { return nil }
    if best.distance <= 1 + name.count / 4 { return best.name }
    return names.first { $0.hasPrefix(name) || $0.hasSuffix(name) || name.hasPrefix($0) && $0.count > 2 }
  }

  /// How many characters have to be put in, left out or replaced (Levenshtein), of names that are no longer than sixty.
  private static func distance(_ first: String, _ second: String) -> Int {
    let (first, second) = (Array(first.prefix(60).lowercased()), Array(second.prefix(60).lowercased()))
    var row = Array(0...second.count)
    for (index, character) in first.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for place in second.indices {
        let replaced = diagonal + (character == second[place] ? 0 : 1)
        diagonal = row[place + 1]
        row[place + 1] = min(replaced, diagonal + 1, row[place] + 1)
      }
    }
    return row[second.count]
  }
}

// What of ArgumentParser's description is of use here.

private struct Tool: Decodable {
  let command: Command
}

private struct Command: Decodable {
  let arguments: [Argument]?
}

private struct Argument: Decodable {
  struct Name: Decodable {
    let kind: String
    let name: String
  }

  let kind: String
  let isRepeating: Bool
  let names: [Name]?
  let valueName: String?
  let allValues: [String]?
  let abstract: String?
}

extension OptionDeclaration {
  /// Nil for what has no long name.
  fileprivate init?(_ argument: Argument) {
    names = (argument.names ?? []).filter { $0.kind == "long" }.map(\.name)
    guard argument.kind != "positional", let first = names.first else { return nil }
    name = first
    isFlag = argument.kind == "flag"
    isRepeating = argument.isRepeating
    valueName = argument.valueName ?? ""
    choices = argument.allValues ?? []
    help = argument.abstract ?? ""
  }
}
