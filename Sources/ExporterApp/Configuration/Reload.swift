// SIGHUP and the settings file: what changed in it takes effect where the part of the program that it is about can be given
// another value while it runs, and is named where that takes a start.

/// Settings as a file and the command line give them together.
struct GivenSettings: Sendable {
  /// The texts of each option that is given, by its long name.
  var values: [String: [String]]
  /// What they mean.
  var configuration: RunConfiguration
}

/// Where a run's settings came from, so that they can be read again.
struct SettingsSource: Sendable {
  /// The file's name, for messages.
  let name: String
  /// The texts at the start.
  let values: [String: [String]]
  /// Reads them again, with the command line that the run was started with.
  let read: @Sendable () throws(Failure) -> GivenSettings
}

/// A part of a running program that can be given other settings: exports, or which packets are looked at.
protocol ReplaceablePart {
  /// The long names of the options that it is made from.
  var options: Set<String> { get }

  /// Takes other settings over.
  ///
  /// - Throws: why it cannot; then it goes on as before.
  func replace(by configuration: RunConfiguration) throws(Failure)
}

/// Reads the settings again and gives them to the parts that can take them.
final class Reload {
  private let source: SettingsSource
  private let parts: [any ReplaceablePart]
  /// The texts that are in effect.
  private var values: [String: [String]]

  init(_ source: SettingsSource, parts: [any ReplaceablePart]) {
    self.source = source
    self.parts = parts
    values = source.values
  }

  /// Reads and applies; says in a line what changed, and in another what did not.
  func run() {
    let given: GivenSettings
    do {
      given = try source.read()
    } catch {
      logger.warning("\(error.description): the settings stay as they were")
      return
    }
    let changed = Set(values.keys).union(given.values.keys).filter { values[$0] != given.values[$0] }
    guard !changed.isEmpty else { return logger.info("\(source.name): nothing changed") }
    var applied: [String] = []
    for part in parts where !part.options.isDisjoint(with: changed) {
      let names = part.options.intersection(changed).sorted()
      do {
        try part.replace(by: given.configuration)
        for name in names { values[name] = given.values[name] }
        applied += names
      } catch {
        logger.warning("\(source.name): \(error.description): \(Self.list(names)) stays as it was")
      }
    }
    if !applied.isEmpty { logger.info("\(source.name): changed \(Self.list(applied))") }
    let fixed = changed.filter { name in !parts.contains { $0.options.contains(name) } }
    if !fixed.isEmpty {
      logger.warning(
        "\(source.name): \(Self.list(fixed.sorted())) changed, which takes effect at the next start")
    }
  }

  private static func list(_ names: [String]) -> String { names.joined(separator: ", ") }
}
