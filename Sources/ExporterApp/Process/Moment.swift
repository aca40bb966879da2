// The two clocks of an exporter, read together so that tests can set them.

/// A moment: one clock that never jumps, for time-outs, and one that people set, for message headers.
struct Moment: Sendable {
  /// Nanoseconds of a clock that only goes forward.
  var monotonic: UInt64
  /// Seconds since 1970 (UTC).
  var unixSeconds: UInt32

  /// Now; some 40 ns.
  static var current: Moment {
    Moment(
      monotonic: Clock.monotonic(), unixSeconds: UInt32(truncatingIfNeeded: Clock.system() / 1_000_000_000))
  }

  /// The same moment, later.
  func later(seconds: Double) -> Moment {
    let span = Self.nanoseconds(seconds)
    return Moment(
      monotonic: monotonic &+ span,
      unixSeconds: unixSeconds &+ UInt32(truncatingIfNeeded: span / 1_000_000_000))
  }

  /// A span of seconds in nanoseconds, 0 for what is none, at most a century.
  static func nanoseconds(_ seconds: Double) -> UInt64 {
    guard seconds > 0 else { return 0 }
    return UInt64(exactly: (min(seconds, 3.2e9) * 1e9).rounded(.towardZero)) ?? 0
  }
}
