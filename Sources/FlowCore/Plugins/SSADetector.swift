// ssadetector: whether a flow is a tunnel in which TCP connections are opened, from the lengths of its packets: a SYN
// is answered by a SYN-ACK of nearly the same length, again and again (SSA: SYN, SYN-ACK, ACK).
import IPFIX
import Wire

/// `--plugin ssadetector`.
struct SSADetector: FlowPlugin {
  static let name = "ssadetector"
  static let summary = "whether the flow looks like a tunnel that carries TCP handshakes"
  static let exportsContent = false

  struct State: FlowState {
    /// What is noted of the flow, from the first packet of a SYN's length on; most flows never have it.
    var notes = BlockReference()
    /// Pairs of packets that look like SYN and SYN-ACK.
    var suspects: UInt32 = 0
    /// How many different lengths the first 100 suspects had.
    var distinctLengths: UInt8 = 0
  }

  /// The lengths that a SYN may have in a tunnel.
  private static let lengths = 60...150
  /// How much longer than its SYN a SYN-ACK may be.
  private static let tolerance = 12
  /// How long a SYN waits for its answer, nanoseconds.
  private static let patience: UInt64 = 3_000_000_000
  /// The packets before this one are the tunnel's own handshake.
  private static let firstPacket: UInt64 = 30
  /// The lengths of so many suspects are remembered.
  private static let remembered: UInt32 = 100

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .more
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    guard Self.lengths.contains(packet.payloadCaptured), flow.packets >= Self.firstPacket else {
      return .more
    }
    return look(&state, packet, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    flow.packets > Self.firstPacket
  }

  /// Looks whether a packet answers one of the other direction, and notes it otherwise.
  private func look(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if state.notes.isNone {
      guard let block = flow.takeBlock(Notes.size) else { return .done }
      state.notes = block
      Notes(flow.contents(block)).forgetAll()
    }
    let notes = Notes(flow.contents(state.notes))
    let length = packet.payloadCaptured &- Self.lengths.lowerBound
    guard
      notes.has(
        isForward: !packet.isForward, from: max(0, length &- Self.tolerance), through: length,
        notBefore: packet.time < Self.patience ? 0 : packet.time &- Self.patience)
    else {
      notes.note(length, isForward: packet.isForward, at: packet.time)
      return .more
    }
    notes.forgetPackets()
    if state.suspects < Self.remembered, notes.rememberSuspect(length) { state.distinctLengths &+= 1 }
    state.suspects &+= 1
    // More than a fifth of 100 lengths: too many for any number of suspects, see `isTunnel`.
    return UInt32(state.distinctLengths) > Self.remembered / 5 ? .done : .more
  }

  // MARK: Notes

  /// What a flow's block holds. Lengths count from 60 here; a set of them has a bit for each.
  ///
  ///     0   lengths noted forward 16 | 16 lengths noted in reverse 16 | 32 lengths of suspects 16
  ///     48  time of the last packet of each length: 91 × 8 forward, 91 × 8 in reverse
  private struct Notes {
    private let bytes: MutableBytes
    private static let suspects = 32
    private static let times = 48
    static let size = times + 2 * lengths.count * 8

    @inline(__always)
    init(_ bytes: MutableBytes) { self.bytes = bytes }

    @inline(__always)
    private func packets(_ isForward: Bool) -> Int { isForward ? 0 : 16 }

    @inline(__always)
    private func time(_ length: Int, _ isForward: Bool) -> Int {
      Self.times &+ (isForward ? length : length &+ lengths.count) &* 8
    }

    /// The bit of a length in a set; `length` is below 128.
    @inline(__always)
    private func bit(_ length: Int) -> UInt128 { 1 &<< UInt128(truncatingIfNeeded: length) }

    /// Whether a packet of a length from `first` through `last` is noted that was not received before `earliest`.
    func has(isForward: Bool, from first: Int, through last: Int, notBefore earliest: UInt64) -> Bool {
      let window = (bit(last &- first &+ 1) &- 1) &<< UInt128(truncatingIfNeeded: first)
      var candidates = bytes.load(UInt128.self, at: packets(isForward)) & window
      while candidates != 0 {
        let length = candidates.trailingZeroBitCount
        if bytes.load(UInt64.self, at: time(length, isForward)) >= earliest { return true }
        candidates &= candidates &- 1
      }
      return false
    }

    func note(_ length: Int, isForward: Bool, at now: UInt64) {
      let set = bytes.load(UInt128.self, at: packets(isForward))
      bytes.store(set | bit(length), at: packets(isForward))
      bytes.store(now, at: time(length, isForward))
    }

    /// Adds the length of a suspect; true where none had it before.
    func rememberSuspect(_ length: Int) -> Bool {
      let set = bytes.load(UInt128.self, at: Self.suspects)
      bytes.store(set | bit(length), at: Self.suspects)
      return set & bit(length) == 0
    }

    func forgetPackets() {
      bytes.store(UInt128(0), at: packets(true))
      bytes.store(UInt128(0), at: packets(false))
    }

    func forgetAll() {
      forgetPackets()
      bytes.store(UInt128(0), at: Self.suspects)
    }
  }

  // MARK: Fields

  static let confidence = InformationElement(.cesnet, 903, "ssaConfLevel", .unsigned8)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned8(Self.confidence, isTunnel(state, packets: flow.packets) ? 1 : 0)
  }

  /// SYNs of one system have few lengths, so the more suspects there are, the fewer different ones among them: at most
  /// 3/5 of the remembered ones, 2/5 from 15 suspects on, 1/5 from 40 on.
  private func isTunnel(_ state: State, packets: UInt64) -> Bool {
    let suspects = UInt64(state.suspects)
    guard suspects >= 3, packets <= 2500 &* suspects else { return false }
    let fifths: UInt32 =
      switch suspects {
      case ..<15: 3
      case ..<40: 2
      default: 1
      }
    return UInt32(state.distinctLengths) &* 5 <= min(state.suspects, Self.remembered) &* fifths
  }
}
