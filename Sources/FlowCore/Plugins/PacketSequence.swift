// pstats: lengths, times, TCP flags and directions of a flow's first packets, the input of most published models of
// encrypted traffic (CESNET-TLS22, CESNET-QUIC22).
import IPFIX
import Wire

/// `--plugin pstats[:includezeroes,skipdup,packets=N,time=us]`.
struct PacketSequence: FlowPlugin {
  static let name = "pstats"
  static let summary = "length, time, TCP flags and direction of the first packets with payload"
  static let exportsContent = false
  static let options = [
    PluginOption("includezeroes", .flag, "note packets without payload too"),
    PluginOption("skipdup", .flag, "leave out TCP retransmissions"),
    PluginOption("packets", .number(1...255, default: 30), "how many packets are noted"),
    PluginOption(
      "time", .choice(["ms", "us"], default: "ms"), "unit of the list of times: ms as ipfixprobe's, or us"),
  ]

  /// What is remembered of the last packet of one direction that was not left out.
  struct Direction: BitwiseCopyable {
    var sequence: UInt32 = 0
    var acknowledgement: UInt32 = 0
    var length: UInt32 = 0
    var flags: UInt8 = 0
  }

  struct State: FlowState {
    /// How many packets are noted.
    var count: UInt8 = 0
  }

  private let includesEmpty: Bool
  private let skipsDuplicates: Bool
  private let limit: UInt8
  private let exportsMicroseconds: Bool

  init(options: borrowing PluginOptions) {
    includesEmpty = options.flag("includezeroes")
    skipsDuplicates = options.flag("skipdup")
    limit = UInt8(options.number("packets"))
    exportsMicroseconds = options.choice("time") == "us"
  }

  /// The entries; with `skipdup` forward and reverse `Direction` behind them, so that others do not pay for these.
  var trailingBytes: Int { entryBytes + (skipsDuplicates ? 2 * Self.directionSize : 0) }

  private var entryBytes: Int { Int(limit) * 8 }
  private static let directionSize = MemoryLayout<Direction>.stride

  @inline(__always)
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    if skipsDuplicates {
      flow.trailing.store(Direction(), at: entryBytes)
      flow.trailing.store(Direction(), at: entryBytes &+ Self.directionSize)
    }
    return note(&state, packet, &flow)
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    note(&state, packet, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool {
    !(flow.packets <= 1 && flow.tcpFlags & TCPFlags.syn != 0)
  }

  @inline(__always)
  private func note(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    // Packets without payload are compared with too, whether they are noted or not.
    if skipsDuplicates, isDuplicate(state, packet, flow) { return .more }
    guard packet.payloadLength > 0 || includesEmpty else { return .more }
    flow.trailing.store(entry(packet, first: flow.first), at: Int(state.count) &* 8)
    state.count &+= 1
    flow.expectNext(at: Int(state.count) &* 8)
    return state.count == limit ? .done : .more
  }

  // MARK: Entries

  /// One noted packet, in eight bytes:
  ///
  ///     | microseconds since the flow began, signed 39 | reverse 1 | TCP flags 8 | payload length 16 |
  @inline(__always)
  private func entry(_ packet: PacketView, first: UInt64) -> UInt64 {
    // 39 bits are 76 hours each way, far more than the longest active timeout makes sense for.
    let delta = Int64(bitPattern: packet.microseconds) &- Int64(first / 1000)
    let time = min(max(delta, -(1 << 38)), 1 << 38 - 1)
    return UInt64(bitPattern: time << 25) | (packet.isForward ? 0 : 1 << 24) | UInt64(packet.tcpFlags) << 16
      | UInt64(UInt16(truncatingIfNeeded: packet.payloadLength))
  }

  private func nanoseconds(_ entry: UInt64, first: UInt64) -> UInt64 {
    UInt64(bitPattern: (Int64(first / 1000) &+ Int64(bitPattern: entry) >> 25) &* 1000)
  }

  // MARK: Duplicates

  /// Whether a TCP packet repeats what its direction has sent: neither sequence nor acknowledgement number is higher
  /// than the last ones, and length and flags are the same.
  private func isDuplicate(_ state: State, _ packet: PacketView, _ flow: FlowContext<Self>) -> Bool {
    guard let header = packet.tcpHeader else { return false }
    let now = Direction(
      sequence: header.load(UInt32.self, at: 4), acknowledgement: header.load(UInt32.self, at: 8),
      length: UInt32(truncatingIfNeeded: packet.payloadCaptured), flags: packet.tcpFlags)
    let place = packet.isForward ? entryBytes : entryBytes &+ Self.directionSize
    let before = flow.trailing.load(Direction.self, at: place)
    if state.count > 0, !isHigher(now.sequence, before.sequence),
      !isHigher(now.acknowledgement, before.acknowledgement), now.length == before.length,
      now.flags == before.flags
    {
      return true
    }
    flow.trailing.store(now, at: place)
    return false
  }

  /// ipfixprobe's comparison: the number wrapped round where it fell by more than 4252017623.
  private func isHigher(_ number: UInt32, _ before: UInt32) -> Bool {
    number > before || Int64(number) &- Int64(before) < -4_252_017_623
  }

  // MARK: Fields

  static let packetLength = InformationElement(.cesnet, 1013, "packetLength", .signed16, units: .octets)
  static let packetTime = InformationElement(.cesnet, 1014, "packetTime", .dateTimeMilliseconds)
  static let packetTimeMicroseconds = InformationElement(
    .martlet, 1, "packetTimeMicroseconds", .dateTimeMicroseconds)
  static let packetFlag = InformationElement(.cesnet, 1015, "packetFlag", .unsigned8, semantics: .flags)
  static let packetDirection = InformationElement(.cesnet, 1016, "packetDirection", .signed8)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    let entries = flow.trailing.values(UInt64.self, count: Int(state.count))
    let count = entries.count
    let first = flow.first
    writer.list(Self.packetLength, count: count) {
      UInt16(truncatingIfNeeded: entries[$0])
    }
    writer.times(exportsMicroseconds ? Self.packetTimeMicroseconds : Self.packetTime, count: count) {
      nanoseconds(entries[$0], first: first)
    }
    writer.list(Self.packetFlag, count: count) {
      UInt8(truncatingIfNeeded: entries[$0] >> 16)
    }
    writer.list(Self.packetDirection, count: count) {
      entries[$0] & 1 << 24 == 0 ? Int8(1) : Int8(-1)
    }
  }
}
