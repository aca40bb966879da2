// nettisa: statistics of payload lengths and packet times over the whole flow, for machine learning on encrypted
// traffic (Koumar et al., "NetTiSA: Extended IP flow with time-series features", Computer Networks 2024).
import IPFIX

/// `--plugin nettisa`.
///
/// What accumulates is exact or in double precision, and the moments of the length are central ones, updated packet by
/// packet: sums of powers in single precision, as in ipfixprobe, lose a long flow's deviation in rounding.
struct TimeSeries: FlowPlugin {
  static let name = "nettisa"
  static let summary = "statistics of payload lengths and gaps between packets as time series (NetTiSA)"
  static let exportsContent = false

  struct State: FlowState {
    var lengths = Moments()
    /// The sum of the distances of each length from the mean before it.
    var dispersion = 0.0
    /// The sum of the distances of each gap from the mean of the gaps so far.
    var distribution = 0.0
    /// Sums in microseconds: of the times since 1970, modulo 2⁶⁴, and of the gaps.
    var times: UInt64 = 0
    var gaps: Int64 = 0
    /// When the last packet was received, microseconds since 1970.
    var previous: UInt64 = 0
    var longestGap: UInt64 = 0
    var shortest: UInt16 = 0
    var longest: UInt16 = 0
    /// The frame length of the last packet, and how often it changed.
    var frameLength: UInt32 = 0
    var changes: UInt32 = 0
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    state.previous = packet.microseconds
    state.shortest = .max
    add(packet, &state, flow)
    return .more
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    add(packet, &state, flow)
    return .more
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { flow.packets > 1 }

  /// Adds a packet.
  // The numbers are less than 2⁶³: those with a sign become floating-point ones in one instruction.
  @inline(__always)
  private func add(_ packet: PacketView, _ state: inout State, _ flow: FlowContext<Self>) {
    let time = packet.microseconds
    let count = Double(flow.packets)
    let reciprocal = 1 / count
    let length = UInt16(clamping: packet.payloadLength)
    state.shortest = min(state.shortest, length)
    state.longest = max(state.longest, length)
    state.dispersion += state.lengths.add(Double(length), count: count, reciprocal: reciprocal)
    state.times &+= time
    // Where a capture goes back in time the gap is 0.
    let gap = time > state.previous ? time &- state.previous : 0
    state.previous = time
    state.gaps &+= Int64(bitPattern: gap)
    state.longestGap = max(state.longestGap, gap)
    state.distribution += abs(Double(state.gaps) * reciprocal - Double(Int64(bitPattern: gap)))
    let frameLength = UInt32(truncatingIfNeeded: packet.frameLength)
    state.changes &+= frameLength == state.frameLength ? 0 : 1
    state.frameLength = frameLength
  }

  // MARK: Moments

  /// Mean and sums of the second to fourth powers of the distances from it (Pébay, SAND2008-6212, equations 2.1 ff.).
  struct Moments: BitwiseCopyable {
    var mean = 0.0
    var second = 0.0
    var third = 0.0
    var fourth = 0.0

    /// Adds `value`, the `count`th; returns its distance from the mean before it.
    @inline(__always)
    mutating func add(_ value: Double, count: Double, reciprocal: Double) -> Double {
      let distance = value - mean
      let step = distance * reciprocal
      let square = distance * step * (count - 1)
      mean += step
      fourth +=
        square * step * step * (count * count - 3 * count + 3) + 6 * step * step * second
        - 4 * step * third
      third += square * step * (count - 2) - 3 * step * second
      second += square
      return abs(distance)
    }
  }

  // MARK: Fields

  static let mean = InformationElement(.cesnet, 1020, "ntsMeanPacketPayload", .float32, units: .octets)
  static let shortest = InformationElement(
    .cesnet, 1021, "ntsMinPacketPayload", .unsigned16, units: .octets)
  static let longest = InformationElement(.cesnet, 1022, "ntsMaxPacketPayload", .unsigned16, units: .octets)
  static let deviation = InformationElement(.cesnet, 1023, "ntsStdevPacketPayload", .float32, units: .octets)
  static let kurtosis = InformationElement(.cesnet, 1024, "ntsKurtosisPacketPayload", .float32)
  static let rootMeanSquare = InformationElement(
    .cesnet, 1025, "ntsRootMeanSquarePacketPayload", .float32, units: .octets)
  static let dispersion = InformationElement(
    .cesnet, 1026, "ntsAverageDispersionPacketPayload", .float32, units: .octets)
  static let meanTime = InformationElement(
    .cesnet, 1027, "ntsMeanScaledTime", .float32, units: .microseconds)
  static let meanGap = InformationElement(.cesnet, 1028, "ntsMeanDifftimes", .float32, units: .microseconds)
  static let shortestGap = InformationElement(
    .cesnet, 1029, "ntsMinDifftimes", .float32, units: .microseconds)
  static let longestGap = InformationElement(
    .cesnet, 1030, "ntsMaxDifftimes", .float32, units: .microseconds)
  static let timeDistribution = InformationElement(.cesnet, 1031, "ntsTimeDistribution", .float32)
  static let switchingRatio = InformationElement(.cesnet, 1032, "ntsSwitchingRatio", .float32)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let count = Double(max(flow.packets, 1))
    let variance = max(0, state.lengths.second / count)
    let meanSquare = variance + state.lengths.mean * state.lengths.mean
    let longestGap = Double(Float(state.longestGap))
    // Of the times since the flow began; there are as many as packets.
    let times = Int64(bitPattern: state.times &- flow.packets &* (flow.first / 1000))
    writer.float32(Self.mean, Float(state.lengths.mean))
    writer.unsigned16(Self.shortest, state.shortest)
    writer.unsigned16(Self.longest, state.longest)
    writer.float32(Self.deviation, Float(variance.squareRoot()))
    writer.float32(Self.kurtosis, ratio(state.lengths.fourth, count * variance * variance))
    writer.float32(Self.rootMeanSquare, Float(meanSquare.squareRoot()))
    writer.float32(Self.dispersion, Float(state.dispersion / count))
    writer.float32(Self.meanTime, Float(Double(times) / count))
    writer.float32(Self.meanGap, Float(Double(state.gaps) / count))
    // The first packet's gap is 0 and counts, so the shortest one always is.
    writer.float32(Self.shortestGap, 0)
    writer.float32(Self.longestGap, Float(longestGap))
    // ipfixprobe subtracts the smallest payload length from the longest gap, where the paper means the shortest gap.
    writer.float32(Self.timeDistribution, ratio(state.distribution, (count - 1) * longestGap))
    writer.float32(Self.switchingRatio, Float(Double(state.changes) / count))
  }

  /// The quotient, or 0 where all lengths, or all times, are the same and there is nothing to divide by.
  private func ratio(_ dividend: Double, _ divisor: Double) -> Float {
    divisor > 0 ? Float(dividend / divisor) : 0
  }
}
