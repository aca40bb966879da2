// How busy an lcore is: measured by itself with what it reads anyway, so that it can always be on.
import Wire

/// What a polling loop says about its time; written by the lcore alone.
struct LoopActivity: BitwiseCopyable, Sendable {
  /// Polls, empty ones included: they grow as long as the loop goes round.
  var polls: UInt64 = 0
  /// Cycles of the time stamp counter that were spent on packets or records.
  var busyCycles: UInt64 = 0
  /// The counter at the first poll and at the last one.
  var firstCycles: UInt64 = 0
  var lastCycles: UInt64 = 0

  /// Cycles since the first poll.
  var cycles: UInt64 { lastCycles &- firstCycles }

  /// Notes a poll at the time stamp counter's value `cycles`.
  ///
  /// - Parameter wasBusy: the poll before brought something, so that the time since then was spent on it.
  @inline(__always)
  mutating func poll(at cycles: UInt64, wasBusy: Bool) {
    polls &+= 1
    if wasBusy { busyCycles &+= cycles &- lastCycles }
    lastCycles = cycles
  }

  /// Begins at the time stamp counter's value `cycles`.
  mutating func begin(at cycles: UInt64) {
    firstCycles = cycles
    lastCycles = cycles
  }
}

/// How many packets polls brought, as a histogram with the bounds 1, 3, 7, 15, 31 and 32.
struct BatchSizes: BitwiseCopyable, Sendable {
  /// Polls by the bits of their packets' number: index 1 has those with one packet, 6 those with 32.
  private(set) var counts: InlineArray<8, UInt64> = .init(repeating: 0)

  /// The most packets that each index has, from index 1 on.
  static let bounds = [1, 3, 7, 15, 31, 32]

  /// Counts a poll that brought `count` packets, at least one.
  @inline(__always)
  mutating func count(_ count: Int) {
    counts[total: Int.bitWidth &- count.leadingZeroBitCount] &+= 1
  }
}
