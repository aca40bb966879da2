// A set of plugins. A switch over their numbers, visited by generic code, is the whole dispatch: the compiler makes one
// specialised call for each plugin, with no table of functions and no reference counting.

/// Something to be done with a plugin's type.
public protocol PluginVisitor: ~Copyable {
  mutating func visit<P: FlowPlugin>(_ type: P.Type)
}

/// A set of plugins, numbered from 0.
public protocol PluginRegistry {
  static var count: Int { get }
  /// Calls `visitor` with the plugin of `number`.
  static func visit<Visitor: PluginVisitor & ~Copyable>(_ number: UInt8, _ visitor: inout Visitor)
}
