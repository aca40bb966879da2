// bstats: the bursts of each direction, that is runs of packets with payload less than a second apart.
import IPFIX

/// `--plugin bstats`.
struct BurstStatistics: FlowPlugin {
  static let name = "bstats"
  static let summary = "packets, bytes, begin and end of the first 15 bursts of each direction"
  static let exportsContent = false

  /// A run of packets of one direction, in 20 bytes.
  struct Burst: BitwiseCopyable {
    var packets: UInt32 = 0
    var bytes: UInt32 = 0
    /// Microseconds: those of `start` since 1970 in 55 bits, enough for all that 64 bits of nanoseconds hold, and the
    /// upper 9 of the duration's 41.
    private var startAndDuration: UInt64
    private var durationLow: UInt32 = 0

    init(start nanoseconds: UInt64) { startAndDuration = (nanoseconds / 1000) << 9 }

    /// Nanoseconds since 1970, whole microseconds.
    var start: UInt64 { startAndDuration >> 9 &* 1000 }

    /// Makes the burst end with a packet received at `nanoseconds`.
    mutating func end(at nanoseconds: UInt64) {
      duration = Int64(nanoseconds / 1000) &- Int64(startAndDuration >> 9)
    }

    /// Microseconds from `start` to the last packet, both truncated; at most 12 days, and negative where a capture goes
    /// back in time.
    var duration: Int64 {
      get { Int64(bitPattern: startAndDuration << 55) >> 23 | Int64(durationLow) }
      set {
        let value = min(max(newValue, -(1 << 40)), 1 << 40 - 1)
        startAndDuration = startAndDuration & ~0x1FF | UInt64(bitPattern: value >> 32) & 0x1FF
        durationLow = UInt32(truncatingIfNeeded: value)
      }
    }
  }

  struct Direction: BitwiseCopyable {
    /// When the last packet with payload was received, nanoseconds since 1970.
    var last: UInt64 = 0
    /// The burst under way, whose start stands behind the kept ones; 0 packets before the first.
    var packets: UInt32 = 0
    var bytes: UInt32 = 0
  }

  struct State: FlowState {
    var forward = Direction()
    var reverse = Direction()
    /// How many bursts of each direction are kept: those before the one under way, and that too once the flow ended.
    var forwardKept: UInt32 = 0
    var reverseKept: UInt32 = 0
  }

  /// The most bursts of one direction.
  static let limit = 15
  /// Fewer packets are no burst.
  static let fewestPackets: UInt32 = 3
  /// A packet this long after the one before it begins another burst.
  static let pause: UInt64 = 1_000_000_000
  private static let size = MemoryLayout<Burst>.size

  init(options: borrowing PluginOptions) {}

  /// Forward bursts, then reverse ones.
  var trailingBytes: Int { 2 * Self.limit * Self.size }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    note(&state, packet, flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    keepLast(&state.forward, &state.forwardKept, at: 0, flow)
    keepLast(&state.reverse, &state.reverseKept, at: Self.limit, flow)
    return flow.packets > 3
  }

  @inline(__always)
  private func note(_ state: inout State, _ packet: PacketView, _ flow: FlowContext<Self>) -> Verdict {
    guard packet.payloadLength > 0 else { return .more }
    if packet.isForward {
      add(packet, to: &state.forward, &state.forwardKept, at: 0, flow)
    } else {
      add(packet, to: &state.reverse, &state.reverseKept, at: Self.limit, flow)
    }
    return Int(min(state.forwardKept, state.reverseKept)) == Self.limit ? .done : .more
  }

  /// Adds a packet to the direction whose bursts begin at number `base`.
  @inline(__always)
  private func add(
    _ packet: PacketView, to direction: inout Direction, _ kept: inout UInt32, at base: Int,
    _ flow: FlowContext<Self>
  ) {
    // Where a capture goes back in time the packet belongs to the burst.
    if packet.time >= direction.last &+ Self.pause { keepLast(&direction, &kept, at: base, flow) }
    direction.last = packet.time
    guard kept < Self.limit else { return }
    if direction.packets == 0 {
      flow.trailing.store(Burst(start: packet.time), at: Self.place(base, kept))
      direction.bytes = 0
    }
    direction.packets &+= 1
    direction.bytes = direction.bytes.addingClamped(UInt32(truncatingIfNeeded: packet.payloadLength))
  }

  /// Where the burst that follows `kept` ones stands, of the direction whose bursts begin at number `base`.
  @inline(__always)
  private static func place(_ base: Int, _ kept: UInt32) -> Int { (base &+ Int(kept)) &* size }

  /// Ends the burst under way: it is kept, or its place is given to the next one.
  @inline(__always)
  private func keepLast(
    _ direction: inout Direction, _ kept: inout UInt32, at base: Int, _ flow: FlowContext<Self>
  ) {
    if direction.packets >= Self.fewestPackets {
      var burst = flow.trailing.load(Burst.self, at: Self.place(base, kept))
      burst.packets = direction.packets
      burst.bytes = direction.bytes
      burst.end(at: direction.last)
      flow.trailing.store(burst, at: Self.place(base, kept))
      kept &+= 1
    }
    direction.packets = 0
  }

  // MARK: Fields

  static let sourcePackets = InformationElement(
    .cesnet, 1050, "burstSrcPackets", .unsigned16, units: .packets)
  static let sourceBytes = InformationElement(.cesnet, 1051, "burstSrcBytes", .unsigned16, units: .octets)
  static let sourceStart = InformationElement(.cesnet, 1052, "burstSrcTimeStart", .dateTimeMilliseconds)
  static let sourceStop = InformationElement(.cesnet, 1053, "burstSrcTimeStop", .dateTimeMilliseconds)
  static let destinationPackets = InformationElement(
    .cesnet, 1054, "burstDstPackets", .unsigned16, units: .packets)
  static let destinationBytes = InformationElement(
    .cesnet, 1055, "burstDstBytes", .unsigned16, units: .octets)
  static let destinationStart = InformationElement(.cesnet, 1056, "burstDstTimeStart", .dateTimeMilliseconds)
  static let destinationStop = InformationElement(.cesnet, 1057, "burstDstTimeStop", .dateTimeMilliseconds)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let bursts = flow.trailing
    func burst(_ number: Int) -> Burst { bursts.load(Burst.self, at: number &* Self.size) }
    func stop(_ number: Int) -> UInt64 {
      let burst = burst(number)
      return burst.start &+ UInt64(bitPattern: burst.duration &* 1000)
    }
    // libfds calls counts and bytes unsigned16; four octets each are what ipfixprobe sends.
    let forward = Int(state.forwardKept)
    writer.list(Self.sourcePackets, count: forward) { burst($0).packets }
    writer.list(Self.sourceBytes, count: forward) { burst($0).bytes }
    writer.times(Self.sourceStart, count: forward) { burst($0).start }
    writer.times(Self.sourceStop, count: forward) { stop($0) }
    let reverse = Int(state.reverseKept)
    writer.list(Self.destinationPackets, count: reverse) { burst(Self.limit &+ $0).packets }
    writer.list(Self.destinationBytes, count: reverse) { burst(Self.limit &+ $0).bytes }
    writer.times(Self.destinationStart, count: reverse) { burst(Self.limit &+ $0).start }
    writer.times(Self.destinationStop, count: reverse) { stop(Self.limit &+ $0) }
  }
}

extension UInt32 {
  /// The sum, or the largest number where it would not fit.
  @inline(__always)
  fileprivate func addingClamped(_ other: UInt32) -> UInt32 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
