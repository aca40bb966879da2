// What the built-in plugins want to be asked outside of the packet path, by whoever may start processes.

extension RecordSchema where Registry == BuiltInPlugins {
  /// What is to be asked for plugin osquery; nil where it is not enabled.
  public var hostQuestion: HostQuestion? {
    layout.slots.first { $0.registration == .osquery }?.value(OSQueryPlugin.self).pointee.question
  }
}
