// flowhash: a number for the flow's key, to join records of one flow.
import IPFIX

/// `--plugin flowhash`.
struct FlowIdentifier: FlowPlugin {
  static let name = "flowhash"
  static let summary = "64-bit hash of the flow's key, the same for both directions and in every run"
  static let exportsContent = false
  static let seesFirstPacketOnly = true

  struct State: FlowState {}

  // Not the table's hash: its seed must stay secret, and differs from run to run. This one is computed when the record
  // is exported, so it costs neither packets nor memory.
  private let hashing = FlowHash.ofIdentifiers

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
    writer.unsigned64(.flowIdentifier, flow.hash(hashing))
  }
}
