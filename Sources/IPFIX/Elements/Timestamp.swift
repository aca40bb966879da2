// Conversions between the one clock of Martlet (nanoseconds since 1970) and the times of RFC 7011.

/// Converts nanoseconds since 1970 (UTC) to and from the wire forms of RFC 7011 sections 6.1.7 to 6.1.10.
///
/// The NTP form of dateTimeMicroseconds and dateTimeNanoseconds:
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |            seconds since 1900, era 0 (modulo 2^32)            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |     fraction in 2^-32 s     |  zero for dateTimeMicroseconds  |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
public enum Timestamp {
  /// Seconds from 1900-01-01 to 1970-01-01: 70 years of 365 days and 17 leap days.
  @inlinable
  public static var secondsFrom1900To1970: UInt64 { 2_208_988_800 }

  /// A dateTimeMicroseconds of the truncated microseconds (RFC 7011 section 6.1.9).
  ///
  /// The bottom 11 bits of the fraction are zero, as that section asks. What remains counts 2^-21 s (0.477 µs) and is
  /// rounded up, so that a collector gets our microsecond whether it truncates or rounds to the nearest.
  @inlinable @inline(__always)
  public static func microseconds(_ nanoseconds: UInt64) -> UInt64 {
    let seconds = nanoseconds / 1_000_000_000
    let microseconds = (nanoseconds % 1_000_000_000) / 1000
    let fraction = ((microseconds << 21) &+ 999_999) / 1_000_000
    return (seconds &+ secondsFrom1900To1970) << 32 | fraction << 11
  }

  /// A dateTimeNanoseconds (RFC 7011 section 6.1.10); the fraction is rounded up, so that truncation restores it.
  @inlinable @inline(__always)
  public static func nanoseconds(_ nanoseconds: UInt64) -> UInt64 {
    let seconds = nanoseconds / 1_000_000_000
    let fraction = (((nanoseconds % 1_000_000_000) << 32) &+ 999_999_999) / 1_000_000_000
    return (seconds &+ secondsFrom1900To1970) << 32 | fraction
  }

  /// Nanoseconds since 1970 of a dateTimeMicroseconds, to the nearest microsecond; ignores the bottom 11 bits.
  public static func fromMicroseconds(_ timestamp: UInt64) -> UInt64 {
    let microseconds = (((timestamp & 0xFFFF_FFFF) >> 11) * 1_000_000 + (1 << 20)) >> 21
    return unixSeconds(timestamp) * 1_000_000_000 + microseconds * 1000
  }

  /// Nanoseconds since 1970 of a dateTimeNanoseconds, truncated.
  public static func fromNanoseconds(_ timestamp: UInt64) -> UInt64 {
    unixSeconds(timestamp) * 1_000_000_000 + ((timestamp & 0xFFFF_FFFF) * 1_000_000_000) >> 32
  }

  /// Seconds since 1970; NTP seconds below the offset are taken to lie in era 1, after February 2036.
  static func unixSeconds(_ timestamp: UInt64) -> UInt64 {
    let seconds = timestamp >> 32
    return seconds >= secondsFrom1900To1970
      ? seconds - secondsFrom1900To1970 : seconds + (1 << 32) - secondsFrom1900To1970
  }
}
