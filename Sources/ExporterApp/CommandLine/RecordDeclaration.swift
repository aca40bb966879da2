// `--print-schema`: the records of these plugins, for those who make tables for them.
import FlowCore
import Rendering

/// A declaration of the JSON records.
enum RecordDeclaration {
  /// The declaration in a language, with the brokers and the topic of the first `--export kafka://…`, if there is one.
  ///
  /// - Throws: a plugin or an export that means nothing.
  static func text(_ language: SchemaLanguage, _ configuration: RunConfiguration) throws(Failure) -> String {
    let schema = try BuiltInSchema(configuration)
    let plan = try OutputPlan(configuration.exports, fallback: nil, inputs: [])
    let targets = plan.entries.compactMap { entry in
      if case .kafka(let target) = entry.url.destination { target } else { nil }
    }
    return language.text(
      schema.jsonFields(), brokers: targets.first?.brokers ?? "localhost:\(KafkaTarget.defaultPort)",
      topic: targets.first?.topic ?? "flows")
  }
}
