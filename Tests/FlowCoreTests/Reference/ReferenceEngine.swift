// The flow contract, one packet at a time, in the plainest way: a dictionary, no bursts, no sweep, no buckets. The engine
// must give the same records.
import FlowCore

/// What identifies a biflow, from the view of one packet.
struct ReferenceKey: Hashable {
  var isVersion6 = false
  var protocolNumber: UInt8 = 0
  var vlan: UInt16 = 0
  var source: [UInt8] = []
  var destination: [UInt8] = []
  var sourcePort: UInt16 = 0
  var destinationPort: UInt16 = 0

  var reversed: ReferenceKey {
    var key = self
    swap(&key.source, &key.destination)
    swap(&key.sourcePort, &key.destinationPort)
    return key
  }
}

/// One packet, as a correct dissector sees it.
struct ReferencePacket {
  /// Where a packet stands in a fragmented datagram.
  struct Fragment {
    var identification: UInt32
    var isFirst: Bool
  }

  var key = ReferenceKey()
  var octets: UInt64 = 0
  var flags: UInt8 = 0
  var payloadLength = 0
  var sourceMAC: UInt64 = 0
  var destinationMAC: UInt64 = 0
  /// Set where the reference has to find the ports of later fragments itself.
  var fragment: Fragment?
}

/// One entry of a packet sequence.
struct SequenceEntry: Hashable {
  var length: UInt16
  var nanoseconds: UInt64
  var flags: UInt8
  var direction: Int
}

/// A finished flow.
struct ReferenceRecord: Hashable, CustomStringConvertible {
  var key = ReferenceKey()
  var first: UInt64 = 0
  var last: UInt64 = 0
  var packets: [UInt64] = [0, 0]
  var octets: [UInt64] = [0, 0]
  var flags: [UInt8] = [0, 0]
  var sourceMAC: UInt64 = 0
  var destinationMAC: UInt64 = 0
  var reason: UInt8 = 0
  /// What pstats exports, nil where it exports nothing.
  var sequence: [SequenceEntry]?

  var description: String {
    "\(key.protocolNumber) \(key.source):\(key.sourcePort) > \(key.destination):\(key.destinationPort) vlan \(key.vlan)"
      + " \(first)…\(last) packets \(packets) octets \(octets) flags \(flags) reason \(reason)"
      + " sequence \(sequence?.count ?? -1)"
  }
}

/// The clock of docs/architecture.md ("Time") for captures whose time may be wrong: never back; after 64 packets in a row that are
/// more than a second behind, on at their pace; after 64 in a row that are an hour ahead, on from their time.
struct ReferenceClock {
  private(set) var now: UInt64 = 0
  private var newest: UInt64?
  private var behind = 0

  mutating func see(_ time: UInt64) {
    guard let before = newest else {
      now = time
      newest = time
      return
    }
    if time >= before, time - before < 3_600_000_000_000 {
      now += time - before
      newest = time
      behind = 0
    } else if time > before || before - time > 1_000_000_000 {
      behind += 1
      if behind == 64 {
        if time > before { now += time - before }
        newest = time
        behind = 0
      }
    }
  }
}

/// The reference implementation.
struct ReferenceEngine {
  /// A flow under way.
  struct Flow {
    var record: ReferenceRecord
    /// By how much the last packet's time was behind the clock, rounded up to units of 2^29 ns as the record keeps it.
    var lag: UInt64 = 0
    var entries: [SequenceEntry] = []
  }

  private struct Datagram: Hashable {
    var isVersion6: Bool
    var vlan: UInt16
    var source: [UInt8]
    var destination: [UInt8]
    var identification: UInt32
  }

  var inactive: UInt64 = 30_000_000_000
  var active: UInt64 = 300_000_000_000
  private(set) var clock = ReferenceClock()
  private var lastTime: UInt64 = 0
  private var flows: [ReferenceKey: Flow] = [:]
  private var datagrams: [Datagram: (ports: (UInt16, UInt16), time: UInt64)] = [:]
  private(set) var finished: [ReferenceRecord] = []
  /// The flows that one packet ended and another began, by what ended them: tests ask that all happened.
  private(set) var restarts: [UInt8: Int] = [:]

