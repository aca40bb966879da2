// phists: how a flow's payload lengths and the gaps between its packets are distributed, by direction.
import IPFIX
import Wire

/// `--plugin phists[:includezeroes]`.
struct PayloadHistograms: FlowPlugin {
  static let name = "phists"
  static let summary = "histograms of payload lengths and of the gaps between packets, by direction"
  static let exportsContent = false
  static let options = [PluginOption("includezeroes", .flag, "count packets without payload too")]

  /// Eight counters: below 16, 16–31, 32–63, 64–127, 128–255, 256–511, 512–1023, 1024 and more. They stop at 2³²-1.
  struct Histogram: BitwiseCopyable {
    var bins: InlineArray<8, UInt32> = .init(repeating: 0)

    /// The counter of the bin `index` modulo 8: no index is outside.
    @inline(__always)
    subscript(index: Int) -> UInt32 { bins[index & 7] }

    @inline(__always)
    mutating func count(_ value: UInt32) {
      // The position of the highest bit is the bin; `| 15` gathers all values below 16 in the first.
      let bin = min(28 &- (value | 15).leadingZeroBitCount, 7)
      bins[bin] &+= bins[bin] == .max ? 0 : 1
    }
  }

  struct Direction: BitwiseCopyable {
    var sizes = Histogram()
    var gaps = Histogram()
    /// The milliseconds since 1970 of the direction's last packet that was counted, plus 1; 0 before the first.
    var previous: UInt64 = 0
  }

  struct State: FlowState {
    var forward = Direction()
    var reverse = Direction()
  }

  private let includesEmpty: Bool

  init(options: borrowing PluginOptions) { includesEmpty = options.flag("includezeroes") }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    count(&state, packet)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    !(flow.packets <= 1 && flow.tcpFlags & TCPFlags.syn != 0)
  }

  @inline(__always)
  private func count(_ state: inout State, _ packet: PacketView) -> Verdict {
    guard packet.payloadLength > 0 || includesEmpty else { return .more }
    if packet.isForward { count(packet, in: &state.forward) } else { count(packet, in: &state.reverse) }
    return .more
  }

  @inline(__always)
  private func count(_ packet: PacketView, in direction: inout Direction) {
    direction.sizes.count(UInt32(truncatingIfNeeded: packet.payloadLength))
    let now = packet.microseconds / 1000 &+ 1
    if direction.previous != 0 {
      // Where a capture goes back in time the gap is 0.
      direction.gaps.count(UInt32(clamping: now > direction.previous ? now &- direction.previous : 0))
    }
    direction.previous = now
  }

  // MARK: Fields

  static let sourceSizes = InformationElement(
    .cesnet, 1060, "phistSrcSizes", .unsigned32, semantics: .totalCounter, units: .packets)
  static let destinationSizes = InformationElement(
    .cesnet, 1062, "phistDstSizes", .unsigned32, semantics: .totalCounter, units: .packets)
  static let sourceGaps = InformationElement(
    .cesnet, 1061, "phistSrcInterPacketTime", .unsigned32, semantics: .totalCounter, units: .packets)
  static let destinationGaps = InformationElement(
    .cesnet, 1063, "phistDstInterPacketTime", .unsigned32, semantics: .totalCounter, units: .packets)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.list(Self.sourceSizes, count: 8) { state.forward.sizes[$0] }
    writer.list(Self.destinationSizes, count: 8) { state.reverse.sizes[$0] }
    writer.list(Self.sourceGaps, count: 8) { state.forward.gaps[$0] }
    writer.list(Self.destinationGaps, count: 8) { state.reverse.gaps[$0] }
  }
}
