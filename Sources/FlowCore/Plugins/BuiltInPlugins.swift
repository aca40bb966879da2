// The plugins that are built in.

/// Martlet's own plugins. A new plugin is a case here, and what it stands for.
public enum BuiltInPlugins: PluginRegistry {
  case packetSequence
  case payloadHistograms
  case burstStatistics
  case timeSeries
  case payloadContent
  case headerFields
  case icmpTypeCode
  case vlanIdentifier
  case mplsLabel
  case flowIdentifier
  case openVPN
  case wireGuard
  case ssaDetector
  case tls
  case http
  case rtsp
  case sip

  @inline(__always)
  public func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .packetSequence: visitor.visit(PacketSequence.self)
    case .payloadHistograms: visitor.visit(PayloadHistograms.self)
    case .burstStatistics: visitor.visit(BurstStatistics.self)
    case .timeSeries: visitor.visit(TimeSeries.self)
    case .payloadContent: visitor.visit(PayloadContent.self)
    case .headerFields: visitor.visit(HeaderFields.self)
    case .icmpTypeCode: visitor.visit(ICMPTypeCode.self)
    case .vlanIdentifier: visitor.visit(VLANIdentifier.self)
    case .mplsLabel: visitor.visit(MPLSLabel.self)
    case .flowIdentifier: visitor.visit(FlowIdentifier.self)
    case .openVPN: visitor.visit(OpenVPN.self)
    case .wireGuard: visitor.visit(WireGuard.self)
    case .ssaDetector: visitor.visit(SSADetector.self)
    case .tls: visitor.visit(TLSPlugin.self)
    case .http: visitor.visit(HTTPPlugin.self)
    case .rtsp: visitor.visit(RTSPPlugin.self)
    case .sip: visitor.visit(SIPPlugin.self)
    }
  }
}

/// The record schema of the built-in plugins.
public typealias BuiltInSchema = RecordSchema<BuiltInPlugins>
