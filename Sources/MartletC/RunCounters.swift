// What a run counts besides its flows: the reading's numbers, and the engines'.
import Captures
import FlowCore

/// The counters of captures that were read.
struct RunCounters: Sendable {
  var received: UInt64 = 0
  var octets: UInt64 = 0
  var leftOut = CaptureBurst.LeftOut()
  var records: UInt64 = 0
  var batches: UInt64 = 0
  /// Mistakes of parsers while fields were written.
  var exportFaults: UInt64 = 0
  /// Fields that had no column.
  var misplaced: UInt64 = 0
  /// The engines' sums, as `EngineCounters.all` has them.
  private var engines = [UInt64](repeating: 0, count: EngineCounters.all.count)

  /// Adds what an engine counted, at its end.
  mutating func add(_ counters: WorkerCounters) {
    for (index, counter) in EngineCounters.all.enumerated() { engines[index] &+= counter.read(counters) }
  }

  mutating func add(_ other: RunCounters) {
    received &+= other.received
    octets &+= other.octets
    leftOut.packets &+= other.leftOut.packets
    leftOut.octets &+= other.leftOut.octets
    records &+= other.records
    batches &+= other.batches
    exportFaults &+= other.exportFaults
    misplaced &+= other.misplaced
    for index in engines.indices { engines[index] &+= other.engines[index] }
  }
}

extension RunCounters {
  /// Each with its name.
  var values: [(name: String, value: UInt64)] {
    [
      ("received", received), ("bytes", octets), ("filtered", leftOut.packets),
      ("filtered_bytes", leftOut.octets),
    ] + zip(EngineCounters.all, engines).map { (EngineCounter.word($0.name), $1) }
      + [
        ("exported", records), ("export_faults", exportFaults), ("batches", batches),
        ("misplaced", misplaced),
      ]
  }
}
