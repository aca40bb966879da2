// flowstats: what CICFlowMeter and nfstream say of a flow in numbers, of each direction and of both: how long its packets are,
// how far apart they come, and how many have each TCP flag.
import IPFIX
import Wire

/// `--plugin flowstats`.
///
/// Nothing is rounded before export: what accumulates are whole numbers, of which the record's own counters are a part. With n
/// values x, the sample's variance is (n Σx² - (Σx)²) / (n (n - 1)), where the difference is taken in 128 bits.
struct FlowStatistics: FlowPlugin {
  static let name = "flowstats"
  static let summary = "statistics of packet sizes and gaps, counts of TCP flags, by direction and for both"
  static let isAlwaysPresent = true
  static let exportsContent = false

  /// The gaps between packets, in microseconds.
  struct Gaps: BitwiseCopyable {
    var sum: UInt64 = 0
    /// The sum of the squares; it stops at its maximum, which takes more than 71 minutes.
    var squares: UInt64 = 0
    /// By how much the shortest gap is below the largest number: so the first gap is no special one.
    private var below: UInt32 = 0
    private(set) var longest: UInt32 = 0

    /// The shortest gap; means nothing where there is none.
    var shortest: UInt32 { .max &- below }

    /// Notes the gap between `latest` and `now`; it is 0 where a capture goes back in time, and stops at 71 minutes.
    @inline(__always)
    mutating func add(from latest: UInt64, to now: UInt64) {
      let gap = UInt32(clamping: now > latest ? now &- latest : 0)
      below = max(below, .max &- gap)
      longest = max(longest, gap)
      sum &+= UInt64(gap)
      squares = squares.addingClamped(UInt64(gap) &* UInt64(gap))
    }
  }

  /// The lengths of the shortest and the longest packet.
  struct Extent: BitwiseCopyable {
    /// By how much the shortest length is below the largest number.
    private var below: UInt16 = 0
    private(set) var longest: UInt16 = 0

    /// The shortest length; 0 where there is no packet.
    var shortest: UInt16 { below == 0 && longest == 0 ? 0 : .max &- below }

    /// Notes a packet of this length.
    @inline(__always)
    mutating func add(_ length: UInt16) {
      below = max(below, .max &- length)
      longest = max(longest, length)
    }

    /// What is in one or both.
    func joined(_ other: Extent) -> Extent {
      if longest == 0 { return other }
      if other.longest == 0 { return self }
      return Extent(below: max(below, other.below), longest: max(longest, other.longest))
    }
  }

  struct Direction: BitwiseCopyable {
    /// The packets with each flag: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    var flags = InlineArray<8, UInt32>(repeating: 0)
    /// The sum of the squares of all lengths, whose sum is the record's octets. It fits: a record ends with 2³¹ packets, none
    /// of which has more than 65 575 bytes.
    var lengthSquares: UInt64 = 0
    var gaps = Gaps()
    /// When the latest packet was received, microseconds since 1970.
    var latest: UInt64 = 0

    /// Counts a packet for each flag that it has; all eight at once.
    @inline(__always)
    mutating func countFlags(_ set: UInt8) {
      guard set != 0 else { return }
      // Safe: both are eight numbers of 32 bits, in which every bit pattern is a value.
      let counts = unsafeBitCast(flags, to: SIMD8<UInt32>.self)
      let bits = SIMD8<UInt32>(1, 2, 4, 8, 16, 32, 64, 128)
      let isSet = (SIMD8(repeating: UInt32(set)) & bits) .== bits
      flags = unsafeBitCast(
        counts.replacing(with: counts &+ SIMD8(repeating: 1), where: isSet), to: InlineArray<8, UInt32>.self)
    }
  }

