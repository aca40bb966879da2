// The two clocks of an exporter, read together so that tests can set them.
import Glibc

/// A moment: one clock that never jumps, for time-outs, and one that people set, for message headers.
struct Moment: Sendable {
  /// Nanoseconds of a clock that only goes forward.
  var monotonic: UInt64
  /// Seconds since 1970 (UTC).
  var unixSeconds: UInt32

  /// Now; some 40 ns.
  static var current: Moment {
    Moment(monotonic: read(CLOCK_MONOTONIC).nanoseconds, unixSeconds: read(CLOCK_REALTIME).seconds)
  }

  private static func read(_ clock: clockid_t) -> (seconds: UInt32, nanoseconds: UInt64) {
    var time = timespec()
    clock_gettime(clock, &time)
    let nanoseconds = UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    return (UInt32(truncatingIfNeeded: time.tv_sec), nanoseconds)
  }

  /// The same moment, later.
  func later(seconds: Double) -> Moment {
    Moment(
      monotonic: monotonic &+ UInt64(seconds * 1e9), unixSeconds: unixSeconds &+ UInt32(seconds))
  }
}
