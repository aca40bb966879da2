// How a device's times become nanoseconds since 1970. The control lcore compares a device's clock with the system's once a
// second; what workers do for a packet is one multiplication.
import Synchronization

/// Converts a device's ticks to nanoseconds since 1970.
struct DeviceClock: BitwiseCopyable, Equatable {
  /// Nanoseconds since 1970 at `anchorTicks`.
  var anchor: UInt64
  /// What the device's clock showed then.
  var anchorTicks: UInt64
  /// Nanoseconds per tick, as 32.32 fixed point.
  var scale: Int64

  /// Times that are nanoseconds since 1970 already.
  static let nanoseconds = DeviceClock(anchor: 0, anchorTicks: 0, scale: 1 << 32)
  /// Times that are microseconds since 1970.
  static let microseconds = DeviceClock(anchor: 0, anchorTicks: 0, scale: 1000 << 32)

  /// The time of a packet that has none.
  static let unknown = UInt64.max
  /// The longest time in nanoseconds that a packet takes from the device to the lcore: a second, as a power of two.
  static let longestDelay: UInt64 = 1 << 30
  /// By how much two clocks of one machine may differ, in nanoseconds.
  static let tolerance: UInt64 = 1_000_000
  /// The last time of a capture that is taken, in nanoseconds: 2540, as when captures are read offline.
  static let latestOfFile: UInt64 = 18_000_000_000_000_000_000

  /// Nanoseconds since 1970 when the device's clock showed `ticks`, which may be before the anchor.
  @inline(__always)
  func time(at ticks: UInt64) -> UInt64 {
    let product = Int128(Int64(bitPattern: ticks &- anchorTicks)) &* Int128(scale)
    return anchor &+ UInt64(truncatingIfNeeded: product &>> 32)
  }

  /// The time of a packet to which the device gave `ticks`, where the lcore's clock shows `now`; `unknown` where that
  /// cannot be.
  func believed(_ ticks: UInt64, now: UInt64) -> UInt64 {
    let time = time(at: ticks)
    if now &- time < Self.longestDelay { return time }
    // A little ahead, it is now, because clocks differ.
    if time &- now < Self.tolerance { return now }
    // Some devices give nanoseconds since 1970 although their clock counts ticks (mlx5 with real-time stamps).
    if now &- ticks < Self.longestDelay { return ticks }
    return ticks &- now < Self.tolerance ? now : Self.unknown
  }

  /// The time of a replayed packet, which need not be near the present; `unknown` beyond 2540.
  @inline(__always)
  func ofFile(_ ticks: UInt64) -> UInt64 {
    let nanosecondsPerTick = UInt64(truncatingIfNeeded: scale &>> 32)
    let (time, overflow) = ticks.multipliedReportingOverflow(by: nanosecondsPerTick)
    return overflow || time > Self.latestOfFile ? Self.unknown : time
  }
}

/// A device's clock compared with the system's: the rate over the last 16 to 32 seconds, and the difference, which is worked
/// off over the next second, so that times do not jump.
struct DeviceCalibration {
  /// What both clocks showed at one moment.
  struct Reading: Equatable {
    /// The device's.
    var ticks: UInt64
    /// The system's: nanoseconds since 1970.
    var system: UInt64
  }

  /// The conversion until the next comparison; nil before there were two readings of a clock that runs.
  private(set) var clock: DeviceClock?
  /// Ticks per second, 0 before they are known.
  private(set) var hertz = 0.0
  /// Two earlier readings; the rate is taken from `older` on.
  private var older: Reading
  private var newer: Reading
  /// Nanoseconds per tick without correction, as 32.32 fixed point.
  private var nominal: Int64 = 0

  /// Nanoseconds after which a reading becomes the older one.
  private static let span: UInt64 = 16_000_000_000
  /// The shortest time in nanoseconds over which a rate is taken.
  private static let shortest: UInt64 = 50_000_000

  /// Starts with a first reading.
  init(_ first: Reading) {
    older = first
    newer = first
  }

  /// Compares the clocks again.
  mutating func observe(_ reading: Reading) {
    let passed = reading.system &- older.system
    guard passed >= Self.shortest else { return }
    // Neither a clock that was set nor a device that was reset says anything about the rate.
    let measured = Double(reading.ticks &- older.ticks) * 1e9 / Double(passed)
    guard measured >= 1e6, measured <= 1e11, abs(measured - hertz) < hertz / 100 || hertz == 0 else {
      return restart(reading)
    }
    let own = clock?.time(at: reading.ticks) ?? reading.system
    let difference = Int64(bitPattern: reading.system &- own)
    guard difference.magnitude < 1_000_000_000 else { return restart(reading) }
    hertz = measured
    nominal = Int64(1e9 / measured * 4_294_967_296)
    clock = DeviceClock(
      anchor: own, anchorTicks: reading.ticks, scale: Clock.corrected(nominal, by: difference))
    if reading.system &- newer.system >= Self.span {
      older = newer
      newer = reading
    }
  }

  /// Goes on from the system's time with the rate known so far.
  private mutating func restart(_ reading: Reading) {
    older = reading
    newer = reading
    guard clock != nil else { return }
    clock = DeviceClock(anchor: reading.system, anchorTicks: reading.ticks, scale: nominal)
  }
}

/// What the control lcore knows about a port's times and the workers that poll it read, at one address for all.
struct PortClock: ~Copyable {
  /// Nanoseconds that an octet takes on the link, as 48.16 fixed point.
  let octetPrice: Atomic<UInt64>
  /// Counts what was published; odd while the rest is written.
  let version = Atomic<UInt64>(0)
  private let anchor = Atomic<UInt64>(0)
  private let anchorTicks = Atomic<UInt64>(0)
  private let scale = Atomic<Int64>(1 << 32)

  /// A port whose link has `megabits` per second, 0 where that is not known.
  init(megabits: UInt32) { octetPrice = Atomic(Self.price(megabits: megabits)) }

  /// Mb/s of a link that does not say: what DPDK's own virtual devices claim.
  static let unknownSpeed: UInt32 = 10_000

  /// The price of an octet at `megabits` per second (at least 10), 0 where that is not known; rounded up.
  static func price(megabits: UInt32) -> UInt64 {
    let speed = UInt64(megabits == 0 ? unknownSpeed : max(10, megabits))
    return (8_000 * 65_536 + speed - 1) / speed
  }

  /// Tells the workers; only the control lcore does.
  func publish(_ clock: DeviceClock) {
    let next = version.load(ordering: .relaxed) &+ 1
    version.store(next, ordering: .relaxed)
    // Whoever sees one of these sees the odd version, too.
    anchor.store(clock.anchor, ordering: .releasing)
    anchorTicks.store(clock.anchorTicks, ordering: .releasing)
    scale.store(clock.scale, ordering: .releasing)
    version.store(next &+ 1, ordering: .releasing)
  }

  /// What was published last, with its version; nil while it is being written.
  func read() -> (clock: DeviceClock, version: UInt64)? {
    let before = version.load(ordering: .acquiring)
    let clock = DeviceClock(
      anchor: anchor.load(ordering: .acquiring), anchorTicks: anchorTicks.load(ordering: .acquiring),
      scale: scale.load(ordering: .acquiring))
    return before & 1 == 0 && version.load(ordering: .relaxed) == before ? (clock, before) : nil
  }
}