  struct State: FlowState {
    /// Forward, then reverse: which one a packet is of is an index, since it cannot be predicted.
    var directions = InlineArray<2, Direction>(repeating: Direction())
    var gaps = Gaps()
    var extents = InlineArray<2, Extent>(repeating: Extent())
  }

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    let (forward, reverse) = (flow.forwardPackets, flow.reversePackets)
    let own = packet.isForward ? 0 : 1
    let now = packet.microseconds
    let length = UInt64(truncatingIfNeeded: packet.octets)
    state.extents[own].add(UInt16(clamping: length))
    state.directions[own].lengthSquares &+= length &* length
    state.directions[own].countFlags(packet.tcpFlags)
    let latest = state.directions[own].latest
    // The record ends before the sum of both counts is too large.
    if forward &+ reverse > 1 {
      state.gaps.add(from: max(latest, state.directions[1 &- own].latest), to: now)
    }
    if (packet.isForward ? forward : reverse) > 1 {
      state.directions[own].gaps.add(from: latest, to: now)
    }
    state.directions[own].latest = max(latest, now)
    return .more
  }

  // MARK: Fields

  // Lengths are those of IP packets, header included, as in octetDeltaCount.
  static let shortest = InformationElement(.iana, 25, "minimumIpTotalLength", .unsigned64, units: .octets)
  static let longest = InformationElement(.iana, 26, "maximumIpTotalLength", .unsigned64, units: .octets)
  static let meanLength = InformationElement(.martlet, 100, "meanIpTotalLength", .float32, units: .octets)
  static let deviation = InformationElement(
    .martlet, 101, "deviationIpTotalLength", .float32, units: .octets)
  static let shortestGap = InformationElement(
    .martlet, 102, "minimumPacketGap", .unsigned32, units: .microseconds)
  static let meanGap = InformationElement(.martlet, 103, "meanPacketGap", .float32, units: .microseconds)
  static let gapDeviation = InformationElement(
    .martlet, 104, "deviationPacketGap", .float32, units: .microseconds)
  static let longestGap = InformationElement(
    .martlet, 105, "maximumPacketGap", .unsigned32, units: .microseconds)

  static let fin = counter(.iana, 219, "tcpFinTotalCount")
  static let syn = counter(.iana, 218, "tcpSynTotalCount")
  static let reset = counter(.iana, 220, "tcpRstTotalCount")
  static let push = counter(.iana, 221, "tcpPshTotalCount")
  static let acknowledge = counter(.iana, 222, "tcpAckTotalCount")
  static let urgent = counter(.iana, 223, "tcpUrgTotalCount")
  static let congestionEcho = counter(.martlet, 106, "tcpEceTotalCount")
  static let windowReduced = counter(.martlet, 107, "tcpCwrTotalCount")

  static let biflowShortest = InformationElement(
    .martlet, 110, "biflowMinimumIpTotalLength", .unsigned64, units: .octets)
  static let biflowMeanLength = InformationElement(
    .martlet, 111, "biflowMeanIpTotalLength", .float32, units: .octets)
  static let biflowDeviation = InformationElement(
    .martlet, 112, "biflowDeviationIpTotalLength", .float32, units: .octets)
  static let biflowLongest = InformationElement(
    .martlet, 113, "biflowMaximumIpTotalLength", .unsigned64, units: .octets)
  static let biflowShortestGap = InformationElement(
    .martlet, 114, "biflowMinimumPacketGap", .unsigned32, units: .microseconds)
  static let biflowMeanGap = InformationElement(
    .martlet, 115, "biflowMeanPacketGap", .float32, units: .microseconds)
  static let biflowGapDeviation = InformationElement(
    .martlet, 116, "biflowDeviationPacketGap", .float32, units: .microseconds)
  static let biflowLongestGap = InformationElement(
    .martlet, 117, "biflowMaximumPacketGap", .unsigned32, units: .microseconds)

  static let biflowFin = counter(.martlet, 120, "biflowTcpFinTotalCount")
  static let biflowSyn = counter(.martlet, 121, "biflowTcpSynTotalCount")
  static let biflowReset = counter(.martlet, 122, "biflowTcpRstTotalCount")
  static let biflowPush = counter(.martlet, 123, "biflowTcpPshTotalCount")
  static let biflowAcknowledge = counter(.martlet, 124, "biflowTcpAckTotalCount")
  static let biflowUrgent = counter(.martlet, 125, "biflowTcpUrgTotalCount")
  static let biflowCongestionEcho = counter(.martlet, 126, "biflowTcpEceTotalCount")
  static let biflowWindowReduced = counter(.martlet, 127, "biflowTcpCwrTotalCount")

  /// An element that counts packets.
  private static func counter(
    _ owner: InformationElement.Owner, _ number: UInt16, _ name: StaticString
  ) -> InformationElement {
    InformationElement(owner, number, name, .unsigned64, semantics: .totalCounter, units: .packets)
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let forward = Summary(state.directions[0], state.extents[0], flow.forwardPackets, flow.forwardOctets)
    let reverse = Summary(state.directions[1], state.extents[1], flow.reversePackets, flow.reverseOctets)
    let both = Summary(state, flow)
    writer.unsigned16(Self.shortest, forward.extent.shortest)
    writer.unsigned16(Self.shortest.reversed, reverse.extent.shortest)
    writer.float32(Self.meanLength, forward.meanLength)
    writer.float32(Self.meanLength.reversed, reverse.meanLength)
    writer.float32(Self.deviation, forward.deviation)
    writer.float32(Self.deviation.reversed, reverse.deviation)
    writer.unsigned16(Self.longest, forward.extent.longest)
    writer.unsigned16(Self.longest.reversed, reverse.extent.longest)
    writer.unsigned32(Self.shortestGap, forward.shortestGap)
    writer.unsigned32(Self.shortestGap.reversed, reverse.shortestGap)
    writer.float32(Self.meanGap, forward.meanGap)
    writer.float32(Self.meanGap.reversed, reverse.meanGap)
    writer.float32(Self.gapDeviation, forward.gapDeviation)
    writer.float32(Self.gapDeviation.reversed, reverse.gapDeviation)
    writer.unsigned32(Self.longestGap, forward.longestGap)
    writer.unsigned32(Self.longestGap.reversed, reverse.longestGap)
    let (there, back) = (state.directions[0].flags, state.directions[1].flags)
    writer.counts(Self.fin, there[0], back[0])
    writer.counts(Self.syn, there[1], back[1])
    writer.counts(Self.reset, there[2], back[2])
    writer.counts(Self.push, there[3], back[3])
    writer.counts(Self.acknowledge, there[4], back[4])
    writer.counts(Self.urgent, there[5], back[5])
    writer.counts(Self.congestionEcho, there[6], back[6])
    writer.counts(Self.windowReduced, there[7], back[7])
    writer.unsigned16(Self.biflowShortest, both.extent.shortest)
    writer.float32(Self.biflowMeanLength, both.meanLength)
    writer.float32(Self.biflowDeviation, both.deviation)
    writer.unsigned16(Self.biflowLongest, both.extent.longest)
    writer.unsigned32(Self.biflowShortestGap, both.shortestGap)
    writer.float32(Self.biflowMeanGap, both.meanGap)
    writer.float32(Self.biflowGapDeviation, both.gapDeviation)
    writer.unsigned32(Self.biflowLongestGap, both.longestGap)
    writer.unsigned32(Self.biflowFin, there[0] &+ back[0])
    writer.unsigned32(Self.biflowSyn, there[1] &+ back[1])
    writer.unsigned32(Self.biflowReset, there[2] &+ back[2])
    writer.unsigned32(Self.biflowPush, there[3] &+ back[3])
    writer.unsigned32(Self.biflowAcknowledge, there[4] &+ back[4])
    writer.unsigned32(Self.biflowUrgent, there[5] &+ back[5])
    writer.unsigned32(Self.biflowCongestionEcho, there[6] &+ back[6])
    writer.unsigned32(Self.biflowWindowReduced, there[7] &+ back[7])
  }
}