  /// One frame received at `time`; `packet` is nil where it belongs to no flow. Live, a burst has one time, which the
  /// clock sees once: with the burst's first packet.
  mutating func process(_ packet: ReferencePacket?, time: UInt64, movesClock: Bool = true) {
    if movesClock { clock.see(time) }
    lastTime = time
    guard var packet else { return }
    resolveFragment(&packet, clock.now)
    let isForward = flows[packet.key] != nil
    let key = isForward || flows[packet.key.reversed] == nil ? packet.key : packet.key.reversed
    guard var flow = flows[key] else { return begin(packet, time) }
    let direction = isForward ? 0 : 1
    if hasExpired(flow, at: time) { return restart(flow, reason(flow), packet, time) }
    if packet.flags & 0x02 != 0, flow.record.flags[direction] & 0x05 != 0 {
      return restart(flow, 3, packet, time)
    }
    count(packet, time, direction, in: &flow)
    flows[key] = flow
  }

  private mutating func begin(_ packet: ReferencePacket, _ time: UInt64) {
    var flow = Flow(record: ReferenceRecord(key: packet.key, first: time))
    flow.record.sourceMAC = packet.sourceMAC
    flow.record.destinationMAC = packet.destinationMAC
    count(packet, time, 0, in: &flow)
    flows[packet.key] = flow
  }

  private func count(_ packet: ReferencePacket, _ time: UInt64, _ direction: Int, in flow: inout Flow) {
    flow.record.packets[direction] += 1
    flow.record.octets[direction] += packet.octets
    flow.record.flags[direction] |= packet.flags
    flow.record.last = time
    let behind = clock.now > time ? clock.now - time : 0
    flow.lag = (behind + (1 << 29) - 1) & ~((1 << 29) - 1)
    if packet.payloadLength > 0, flow.entries.count < 30 {
      // Whole microseconds; pstats keeps them in 39 bits, so that a jump of time of over 76 hours is cut.
      let (start, limit) = (Int(flow.record.first / 1000), 1 << 38)
      let noted = start + min(max(Int(time / 1000) - start, -limit), limit - 1)
      flow.entries.append(
        SequenceEntry(
          length: UInt16(truncatingIfNeeded: packet.payloadLength), nanoseconds: UInt64(noted) * 1000,
          flags: packet.flags, direction: direction == 0 ? 1 : -1))
    }
  }

  private mutating func restart(_ flow: Flow, _ reason: UInt8, _ packet: ReferencePacket, _ time: UInt64) {
    restarts[reason, default: 0] += 1
    end(flow, reason)
    begin(packet, time)
  }

  private mutating func end(_ flow: Flow, _ reason: UInt8) {
    flows[flow.record.key] = nil
    finished.append(Self.record(flow, reason))
  }

  private static func record(_ flow: Flow, _ reason: UInt8) -> ReferenceRecord {
    var record = flow.record
    record.reason = reason
    let isLoneSYN = record.packets[0] + record.packets[1] <= 1 && (record.flags[0] | record.flags[1]) & 2 != 0
    record.sequence = isLoneSYN ? nil : flow.entries
    return record
  }

  // MARK: Timeouts

  /// When the flow times out by its own packets' times.
  private func deadline(_ flow: Flow) -> UInt64 {
    min(flow.record.last + inactive, flow.record.first + active)
  }

  /// A flow ends by its own packets' times or by the clock.
  private func hasExpired(_ flow: Flow, at time: UInt64) -> Bool {
    let deadline = deadline(flow)
    return time >= deadline || clock.now >= deadline + flow.lag
  }

  private func reason(_ flow: Flow) -> UInt8 {
    if flow.record.first + active < flow.record.last + inactive { return 2 }
    return (flow.record.flags[0] | flow.record.flags[1]) & 0x05 != 0 ? 3 : 1
  }

  private mutating func resolveFragment(_ packet: inout ReferencePacket, _ time: UInt64) {
    guard let fragment = packet.fragment else { return }
    let datagram = Datagram(
      isVersion6: packet.key.isVersion6, vlan: packet.key.vlan, source: packet.key.source,
      destination: packet.key.destination, identification: fragment.identification)
    if fragment.isFirst {
      datagrams[datagram] = ((packet.key.sourcePort, packet.key.destinationPort), time)
    } else if let known = datagrams[datagram], time <= known.time + 3_000_000_000,
      [6, 17, 132, 136].contains(packet.key.protocolNumber)
    {
      (packet.key.sourcePort, packet.key.destinationPort) = known.ports
    }
  }

  // MARK: End

  /// All records when the program ends: flows that timed out by then say so, whether or not a sweep has seen them, and so
  /// do those that were closed.
  func recordsAtEnd() -> [ReferenceRecord] {
    finished + flows.values.map { Self.record($0, finalReason($0)) }
  }

  private func finalReason(_ flow: Flow) -> UInt8 {
    if hasExpired(flow, at: lastTime) { return reason(flow) }
    return (flow.record.flags[0] | flow.record.flags[1]) & 0x05 != 0 ? 3 : 4
  }
}
