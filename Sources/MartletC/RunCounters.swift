// What a run counts besides its flows: the reading's numbers, and the engines'.
import Captures
import FlowCore

/// The counters of captures that were read.
struct RunCounters: BitwiseCopyable, Sendable {
  var received: UInt64 = 0
  var octets: UInt64 = 0
  var leftOut = CaptureBurst.LeftOut()
  var records: UInt64 = 0
  var batches: UInt64 = 0
  /// Fields that had no column.
  var misplaced: UInt64 = 0

  mutating func add(_ other: RunCounters) {
    received &+= other.received
    octets &+= other.octets
    leftOut.packets &+= other.leftOut.packets
    leftOut.octets &+= other.leftOut.octets
    records &+= other.records
    batches &+= other.batches
    misplaced &+= other.misplaced
  }
}

extension RunCounters {
  /// Each with its name.
  var values: [(name: String, value: UInt64)] {
    [
      ("received", received), ("bytes", octets), ("filtered", leftOut.packets),
      ("filtered_bytes", leftOut.octets), ("records", records), ("batches", batches),
      ("misplaced", misplaced),
    ]
  }
}
