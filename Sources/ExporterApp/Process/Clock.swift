// Every clock that is read: the time of a burst for the price of reading the TSC (nanoseconds since 1970, corrected towards
// the system's clock once a second), and the system's own.
import CDPDK
import CIntrinsics
import Glibc

/// Converts time stamp counter cycles to nanoseconds since 1970.
///
/// It runs monotonically: a difference from CLOCK_REALTIME is worked off over the next second by running up to 5 %
/// faster or slower. Only when the system's clock was set (a difference above one second) does it jump along.
struct Clock: BitwiseCopyable {
  /// Nanoseconds since 1970 at `anchorCycles`.
  private var anchor: UInt64
  private var anchorCycles: UInt64
  /// Nanoseconds per cycle, as 32.32 fixed point.
  private var scale: UInt64
  /// `scale` without correction.
  private var nominal: UInt64
  /// Cycles from one correction to the next: one second.
  private let period: UInt64

  /// Starts at the system's time; `hertz` is the counter's frequency.
  init(hertz: UInt64) {
    nominal = UInt64((1e9 / Double(hertz)) * 4_294_967_296)
    scale = nominal
    period = hertz
    anchorCycles = Self.cycles()
    anchor = Self.system()
  }

  /// Nanoseconds since 1970 at the counter's value `cycles`, which is not before the last correction.
  @inline(__always)
  func time(at cycles: UInt64) -> UInt64 {
    let product = (cycles &- anchorCycles).multipliedFullWidth(by: scale)
    return anchor &+ (product.high << 32 | product.low >> 32)
  }

  /// Nanoseconds since 1970.
  @inline(__always)
  mutating func now() -> UInt64 { now(at: Self.cycles()) }

  /// The same where the time stamp counter, read just now, shows `cycles`.
  @inline(__always)
  mutating func now(at cycles: UInt64) -> UInt64 {
    if cycles &- anchorCycles >= period { correct(cycles: cycles, system: Self.system()) }
    return time(at: cycles)
  }

  /// Starts a new second at `cycles`, when the system's clock says `system`.
  mutating func correct(cycles: UInt64, system: UInt64) {
    let own = time(at: cycles)
    anchorCycles = cycles
    let difference = Int64(bitPattern: system &- own)
    if difference.magnitude > 1_000_000_000 {
      anchor = system
      scale = nominal
      return
    }
    anchor = own
    scale = UInt64(bitPattern: Self.corrected(Int64(bitPattern: nominal), by: difference))
  }

  /// The scale that works `difference` nanoseconds off in a second, but at most 50 ms of them; `nominal` is that of a clock of
  /// at least 1 MHz.
  static func corrected(_ nominal: Int64, by difference: Int64) -> Int64 {
    let correction = max(-50_000_000, min(50_000_000, difference))
    // At most 5 % of a number that fits 63 bits: in whole numbers, which cannot fail.
    return nominal &+ (nominal &>> 10) &* correction / (1_000_000_000 >> 10)
  }

  /// The time stamp counter of the CPU.
  @inline(__always)
  static func cycles() -> UInt64 { martlet_cycles() }

  /// The time stamp counter's frequency; only after EAL has started.
  static var hertz: UInt64 { rte_get_tsc_hz() }

  /// CLOCK_REALTIME in nanoseconds.
  static func system() -> UInt64 { read(CLOCK_REALTIME) }

  /// The calling thread's CPU time in nanoseconds: what its work cost, whoever else ran meanwhile.
  static func thread() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

  /// Nanoseconds since the machine started.
  static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
  }
}
