// What a worker counts. Every packet is either counted in a flow or in exactly one of the counters named here.
import Wire

/// The counters of one worker; written by it alone.
public struct WorkerCounters: BitwiseCopyable, Sendable {
  /// Frames that were handed to the engine, and their bytes on the wire.
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  /// Frames that belong to no flow, by reason (index: `DiscardReason.rawValue`).
  public var discarded: InlineArray<7, UInt64> = .init(repeating: 0)
  /// Packets of new flows for which there was no free record.
  public var tableFull: UInt64 = 0
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
  /// Flows in the table now.
  public var inTable: UInt64 = 0
  /// Reads and writes outside of their bytes, each a parser's mistake: the engine's own, then by plugin (index: 1 + slot).
  /// They stop at 2⁶⁴-1.
  public var parserFaults: InlineArray<33, UInt64> = .init(repeating: 0)
  /// Cycles of the time stamp counter in each pass (index: `Pass.rawValue`), where they are taken.
  public var cycles: InlineArray<5, UInt64> = .init(repeating: 0)

  public init() {}

  /// Blocks that a plugin asked for when the slab was used up.
  public var slabFull: UInt64 { shortfalls.slabFull }
  /// Hellos with more numbers than a fingerprint is made of (`FingerprintLimit`).
  public var fingerprintsLeftOut: UInt64 { shortfalls.fingerprintsLeftOut }

  /// All frames that belong to no flow.
  public var discardedTotal: UInt64 { discarded.total }
}
