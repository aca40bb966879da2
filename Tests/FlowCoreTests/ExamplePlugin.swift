// pushes: how often each side of a TCP connection asks for its data to be handed on at once.
import IPFIX
import Wire

@testable import FlowCore

/// `--plugin pushes[:limit=N]`.
struct PushCounter: FlowPlugin {
  static let name = "pushes"
  static let summary = "TCP packets with PSH, by direction"
  static let options = [
    PluginOption("limit", .number(1...65535, default: 1000), "stop looking after this many")
  ]

  /// Four bytes for each flow.
  struct State: FlowState {
    var forward: UInt16 = 0
    var reverse: UInt16 = 0
  }

  private let limit: Int

  init(options: borrowing PluginOptions) { limit = options.number("limit") }

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    // Other protocols have no such flag: the plugin is done with their flows at the first packet.
    packet.protocolNumber == IPProtocol.tcp ? count(&state, packet) : .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    count(&state, packet)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    // Without a push there is nothing to export: the record goes out without the two fields.
    state.forward > 0 || state.reverse > 0
  }

  @inline(__always)
  private func count(_ state: inout State, _ packet: PacketView) -> Verdict {
    guard packet.tcpFlags & TCPFlags.push != 0 else { return .more }
    if packet.isForward { state.forward &+= 1 } else { state.reverse &+= 1 }
    return Int(state.forward) + Int(state.reverse) >= limit ? .done : .more
  }

  // MARK: Fields

  static let pushes = InformationElement(
    .martlet, 900, "tcpPushCount", .unsigned16, semantics: .totalCounter, units: .packets)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.pushes, state.forward)
    writer.unsigned16(Self.pushes.reversed, state.reverse)
  }
}
