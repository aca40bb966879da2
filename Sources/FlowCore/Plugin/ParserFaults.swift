// Where mistakes of parsers are counted that show while records are written, and whose they are.
import CIntrinsics

/// A count for the engine itself and one for each slot: as many as `MARTLET_TRACE_SLOTS`.
public typealias ParserFaultCounts = InlineArray<34, UInt64>

/// Counters of reads and writes outside of their bytes: the engine's own, then those of each slot's plugin (index 1 + slot).
///
/// They belong to the thread that calls `countHere`, and stay until that calls `endHere`: what a thread works on refers to
/// them.
///
/// Safe between threads: only that thread counts, and a counter is one aligned word: others read what it was a moment ago.
public struct ParserFaults: @unchecked Sendable {
  private let counters: UnsafeMutablePointer<UInt64>

  /// Counters that are all 0.
  public init() {
    counters = .allocate(capacity: MARTLET_TRACE_SLOTS)
    counters.initialize(repeating: 0, count: MARTLET_TRACE_SLOTS)
  }

  /// From here on this thread's faults are counted here, until it works on another burst of packets.
  @inline(__always)
  public func countHere() { martlet_trace_faults(counters) }

  /// Nothing is counted here any more; frees the counters, on the thread that counted.
  public func endHere() {
    martlet_trace_faults(nil)
    counters.deallocate()
  }

  /// The sum of all counters.
  public var total: UInt64 { counts.total }

  /// The counters' values now.
  public var counts: ParserFaultCounts {
    var counts = ParserFaultCounts(repeating: 0)
    for index in counts.indices { counts[index] = counters[index] }
    return counts
  }
}

extension RecordSchema {
  /// The names of the enabled plugins, by slot.
  public var pluginNames: [String] {
    layout.slots.map { slot in
      var name = PluginName()
      slot.registration.visit(&name)
      return name.name
    }
  }
}

/// The name of one plugin.
private struct PluginName: PluginVisitor {
  var name = ""
  mutating func visit<P: FlowPlugin>(_ type: P.Type) { name = P.name }
}
