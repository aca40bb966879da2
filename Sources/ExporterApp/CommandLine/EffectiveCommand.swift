// The command line together with the settings file that it names: one list of words, of which each option's declaration makes
// what it makes of typed ones.
import ArgumentParser
import FlowCore

/// What a run is asked for, wherever it stands.
struct EffectiveCommand {
  /// The options of file and command line.
  let options: Options
  /// EAL's words; nil where nobody gives any.
  let eal: [String]?
  /// The texts of each option by its long name; empty where there is no settings file and nobody asks for them.
  let values: [String: [String]]

  /// All options as data.
  static var table: OptionTable { OptionTable(description: Options._dumpHelp()) }

  /// Reads the file that the words name, if they do.
  ///
  /// - Throws: `Failure` for the file, ArgumentParser's errors for the words.
  init(_ words: CommandWords) throws {
    let typed = try Options.parse(words.own)
    guard typed.settings != nil || typed.printSettings else {
      self.init(options: typed, eal: words.eal, values: [:])
      return
    }
    let table = Self.table
    guard let path = typed.settings else {
      self.init(options: typed, eal: words.eal, values: table.values(in: words.own))
      return
    }
    let file = SettingsFile(path, table) { Self.problem(of: $0) }
    if let failure = file.failure { throw failure }
    // The command line wins: of an option that it has, nothing is taken from the file, nor what only the other life needs.
    var names = Set(table.values(in: words.own).keys)
    var eal = file.eal
    if !typed.captures.isEmpty {
      names.formUnion(["interface", "queues", "config"])
      eal = nil
    } else if words.eal != nil || !typed.interface.isEmpty {
      names.insert(OptionTable.captures)
    }
    if !typed.interface.isEmpty { eal = eal?.withoutDevices }
    let all = file.words(without: names) + words.own
    let merged = words.eal.map { (eal ?? EALSettings()).overridden(by: EALSettings($0)) } ?? eal
    self.init(options: try Options.parse(all), eal: merged?.words, values: table.values(in: all))
  }

  private init(options: Options, eal: [String]?, values: [String: [String]]) {
    self.options = options
    self.eal = eal
    self.values = values
  }

  /// What is wrong with words of options, also what the declarations leave to others; nil for nothing.
  static func problem(of words: [String]) -> String? {
    do {
      let values = try Options.parse(words).values
      _ = try OutputPlan(values.exports, fallback: nil, inputs: [])
      if !values.plugins.isEmpty { _ = try BuiltInSchema(values) }
      return nil
    } catch let failure as Failure {
      return failure.description
    } catch {
      return message(error)
    }
  }

  /// The first line of what ArgumentParser says.
  static func message(_ error: any Error) -> String {
    Options.message(for: error).split(whereSeparator: \.isNewline).first.map(String.init) ?? "wrong options"
  }
}
