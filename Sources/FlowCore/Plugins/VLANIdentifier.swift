// vlan: the VLAN id, which is part of the flow's key.
import IPFIX

/// `--plugin vlan`.
struct VLANIdentifier: FlowPlugin {
  static let name = "vlan"
  static let summary = "VLAN id of the outermost tag, 0 when untagged"
  static let exportsContent = false
  static let seesFirstPacketOnly = true

  struct State: FlowState {}

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(BasicElements.vlan, flow.vlan)
  }
}
