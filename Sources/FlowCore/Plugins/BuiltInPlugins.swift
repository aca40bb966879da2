// The plugins that are built in. A switch over their numbers, visited by generic code, is the whole dispatch: the
// compiler makes one specialised call for each plugin, with no table of functions and no reference counting.

/// Something to be done with a plugin's type.
protocol PluginVisitor: ~Copyable {
  mutating func visit<P: FlowPlugin>(_ type: P.Type)
}

/// A set of plugins, numbered from 0.
protocol PluginRegistry {
  static var count: Int { get }
  /// Calls `visitor` with the plugin of `number`.
  static func visit<Visitor: PluginVisitor & ~Copyable>(_ number: UInt8, _ visitor: inout Visitor)
}

/// Martlet's own plugins. A new plugin is one line here.
enum BuiltInPlugins: PluginRegistry {
  static let count = 14

  @inline(__always)
  static func visit<Visitor: PluginVisitor & ~Copyable>(_ number: UInt8, _ visitor: inout Visitor) {
    switch number {
    case 0: visitor.visit(PacketSequence.self)
    case 1: visitor.visit(PayloadHistograms.self)
    case 2: visitor.visit(BurstStatistics.self)
    case 3: visitor.visit(TimeSeries.self)
    case 4: visitor.visit(PayloadContent.self)
    case 5: visitor.visit(HeaderFields.self)
    case 6: visitor.visit(ICMPTypeCode.self)
    case 7: visitor.visit(VLANIdentifier.self)
    case 8: visitor.visit(MPLSLabel.self)
    case 9: visitor.visit(FlowIdentifier.self)
    case 10: visitor.visit(OpenVPN.self)
    case 11: visitor.visit(WireGuard.self)
    case 12: visitor.visit(SSADetector.self)
    case 13: visitor.visit(TLSPlugin.self)
    default: break
    }
  }
}
