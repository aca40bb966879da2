// What a record says of the tunnels that its flow is in: IANA's elements where there are any for a kind of tunnel, else Martlet's own.
import IPFIX
import Wire

/// The elements of tunnels.
enum TunnelElements {
  /// The word of `--tunnels`.
  static let type = InformationElement(.martlet, 200, "tunnelType", .string)
  /// What tells tunnels of a type apart where IANA has no element for it.
  static let identifier = InformationElement(
    .martlet, 201, "tunnelIdentifier", .unsigned32, semantics: .identifier)
  /// The encapsulation in the first octet, the segment in the last three.
  static let segment = InformationElement(
    .iana, 351, "layer2SegmentId", .unsigned64, semantics: .identifier)
  static let serviceInstance = InformationElement(
    .iana, 412, "dot1qServiceInstanceId", .unsigned32, semantics: .identifier)
  static let teid = InformationElement(.iana, 507, "gtpuTEid", .unsigned32, semantics: .identifier)
}

/// Which fields a record has for the tunnel right around its packets, besides the tunnel's type.
enum TunnelForm: UInt8, BitwiseCopyable, CaseIterable {
  /// The packets are in no tunnel: there are none at all.
  case none
  /// The tunnel has no identifier.
  case type
  case identifier
  /// An identifier for each direction.
  case identifiers
  /// A VNI or VSID (IANA has VXLAN and NVGRE for layer2SegmentId).
  case segment
  case serviceInstance
  /// A TEID for each direction.
  case teids

  /// The form for a tunnel.
  @inline(__always)
  init(_ level: TunnelLevel) {
    guard let kind = level.kind else {
      self = .none
      return
    }
    guard level.identifier != nil else {
      self = .type
      return
    }
    switch kind {
    case .vxlan, .nvgre: self = .segment
    case .providerBackbone: self = .serviceInstance
    case .gtpu: self = .teids
    default: self = kind.identifier == .directional ? .identifiers : .identifier
    }
  }

  /// A tunnel of this form; nil for none.
  var example: TunnelLevel? {
    switch self {
    case .none: nil
    case .type: TunnelLevel(.ipip, identifier: nil)
    case .identifier: TunnelLevel(.geneve, identifier: 1)
    case .identifiers: TunnelLevel(.mpls, identifier: 1)
    case .segment: TunnelLevel(.vxlan, identifier: 1)
    case .serviceInstance: TunnelLevel(.providerBackbone, identifier: 1)
    case .teids: TunnelLevel(.gtpu, identifier: 1)
    }
  }
}

/// The kinds' names as bytes, made at start: to get at a static string's is a check that can trap.
///
/// Safe between threads: nothing changes after `init`.
struct TunnelNames: BitwiseCopyable, @unchecked Sendable {
  /// By the kind's number, of which every one has a place.
  private let texts: UnsafeMutablePointer<Bytes>

  /// The names of all kinds, which stay as long as the process.
  static let all = TunnelNames()

  private init() {
    texts = .allocate(capacity: 256)
    texts.initialize(repeating: Bytes(UnsafeRawBufferPointer(start: nil, count: 0)), count: 256)
    for kind in TunnelKind.allCases {
      texts[Int(kind.rawValue)] = Bytes(
        UnsafeRawPointer(kind.name.utf8Start), count: kind.name.utf8CodeUnitCount)
    }
  }

  @inline(__always)
  subscript(kind: TunnelKind) -> Bytes { texts[Int(kind.rawValue)] }
}

extension FlowTunnels {
  /// The form of the fields.
  @inline(__always) var form: TunnelForm { TunnelForm(forward.innermost) }

  /// Writes the fields of the tunnel right around the flow's packets.
  @inline(__always)
  func export<Writer: FieldWriter & ~Copyable>(_ names: TunnelNames, into writer: inout Writer) {
    let level = forward.innermost
    guard let kind = level.kind else { return }
    writer.string(TunnelElements.type, names[kind].span)
    let identifier = level.identifier ?? 0
    let reverse = self.reverse.innermost.identifier ?? 0
    switch form {
    case .none, .type: break
    case .identifier: writer.unsigned32(TunnelElements.identifier, identifier)
    case .identifiers:
      writer.unsigned32(TunnelElements.identifier, identifier)
      writer.unsigned32(TunnelElements.identifier.reversed, reverse)
    case .segment:
      let encapsulation: UInt64 = kind == .vxlan ? 1 : 2
      writer.unsigned64(TunnelElements.segment, encapsulation << 56 | UInt64(identifier))
    case .serviceInstance: writer.unsigned32(TunnelElements.serviceInstance, identifier)
    case .teids:
      writer.unsigned32(TunnelElements.teid, identifier)
      writer.unsigned32(TunnelElements.teid.reversed, reverse)
    }
  }
}

extension RecordSchema {
  /// The form of a record's tunnel fields.
  @inline(__always)
  func tunnelForm(_ head: UnsafePointer<FlowRecord>) -> TunnelForm {
    layout.tunnels(of: head, head.pointee.key)?.pointee.form ?? .none
  }

  /// Writes a record's tunnel fields, where it has some.
  @inline(__always)
  func writeTunnels<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, into writer: inout Writer
  ) {
    if let tunnels = layout.tunnels(of: head, head.pointee.key) {
      tunnels.pointee.export(tunnelNames, into: &writer)
    }
  }

  /// The same of one direction.
  @inline(__always)
  func writeUniflowTunnels<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, isReverse: Bool, into writer: inout Writer
  ) {
    guard let tunnels = layout.tunnels(of: head, head.pointee.key) else { return }
    let side = isReverse ? tunnels.pointee.mirrored : tunnels.pointee
    // The mirrored tunnels' forward fields are the reverse direction's.
    uniflow(false, &writer) { side.export(tunnelNames, into: &$0) }
  }

  /// The hash of a record's key, the same for both directions.
  @inline(__always)
  func hash(_ head: UnsafePointer<FlowRecord>) -> UInt64 {
    let hash = head.pointee.hash(flowHash)
    guard let tunnels = layout.tunnels(of: head, head.pointee.key) else { return hash }
    return flowHash.hash(hash, in: tunnels.pointee.forward)
  }

  /// Calls `body` with tunnels of each form that records can have.
  func withTunnelForms(_ body: (FlowTunnels) -> Void) {
    guard layout.tunnels.areKeys else { return }
    for form in TunnelForm.allCases {
      guard let level = form.example else { continue }
      var tunnels = FlowTunnels()
      tunnels.forward[0] = level
      body(tunnels)
    }
  }

  /// The tunnel fields of all forms, each once.
  func tunnelFields() -> [PluginField] {
    var fields: [PluginField] = []
    withTunnelForms { tunnels in
      var list = PluginFieldList()
      tunnels.export(tunnelNames, into: &list)
      fields += list.fields.filter { field in
        !fields.contains { $0.element.code == field.element.code }
      }
    }
    return fields
  }
}
