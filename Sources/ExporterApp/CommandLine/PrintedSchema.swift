// `--print-schema`: the records in the languages of those who make tables for them, and the settings file for editors.
import ArgumentParser
import Rendering

/// What there is a schema of, and in which language.
enum PrintedSchema: Equatable, Sendable {
  /// The JSON records.
  case records(SchemaLanguage)
  /// The settings file, as JSON Schema.
  case settings

  /// All names.
  static var names: [String] { SchemaLanguage.allCases.map(\.rawValue) + ["settings"] }
}

extension PrintedSchema: ExpressibleByArgument {
  init?(argument: String) {
    if argument == "settings" {
      self = .settings
    } else if let language = SchemaLanguage(rawValue: argument) {
      self = .records(language)
    } else {
      return nil
    }
  }

  static var allValueStrings: [String] { names }
}
