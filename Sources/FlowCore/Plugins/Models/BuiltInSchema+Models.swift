// The models of a run as the exporter sees them: loaded before it starts, and read again while it runs.
import Glibc

extension RecordSchema where Registry == BuiltInPlugins {
  private var modelShelf: (shelf: ModelShelf, slot: Int)? {
    for (number, slot) in layout.slots.enumerated() {
      var search = ModelSearch(slot: slot)
      slot.registration.visit(&search)
      if let shelf = search.shelf { return (shelf, number) }
    }
    return nil
  }

  /// Whether there are models.
  public var hasModels: Bool { modelShelf != nil }

  /// Reads the models of `--plugin model`, checks and loads them; to be called before there are workers. Without it no flow is
  /// judged.
  ///
  /// - Parameter owners: the users whose files are trusted, by number.
  /// - Throws: a model that is missing, damaged, writable by others or wants a field that records do not have.
  public func loadModels(owners: Set<UInt32>) throws(FlowSetupError) {
    guard let (shelf, slot) = modelShelf else { return }
    guard !shelf.requests.contains(where: { $0.file.isEmpty }) else {
      throw .plugin("plugin model takes a model: --plugin model:file=NAME.model")
    }
    let reader = RecordReader(
      slots: slots, states: states, tunnelsOffset: layout.tunnelsOffset, stride: layout.stride)
    try shelf.load(RecordFields(self, slots: slot), reader, owners: owners)
  }

  /// Reads the models' files again. Only one thread may, while workers go on.
  ///
  /// - Returns: a line for each model that changed.
  /// - Throws: what is wrong with them; the models stay as they were.
  public func reloadModels() throws(FlowSetupError) -> [String] { try modelShelf?.shelf.reload() ?? [] }
}

/// Asks a slot for its models.
private struct ModelSearch: PluginVisitor {
  let slot: PluginSlot<BuiltInPlugins>
  private(set) var shelf: ModelShelf?

  init(slot: PluginSlot<BuiltInPlugins>) { self.slot = slot }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.self == ModelPlugin.self else { return }
    shelf = slot.value(ModelPlugin.self).pointee.shelf
  }
}
