// icmp: type and code of a flow's first message.
import IPFIX
import Wire

/// `--plugin icmp`.
struct ICMPTypeCode: FlowPlugin {
  static let name = "icmp"
  static let summary = "type and code of the first ICMP or ICMPv6 message"
  static let protocols: FlowProtocols = .icmp
  static let exportsContent = false

  struct State: FlowState {
    var typeAndCode: UInt16 = 0
    var isKnown = false
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.icmp || packet.protocolNumber == IPProtocol.icmp6
    else { return .done }
    return note(&state, packet)
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    note(&state, packet)
  }

  @inline(__always)
  private func note(_ state: inout State, _ packet: PacketView) -> Verdict {
    // The middle of a message; its beginning, with the header, may come behind it.
    if packet.isLaterFragment { return .more }
    //  | type 8 | code 8 | checksum 16 | …
    if packet.payloadCaptured >= 2 {
      state.typeAndCode = packet.payload.load(UInt16.self, at: 0)
      state.isKnown = true
    }
    return .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isKnown }

  // ipfixprobe sends the IPv4 element for ICMPv6 too, so that one template serves both.
  static let typeCode = InformationElement(
    .iana, 32, "icmpTypeCodeIPv4", .unsigned16, semantics: .identifier)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned16(Self.typeCode, state.typeAndCode)
  }
}
