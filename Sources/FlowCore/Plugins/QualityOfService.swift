// qos: how packets ask to be treated and what was done to them on the way: DSCP, ECN and IPv6's flow label, by direction.
import IPFIX
import Wire

/// `--plugin qos`.
struct QualityOfService: FlowPlugin {
  static let name = "qos"
  static let summary = "DSCP, ECN and IPv6 flow label, by direction"
  static let isAlwaysPresent = true
  static let exportsContent = false

  /// What one direction's packets have in their IP headers. A label stands together with the traffic class before it:
  ///
  ///     0 | DSCP | ECN | flow label
  ///       27   22 21 20 19        0
  struct Direction: BitwiseCopyable {
    /// Bit n is set where a packet has DSCP n.
    var codePoints: UInt64 = 0
    /// Class and label of the first packet, and of the last one.
    var first: UInt32 = 0
    var last: UInt32 = 0
    /// Packets that say congestion experienced.
    var congested: UInt32 = 0
    /// Packets with another flow label than the one before; they stop at 65535.
    var changes: UInt16 = 0
    /// Bit n is set where a packet has ECN n.
    var congestionCodes: UInt8 = 0

    /// Notes a packet with this class and label.
    @inline(__always)
    mutating func add(_ word: UInt32, isFirst: Bool) {
      if word >> 20 & 3 == QualityOfService.congestionExperienced { congested &+= 1 }
      if isFirst || word != last { note(word, isFirst: isFirst) }
    }

    @inline(never)
    private mutating func note(_ word: UInt32, isFirst: Bool) {
      if isFirst {
        first = word
      } else if (word ^ last) & 0xF_FFFF != 0, changes < .max {
        changes &+= 1
      }
      last = word
      codePoints |= 1 &<< UInt64(word >> 22 & 63)
      congestionCodes |= 1 &<< UInt8(truncatingIfNeeded: word >> 20 & 3)
    }

    /// The first packet's DSCP.
    var firstCodePoint: UInt8 { UInt8(truncatingIfNeeded: first >> 22 & 63) }
    /// The first packet's flow label.
    var firstLabel: UInt32 { first & 0xF_FFFF }
  }

  struct State: FlowState {
    var forward = Direction()
    var reverse = Direction()
  }

  /// ECN's code point of packets that met congestion (RFC 3168 section 5).
  static var congestionExperienced: UInt32 { 3 }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    let word = packet.trafficClassAndLabel
    if packet.isForward {
      state.forward.add(word, isFirst: flow.forwardPackets <= 1)
    } else {
      state.reverse.add(word, isFirst: flow.reversePackets <= 1)
    }
    return .more
  }

  // MARK: Fields

  static let codePoint = InformationElement(
    .iana, 195, "ipDiffServCodePoint", .unsigned8, semantics: .identifier)
  static let codePoints = InformationElement(
    .martlet, 160, "ipDiffServCodePoints", .unsigned64, semantics: .flags)
  static let congestionCodes = InformationElement(
    .martlet, 161, "ipCongestionNotificationCodes", .unsigned8, semantics: .flags)
  static let congested = InformationElement(
    .martlet, 162, "ipCongestionExperiencedCount", .unsigned32, semantics: .totalCounter, units: .packets)
  static let label = InformationElement(.iana, 31, "flowLabelIPv6", .unsigned32, semantics: .identifier)
  static let labelChanges = InformationElement(
    .martlet, 163, "flowLabelIPv6ChangeCount", .unsigned16, semantics: .totalCounter, units: .packets)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let (forward, reverse) = (state.forward, state.reverse)
    writer.unsigned8(Self.codePoint, forward.firstCodePoint)
    writer.unsigned8(Self.codePoint.reversed, reverse.firstCodePoint)
    writer.unsigned64(Self.codePoints, forward.codePoints)
    writer.unsigned64(Self.codePoints.reversed, reverse.codePoints)
    writer.unsigned8(Self.congestionCodes, forward.congestionCodes)
    writer.unsigned8(Self.congestionCodes.reversed, reverse.congestionCodes)
    writer.unsigned32(Self.congested, forward.congested)
    writer.unsigned32(Self.congested.reversed, reverse.congested)
    writer.unsigned32(Self.label, forward.firstLabel)
    writer.unsigned32(Self.label.reversed, reverse.firstLabel)
    writer.unsigned16(Self.labelChanges, forward.changes)
    writer.unsigned16(Self.labelChanges.reversed, reverse.changes)
  }
}
