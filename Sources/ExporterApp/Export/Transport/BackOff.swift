// A collector that is away is asked again, ever more rarely, and not by all exporters at the same moment.

/// Waiting times that double, from one second to thirty, each cut by chance to between half and all of it: when a collector
/// comes back, its exporters do not come all at once.
struct BackOff {
  private var seconds: UInt64 = 1
  /// Nanoseconds of the monotonic clock before which nothing should be tried.
  private(set) var retryAt: UInt64 = 0

  /// Whether it is time to try again.
  func isDue(_ now: Moment) -> Bool { now.monotonic >= retryAt }

  /// An attempt failed: the next one is for later.
  mutating func failed(_ now: Moment) {
    let whole = seconds &* 1_000_000_000
    var chance = SystemRandomNumberGenerator()
    let part: UInt64 = chance.next()
    retryAt = now.monotonic &+ whole / 2 &+ part.multipliedFullWidth(by: whole / 2).high
    seconds = min(seconds &* 2, 30)
  }

  /// All is well: the next failure waits for a second again.
  mutating func succeeded() { self = BackOff() }
}
