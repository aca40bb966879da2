// A model's file for who wants to know what is in it, without anything of it being run.

/// What a model is and what records have to have for it.
public struct ModelDescription {
  public let manifest: ModelManifest
  /// What `--plugins` takes for the fields that not all records have; the first of several that have one.
  public let plugins: [String]
  /// Fields that no plugin has.
  public let unknown: [String]

  /// Reads a manifest and looks whether the object beside it is the one that it names.
  ///
  /// - Throws: what is wrong with either.
  public init(_ path: String) throws(FlowSetupError) {
    do throws(ModelError) {
      manifest = try ModelFile(path, owners: nil).manifest
      var fields: [String] = []
      for feature in manifest.features {
        for step in try FeatureExpression(feature).steps {
          if case .operand(let operand) = step, !fields.contains(operand.field) {
            fields.append(operand.field)
          }
        }
      }
      let basics = try? BuiltInSchema(plugins: [])
      let known = basics.map { RecordFields($0, slots: 0) }
      let others = fields.filter { known?[$0] == nil }
      let owners = others.map { FieldOwners.plugins(with: $0).first }
      var plugins: [String] = []
      for case let owner? in owners where !plugins.contains(owner) { plugins.append(owner) }
      self.plugins = plugins
      unknown = zip(others, owners).filter { $0.1 == nil }.map(\.0)
    } catch {
      throw .plugin("model \(path) \(error.reason)")
    }
  }
}
