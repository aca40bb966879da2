// A set of plugins. A switch over its cases, visited by generic code, is the whole dispatch: the compiler makes one
// specialised call for each plugin, with no table of functions and no reference counting.

/// Something to be done with a plugin's type.
public protocol PluginVisitor: ~Copyable {
  mutating func visit<P: FlowPlugin>(_ type: P.Type)
}

/// A set of plugins: an enumeration with a case for each, so that the compiler finds a plugin that is entered by half.
public protocol PluginRegistry: CaseIterable, Equatable, BitwiseCopyable, Sendable {
  /// Calls `visitor` with the plugin that this case stands for.
  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor)
}

extension PluginRegistry {
  /// Calls `visitor` with each plugin of the set, in order.
  static func visitAll<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    for plugin in allCases { plugin.visit(&visitor) }
  }
}
