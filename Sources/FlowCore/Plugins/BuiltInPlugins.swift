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
  case tunnel
  case flowIdentifier
  case openVPN
  case wireGuard
  case ssaDetector
  case tls
  case quic
  case dns
  case passiveDNS
  case dnssd
  case ntp
  case ssdp
  case netbios
  case mqtt
  case smtp
  case http
  case rtsp
  case sip
  case flowStatistics
  case qualityOfService
  case roundTrip
  case ssh
  case osquery
  case model

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
    case .tunnel: visitor.visit(TunnelPlugin.self)
    case .flowIdentifier: visitor.visit(FlowIdentifier.self)
    case .openVPN: visitor.visit(OpenVPN.self)
    case .wireGuard: visitor.visit(WireGuard.self)
    case .ssaDetector: visitor.visit(SSADetector.self)
    case .tls: visitor.visit(TLSPlugin.self)
    case .quic: visitor.visit(QUICPlugin.self)
    case .dns: visitor.visit(DNSPlugin.self)
    case .passiveDNS: visitor.visit(PassiveDNS.self)
    case .dnssd: visitor.visit(DNSSD.self)
    case .ntp: visitor.visit(NTPPlugin.self)
    case .ssdp: visitor.visit(SSDPPlugin.self)
    case .netbios: visitor.visit(NetBIOSPlugin.self)
    case .mqtt: visitor.visit(MQTTPlugin.self)
    case .smtp: visitor.visit(SMTPPlugin.self)
    case .http: visitor.visit(HTTPPlugin.self)
    case .rtsp: visitor.visit(RTSPPlugin.self)
    case .sip: visitor.visit(SIPPlugin.self)
    case .flowStatistics: visitor.visit(FlowStatistics.self)
    case .qualityOfService: visitor.visit(QualityOfService.self)
    case .roundTrip: visitor.visit(RoundTrip.self)
    case .ssh: visitor.visit(SSHPlugin.self)
    case .osquery: visitor.visit(OSQueryPlugin.self)
    case .model: visitor.visit(ModelPlugin.self)
    }
  }
}

/// The record schema of the built-in plugins.
public typealias BuiltInSchema = RecordSchema<BuiltInPlugins>
