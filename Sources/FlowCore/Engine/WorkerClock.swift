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
  private(set) var reference: UInt64 = 0
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

  /// While packets come in order the clock is this far ahead of them, so that whoever has many need not keep it up to date:
  /// nil where each must be told to `advance`.
  @inline(__always)
  var lead: UInt64? { strangers == 0 ? now &- reference : nil }

  /// As `advance` for the last of several packets, each less than `farthestJump` after the one before, the first after
  /// `reference`; the clock had a lead.
  @inline(__always)
  mutating func follow(to time: UInt64) {
    now = now &+ (time &- reference)
    reference = time
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
