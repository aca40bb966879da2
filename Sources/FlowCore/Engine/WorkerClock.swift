// A worker's clock. Live it is the burst's one clock read; offline it follows the packets' own times, which may be wrong.

/// A clock that never goes back, driven by the times of packets.
///
/// A capture's time may step back (a second file that is older, a reset clock) or have one packet from the far future.
/// While times are behind, the clock stands; after `patience` packets in a row that are more than a second behind, they
/// are taken for the new time, and the clock goes on from where it stood at their pace.
struct WorkerClock: BitwiseCopyable {
  /// Never goes back, nanoseconds.
  private(set) var now: UInt64 = 0
  /// The packet time that `now` stands for.
  private var reference: UInt64 = 0
  private var behind: UInt32 = 0
  static let patience: UInt32 = 64

  /// Moves the clock to a packet received at `time` and returns it.
  @inline(__always)
  mutating func advance(to time: UInt64) -> UInt64 {
    if time >= reference {
      now = reference == 0 ? time : now &+ (time &- reference)
      reference = time
      behind = 0
    } else if reference &- time > 1_000_000_000 {
      behind &+= 1
      if behind >= WorkerClock.patience {
        reference = time
        behind = 0
      }
    }
    return now
  }
}
