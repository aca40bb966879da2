// A worker's clock. Live it is the burst's one clock read; offline it follows the packets' own times, which may be wrong.

/// A clock that never goes back, driven by the times of packets.
///
/// A capture's time may step back (a second file that is older, a reset clock) or jump far ahead (files joined, one
/// damaged time). The clock does not believe a step back of more than a second or a jump of more than an hour at once: it
/// stands until `patience` packets in a row are of the new time. After a step back it goes on from where it stood, at the
/// packets' pace; after a jump it shows the new time, and flows from before time out.
struct WorkerClock: BitwiseCopyable {
  /// Never goes back, nanoseconds.
  private(set) var now: UInt64 = 0
  /// The packet time that `now` stands for.
  private var reference: UInt64 = 0
  /// Packets in a row that were behind, or far ahead.
  private var strangers: UInt32 = 0
  static let patience: UInt32 = 64
  static let farthestStep: UInt64 = 1_000_000_000
  static let farthestJump: UInt64 = 3_600_000_000_000

  /// Moves the clock to a packet received at `time` and returns it.
  @inline(__always)
  mutating func advance(to time: UInt64) -> UInt64 {
    let ahead = time &- reference
    if ahead < WorkerClock.farthestJump {
      let now = now &+ ahead
      self.now = now
      reference = time
      strangers = 0
      return now
    }
    if time > reference || reference &- time > WorkerClock.farthestStep { meetStranger(time) }
    return now
  }

  /// As `advance` for each of `count` (at least one) packets; the result is what the clock shows at each.
  ///
  /// Nearly always all come in order and the clock shows their times; that is found out for all at once.
  ///
  /// - Parameter clocks: room for the result, which is `times` itself where the clock shows these.
  @inline(__always)
  mutating func advance(
    along times: UnsafePointer<UInt64>, count: Int, into clocks: UnsafeMutablePointer<UInt64>
  ) -> UnsafePointer<UInt64> {
    var steps = times[0] &- reference
    var index = 1
    while index < count {
      steps |= times[index] &- times[index &- 1]
      index &+= 1
    }
    guard strangers == 0, now == reference, steps < Self.ordinaryStep else {
      advanceEach(along: times, count: count, into: clocks)
      return UnsafePointer(clocks)
    }
    now = times[count &- 1]
    reference = now
    return times
  }

  /// A power of two, so that all bits of several numbers together are below it where each is: 36 minutes in nanoseconds.
  private static let ordinaryStep: UInt64 = 1 << 41

  @inline(never)
  private mutating func advanceEach(
    along times: UnsafePointer<UInt64>, count: Int, into clocks: UnsafeMutablePointer<UInt64>
  ) {
    var index = 0
    while index < count {
      clocks[index] = advance(to: times[index])
      index &+= 1
    }
  }

  @inline(never)
  private mutating func meetStranger(_ time: UInt64) {
    strangers &+= 1
    // The first time of all is believed.
    guard strangers >= WorkerClock.patience || reference == 0 else { return }
    strangers = 0
    if time > reference { now &+= time &- reference }
    reference = time
  }
}
