// mpls: the top of the label stack of a flow's first packet.
import IPFIX

/// `--plugin mpls`.
struct MPLSLabel: FlowPlugin {
  static let name = "mpls"
  static let summary = "outermost MPLS label stack entry of the first packet"
  static let exportsContent = false
  static let seesFirstPacketOnly = true

  struct State: FlowState {
    /// Label 20, traffic class 3, bottom of stack 1 (RFC 3032), as on the wire; without the TTL.
    var section: InlineArray<3, UInt8> = .init(repeating: 0)
    var isKnown = false
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    let entry = packet.mplsEntry
    state.section[0] = UInt8(truncatingIfNeeded: entry >> 24)
    state.section[1] = UInt8(truncatingIfNeeded: entry >> 16)
    state.section[2] = UInt8(truncatingIfNeeded: entry >> 8)
    state.isKnown = entry != 0
    return .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isKnown }

  static let topSection = InformationElement(.iana, 70, "mplsTopLabelStackSection", .octetArray)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.octets(Self.topSection, state.section.span.bytes)
  }
}
