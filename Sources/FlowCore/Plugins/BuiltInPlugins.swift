// The plugins that are built in.

/// Martlet's own plugins. A new plugin is one line here.
public enum BuiltInPlugins: PluginRegistry {
  public static let count = 14

  @inline(__always)
  public static func visit<Visitor: PluginVisitor & ~Copyable>(_ number: UInt8, _ visitor: inout Visitor) {
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

/// The record schema of the built-in plugins.
public typealias BuiltInSchema = RecordSchema<BuiltInPlugins>
