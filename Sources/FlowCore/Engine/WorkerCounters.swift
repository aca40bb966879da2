// What a worker counts. Every packet is either counted in a flow or in exactly one of the counters named here.
import Wire

/// The counters of one worker; written by it alone.
public struct WorkerCounters: BitwiseCopyable, Sendable {
  /// Frames that were handed to the engine, and their bytes on the wire.
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  /// Frames that were not sampled, and their bytes on the wire; fragments of flows that were not are among the fragments.
  public var notSampled: UInt64 = 0
  public var notSampledBytes: UInt64 = 0
  /// Frames that belong to no flow, by reason (index: `DiscardReason.rawValue`).
  public var discarded: InlineArray<8, UInt64> = .init(repeating: 0)
  /// Packets of new flows for which there was no free record.
  public var tableFull: UInt64 = 0
  /// Octets and times of the packets that no flow counts.
  public var ignored = IgnoredPackets()
  /// Flows made.
  public var flowsMade: UInt64 = 0
  /// Records that left the table, by reason (index: `FlowEndReason.rawValue`), and the packets counted in them.
  public var ended: InlineArray<6, UInt64> = .init(repeating: 0)
  public var endedPackets: UInt64 = 0
  /// What plugins had to do without.
  public var shortfalls = PluginShortfalls()
  /// What byte streams lost.
  public var streams = StreamCounters()
  /// Packets that would have made more records than one packet may (`Verdict.mostRecords`), or than there was room for.
  public var recordsLeftOut: UInt64 = 0
  /// Fragments among the packets of flows.
  public var fragments: UInt64 = 0
  /// Packets in tunnels that are opened, and those counted once more as the packet that carries them.
  public var tunnelled: UInt64 = 0
  public var tunnelsOutside: UInt64 = 0
  /// Packets that may be tunnels and are not opened: without a header that is understood, or without an IP packet inside.
  public var tunnelsUnopened: UInt64 = 0
  /// Packets in more tunnels than are opened.
  public var tunnelsTooDeep: UInt64 = 0
  /// Flows in the table now.
  public var inTable: UInt64 = 0
  /// Reads and writes outside of their bytes, each a parser's mistake: the engine's own, then by plugin (index: 1 + slot).
  /// They stop at 2⁶⁴-1.
  public var parserFaults: ParserFaultCounts = .init(repeating: 0)
  /// Cycles of the time stamp counter in each pass (index: `Pass.rawValue`), where they are taken.
  public var cycles: InlineArray<5, UInt64> = .init(repeating: 0)

  public init() {}

  /// Blocks that a plugin asked for when the slab was used up.
  public var slabFull: UInt64 { shortfalls.slabFull }
  /// Hellos with more numbers than a fingerprint is made of (`FingerprintLimit`).
  public var fingerprintsLeftOut: UInt64 { shortfalls.fingerprintsLeftOut }

  /// Times that a model gave a score that is no number, and the flow no label.
  public var scoresUnusable: UInt64 { shortfalls.scoresUnusable }

  /// All frames that belong to no flow.
  public var discardedTotal: UInt64 { discarded.total }

  /// IP packets that no flow counts: what was discarded, but for frames without IP, and what found no record.
  public var ignoredPackets: UInt64 {
    discarded.total &- discarded[total: Int(DiscardReason.notIP.rawValue)] &+ tableFull
  }
}

/// What is known of IP packets that no flow counts (RFC 7011 section 4.2), besides their number.
public struct IgnoredPackets: BitwiseCopyable, Sendable {
  /// Octets: of IP, or on the wire where the IP header cannot be read.
  public var octets: UInt64 = 0
  /// The times of the earliest and the latest in nanoseconds since 1970; 0 without any.
  public var first: UInt64 = 0
  public var last: UInt64 = 0

  /// Adds what another worker ignored.
  public mutating func add(_ other: IgnoredPackets) {
    octets &+= other.octets
    if first == 0 || other.first != 0 && other.first < first { first = other.first }
    if other.last > last { last = other.last }
  }

  public init() {}

  /// Counts a packet. Not inlined: few packets come here, and the loops around have no registers to spare.
  @inline(never)
  mutating func count(octets: UInt32, time: UInt64) {
    self.octets &+= UInt64(octets)
    if first == 0 || time < first { first = time }
    if time > last { last = time }
  }
}
