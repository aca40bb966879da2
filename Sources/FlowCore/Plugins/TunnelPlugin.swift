// tunnel: who carries a flow that is inside of a tunnel.
import IPFIX
import Wire

/// `--plugin tunnel`.
struct TunnelPlugin: FlowPlugin {
  static let name = "tunnel"
  static let summary =
    "addresses and ports of the IP packet around a flow's in a tunnel, and how many tunnels there are"
  static let exportsContent = false
  static let hasAddresses = true
  static let seesFirstPacketOnly = true

  struct State: FlowState {
    var sourceHigh: UInt64 = 0
    var sourceLow: UInt64 = 0
    var destinationHigh: UInt64 = 0
    var destinationLow: UInt64 = 0
    /// Source in the upper half.
    var ports: UInt32 = 0
    var protocolNumber: UInt8 = 0
    /// 4 or 6; 0 where no IP packet carries the flow's.
    var version: UInt8 = 0
    var depth: UInt8 = 0
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    state.depth = packet.tunnelCount
    guard packet.tunnelCount != 0, let outer = packet.carrier else { return .done }
    state.version = outer.source.isVersion6 ? 6 : 4
    (state.sourceHigh, state.sourceLow) = (outer.source.high, outer.source.low)
    (state.destinationHigh, state.destinationLow) = (outer.destination.high, outer.destination.low)
    state.ports = outer.ports
    state.protocolNumber = outer.protocolNumber
    return .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.version != 0 }

  func anonymise(_ state: inout State, _ anonymiser: Anonymiser) {
    guard state.version != 0 else { return }
    let isVersion6 = state.version == 6
    func replaced(_ high: UInt64, _ low: UInt64) -> (UInt64, UInt64) {
      let address =
        isVersion6
        ? IPAddress(high: high, low: low) : IPAddress(version4: UInt32(truncatingIfNeeded: low))
      let replacement = anonymiser.replacement(of: address)
      return (replacement.high, replacement.low)
    }
    (state.sourceHigh, state.sourceLow) = replaced(state.sourceHigh, state.sourceLow)
    (state.destinationHigh, state.destinationLow) = replaced(state.destinationHigh, state.destinationLow)
  }

  static let source = InformationElement(.martlet, 202, "tunnelSourceAddress", .octetArray)
  static let destination = InformationElement(.martlet, 203, "tunnelDestinationAddress", .octetArray)
  static let sourcePort = InformationElement(
    .martlet, 204, "tunnelSourceTransportPort", .unsigned16, semantics: .identifier)
  static let destinationPort = InformationElement(
    .martlet, 205, "tunnelDestinationTransportPort", .unsigned16, semantics: .identifier)
  static let protocolIdentifier = InformationElement(
    .martlet, 206, "tunnelProtocolIdentifier", .unsigned8, semantics: .identifier)
  static let depth = InformationElement(.martlet, 207, "tunnelDepth", .unsigned8, semantics: .quantity)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let isVersion6 = state.version == 6
    writer.addressOctets(Self.source, high: state.sourceHigh, low: state.sourceLow, isVersion6: isVersion6)
    writer.addressOctets(
      Self.destination, high: state.destinationHigh, low: state.destinationLow, isVersion6: isVersion6)
    writer.unsigned16(Self.sourcePort, UInt16(truncatingIfNeeded: state.ports >> 16))
    writer.unsigned16(Self.destinationPort, UInt16(truncatingIfNeeded: state.ports))
    writer.unsigned8(Self.protocolIdentifier, state.protocolNumber)
    writer.unsigned8(Self.depth, state.depth)
  }
}