extension FieldWriter where Self: ~Copyable {
  /// A count of packets in each direction.
  @inline(__always)
  fileprivate mutating func counts(_ element: InformationElement, _ forward: UInt32, _ reverse: UInt32) {
    unsigned32(element, forward)
    unsigned32(element.reversed, reverse)
  }
}

// MARK: At export

/// The numbers of one direction, or of both, as they are exported. All are 0 where there is no packet, those of gaps and
/// deviations where there is only one.
private struct Summary {
  let extent: FlowStatistics.Extent
  let meanLength: Float
  let deviation: Float
  let shortestGap: UInt32
  let longestGap: UInt32
  let meanGap: Float
  let gapDeviation: Float

  init(
    _ direction: FlowStatistics.Direction, _ extent: FlowStatistics.Extent, _ packets: UInt32,
    _ octets: UInt64
  ) {
    self.init(
      extent, packets: UInt64(packets), octets: octets, lengthSquares: direction.lengthSquares,
      direction.gaps)
  }

  init(_ state: FlowStatistics.State, _ flow: FinishedFlow) {
    let (forward, reverse) = (state.directions[0], state.directions[1])
    self.init(
      state.extents[0].joined(state.extents[1]), packets: flow.packets,
      octets: flow.forwardOctets &+ flow.reverseOctets,
      lengthSquares: forward.lengthSquares.addingClamped(reverse.lengthSquares), state.gaps)
  }

  private init(
    _ extent: FlowStatistics.Extent, packets: UInt64, octets: UInt64, lengthSquares: UInt64,
    _ gaps: FlowStatistics.Gaps
  ) {
    self.extent = extent
    let gapCount = packets > 0 ? packets &- 1 : 0
    shortestGap = gapCount > 0 ? gaps.shortest : 0
    longestGap = gaps.longest
    meanLength = Summary.mean(octets, packets)
    deviation = SampleDeviation.of(sum: octets, squares: lengthSquares, packets)
    meanGap = Summary.mean(gaps.sum, gapCount)
    gapDeviation = SampleDeviation.of(sum: gaps.sum, squares: gaps.squares, gapCount)
  }

  private static func mean(_ sum: UInt64, _ count: UInt64) -> Float {
    count > 0 ? Float(Double(sum) / Double(count)) : 0
  }
}

/// The standard deviation of a sample: its variance has one less than the number of values as its divisor.
enum SampleDeviation {
  /// The deviation of `count` values of which the sum and the sum of squares are given; 0 for fewer than two.
  static func of(sum: UInt64, squares: UInt64, _ count: UInt64) -> Float {
    guard count > 1 else { return 0 }
    let all = count.multipliedFullWidth(by: squares)
    let square = sum.multipliedFullWidth(by: sum)
    let (low, borrow) = all.low.subtractingReportingOverflow(square.low)
    let (high, isNegative) = all.high.subtractingReportingOverflow(square.high)
    // Below 0 where a sum stopped at its maximum.
    guard !isNegative, high > 0 || !borrow else { return 0 }
    let difference = Double(high &- (borrow ? 1 : 0)) * 18_446_744_073_709_551_616 + Double(low)
    return Float((difference / (Double(count) * Double(count &- 1))).squareRoot())
  }
}

extension UInt64 {
  /// The sum, or the largest number where it would not fit.
  @inline(__always)
  fileprivate func addingClamped(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
