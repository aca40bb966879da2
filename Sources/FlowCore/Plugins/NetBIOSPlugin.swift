// netbios: the names that NetBIOS' name service is asked for (RFC 1002 section 4.2).
import IPFIX
import Wire

/// `--plugin netbios`. A record has one name: a question for another one starts a new record, so that each packet counts in
/// the record of its name, and nothing grows with the number of names.
struct NetBIOSPlugin: FlowPlugin {
  static let name = "netbios"
  static let summary = "NetBIOS name service: the name asked for and its suffix, a record for each name"
  static let protocols: FlowProtocols = .udp
  static let looksBeforeUpdate = true

  struct State: FlowState {
    /// The name's fifteen characters; the suffix lies behind them too.
    var name = StoredBytes()
    var suffix: UInt8 = 0
  }

  /// The port of the name service.
  private static let port: UInt16 = 137
  /// The characters of a name, blanks at its end included.
  private static let nameLength = 15

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard !state.name.isEmpty, let name = NetBIOSName(questionOf: packet.payload) else { return .more }
    let known = flow.contents(state.name.block)
    return known.load(UInt64.self, at: 0).bigEndian == name.first
      && known.load(UInt64.self, at: 8).bigEndian == name.last
      ? .more : .startNewRecord
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard packet.protocolNumber == IPProtocol.udp,
      packet.sourcePort == Self.port || packet.destinationPort == Self.port
    else { return .done }
    if state.name.isEmpty { note(&state, packet.payload, &flow) }
    return .more
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { !state.name.isEmpty }

  @inline(never)
  private func note(_ state: inout State, _ payload: Bytes, _ flow: inout FlowContext<Self>) {
    guard let name = NetBIOSName(questionOf: payload), let block = flow.takeBlock(NetBIOSName.length) else {
      return
    }
    flow.contents(block).store(name.first.bigEndian, at: 0)
    flow.contents(block).store(name.last.bigEndian, at: 8)
    state.name = StoredBytes(block, length: Self.nameLength)
    state.suffix = UInt8(truncatingIfNeeded: name.last)
  }

  // MARK: Fields

  static let suffix = InformationElement(.cesnet, 832, "NBSuffix", .unsigned8)
  static let askedName = InformationElement(.cesnet, 831, "NBName", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned8(Self.suffix, state.suffix)
    // At most so many characters as the compiler sees: nothing is left that could trap.
    var text = ShortText()
    text.append(flow.bytes(state.name))
    writer.string(Self.askedName, text.span)
  }
}
