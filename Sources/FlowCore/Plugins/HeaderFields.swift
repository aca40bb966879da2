// basicplus: what the IP and TCP headers say about the hosts at both ends.
import IPFIX
import Wire

/// `--plugin basicplus`.
struct HeaderFields: FlowPlugin {
  static let name = "basicplus"
  static let summary = "TTL, IPv4 flags, TCP window, options, MSS and SYN size"
  static let isAlwaysPresent = true
  static let exportsContent = false

  struct Direction: BitwiseCopyable {
    /// The TCP option kinds of all packets, as `tcpOptions` has them.
    var options: UInt64 = 0
    /// Of the first packet.
    var window: UInt16 = 0
    var maximumSegment: UInt16 = 0
    var fragmentFlags: UInt8 = 0
    /// The largest one.
    var timeToLive: UInt8 = 0
  }

  struct State: FlowState {
    var forward = Direction()
    var synSize: UInt16 = 0
    var reverse = Direction()
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if packet.tcpFlags == TCPFlags.syn { state.synSize = UInt16(clamping: packet.octets) }
    return note(&state, packet, flow)
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    note(&state, packet, flow)
  }

  @inline(__always)
  private func note(_ state: inout State, _ packet: PacketView, _ flow: FlowContext<Self>) -> Verdict {
    if packet.isForward {
      note(packet, isFirst: flow.forwardPackets == 1, in: &state.forward)
    } else {
      note(packet, isFirst: flow.reversePackets == 1, in: &state.reverse)
    }
    return .more
  }

  @inline(__always)
  private func note(_ packet: PacketView, isFirst: Bool, in direction: inout Direction) {
    direction.timeToLive = max(direction.timeToLive, packet.timeToLive)
    if isFirst { direction.fragmentFlags = packet.fragmentFlags }
    guard let header = packet.tcpHeader else { return }
    if isFirst { direction.window = header.load(UInt16.self, at: 14) }
    let options = header.dropFirst(20)
    if options.count == 12, options.load(UInt32.self, at: 0) == Self.paddedTimestamp {
      direction.options |= Self.bit(1) | Self.bit(8)
    } else if !options.isEmpty {
      note(options, isFirst: isFirst, in: &direction)
    }
  }

  // MARK: TCP options

  /// NOP, NOP, timestamp of ten bytes: the options of nearly every packet.
  private static let paddedTimestamp: UInt32 = 0x0101_080A

  /// The bit of an option kind in `tcpOptions`: the octets from the lowest up, the kinds of each from its highest bit
  /// down. Kinds above 63 have none.
  @inline(__always)
  private static func bit(_ kind: UInt8) -> UInt64 {
    kind < 64 ? 1 &<< UInt64((kind & 0xF8) &+ 7 &- (kind & 7)) : 0
  }

  /// Notes the options (RFC 9293 section 3.1); at most 40 bytes, so at most 40 turns.
  private func note(_ options: Bytes, isFirst: Bool, in direction: inout Direction) {
    var offset = 0
    // An end or NOP in the very last byte is padding and not noted, as in ipfixprobe.
    while offset &+ 1 < options.count {
      let kind = options[offset]
      direction.options |= Self.bit(kind)
      if kind == 0 { return }
      if kind == 1 {
        offset &+= 1
        continue
      }
      let length = Int(options[offset &+ 1])
      guard length >= 2 else { return }
      if kind == 2, length == 4, isFirst, options.count &- offset >= 4 {
        direction.maximumSegment = options.load(UInt16.self, at: offset &+ 2)
      }
      offset &+= length
    }
  }

  // MARK: Fields

  static let timeToLive = InformationElement(.iana, 192, "ipTTL", .unsigned8, units: .hops)
  static let fragmentFlags = InformationElement(.iana, 197, "fragmentFlags", .unsigned8, semantics: .flags)
  static let windowSize = InformationElement(.iana, 186, "tcpWindowSize", .unsigned16)
  static let tcpOptions = InformationElement(.iana, 209, "tcpOptions", .unsigned64, semantics: .flags)
  static let maximumSegment = InformationElement(.cesnet, 900, "tcpMss", .unsigned32, units: .octets)
  static let reverseMaximumSegment = InformationElement(
    .cesnet, 901, "tcpMssRev", .unsigned32, units: .octets)
  static let synSize = InformationElement(.cesnet, 902, "tcpSynSize", .unsigned16, units: .octets)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned8(Self.timeToLive, state.forward.timeToLive)
    writer.unsigned8(Self.timeToLive.reversed, state.reverse.timeToLive)
    writer.unsigned8(Self.fragmentFlags, state.forward.fragmentFlags)
    writer.unsigned8(Self.fragmentFlags.reversed, state.reverse.fragmentFlags)
    writer.unsigned16(Self.windowSize, state.forward.window)
    writer.unsigned16(Self.windowSize.reversed, state.reverse.window)
    writer.unsigned64(Self.tcpOptions, state.forward.options)
    writer.unsigned64(Self.tcpOptions.reversed, state.reverse.options)
    writer.unsigned32(Self.maximumSegment, UInt32(state.forward.maximumSegment))
    writer.unsigned32(Self.reverseMaximumSegment, UInt32(state.reverse.maximumSegment))
    writer.unsigned16(Self.synSize, state.synSize)
  }
}
