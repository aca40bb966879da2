// `--list-models`: what a model's file says, for people: what it is called, what it tells apart and what it wants to know.
import FlowCore

/// `--list-models NAME.model …`.
enum ModelList {
  /// A paragraph for each model.
  ///
  /// - Throws: the first that is none, or does not match its object (usage).
  static func text(_ files: [String]) throws(Failure) -> String {
    var paragraphs: [String] = []
    for file in files {
      do {
        paragraphs.append(try ModelDescription(file).text)
      } catch {
        throw .usage(error.description)
      }
    }
    return paragraphs.joined(separator: "\n")
  }
}

extension ModelDescription {
  fileprivate var text: String {
    var lines = [
      "\(manifest.name)  \(manifest.version.isEmpty ? "" : "version \(manifest.version); ")\(kind)"
    ]
    lines += manifest.classes.map { "    class   \($0)" }
    lines += manifest.features.map { "    feature \($0)" }
    if !plugins.isEmpty { lines.append("    needs   --plugins \(plugins.joined(separator: ","))") }
    if !unknown.isEmpty { lines.append("    unknown fields: \(unknown.joined(separator: ", "))") }
    return lines.joined(separator: "\n") + "\n"
  }

  private var kind: String {
    let outcome = manifest.classes.isEmpty ? "a value" : "\(manifest.classes.count) classes"
    return "\(outcome) from \(manifest.features.count) features"
  }
}
