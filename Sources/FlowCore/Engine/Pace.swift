// The clock over one burst. Nearly all packets come in order, and then the clock stays as far ahead of them as it was: kept in
// registers, that costs a packet a comparison and an addition instead of three stores.

/// The clock while the packets of a burst come in order.
struct Pace: BitwiseCopyable {
  /// How far the clock is ahead of the packets, in nanoseconds modulo 2^64.
  private let lead: UInt64
  /// The time of the last packet.
  private var last: UInt64
  /// The longest step to the next one, exclusive: 0 where the clock has to look at each packet.
  private let limit: UInt64

  /// Starts where `clock` stands.
  @inline(__always)
  init(_ clock: WorkerClock) {
    lead = clock.lead ?? 0
    limit = clock.lead == nil ? 0 : WorkerClock.farthestJump
    last = clock.reference
  }

  /// Whether a packet of this time comes in order.
  @inline(__always)
  func isNext(_ time: UInt64) -> Bool { time &- last < limit }

  /// What the clock shows at a packet that comes in order.
  @inline(__always)
  mutating func clock(at time: UInt64) -> UInt64 {
    last = time
    return time &+ lead
  }

  /// Tells the clock of all packets that came in order.
  @inline(__always)
  func catchUp(_ clock: inout WorkerClock) {
    if limit != 0 { clock.follow(to: last) }
  }
}
