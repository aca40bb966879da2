// The header of NTP packets, versions 3 and 4 (RFC 5905 section 7.3), in which SNTP's are the same.

/// The first 48 bytes of an NTP packet.
///
///     | leap 2, version 3, mode 3 | stratum 1 | poll 1 | precision 1 |
///     | root delay 4 | root dispersion 4 | reference id 4 |
///     | reference 8 | origin 8 | receive 8 | transmit 8 |
package struct NTPHeader: BitwiseCopyable {
  /// The bytes of a header.
  package static var length: Int { 48 }

  private let bytes: Bytes

  /// The header at the start of `bytes`; nil where they are fewer.
  package init?(_ bytes: Bytes) {
    guard bytes.count >= Self.length else { return nil }
    self.bytes = bytes.prefix(Self.length)
  }

  /// 0 none, 1 and 2 a second more or less today, 3 the clock is not synchronised.
  package var leap: UInt8 { bytes[0] >> 6 }
  package var version: UInt8 { bytes[0] >> 3 & 7 }
  /// 3 client, 4 server.
  package var mode: UInt8 { bytes[0] & 7 }
  /// 0 none (or a kiss of death), 1 a clock of its own, 16 not synchronised.
  package var stratum: UInt8 { bytes[1] }
  /// The binary logarithm of the seconds between messages.
  package var poll: UInt8 { bytes[2] }
  /// The binary logarithm of the clock's precision in seconds, as two's complement.
  package var precision: UInt8 { bytes[3] }
  /// In seconds, with 16 bits of fraction.
  package var rootDelay: UInt32 { bytes.load(UInt32.self, at: 4) }
  package var rootDispersion: UInt32 { bytes.load(UInt32.self, at: 8) }
  /// What the clock follows.
  package var referenceIdentifier: Bytes { bytes.slice(12, 4) }

  /// When the clock was last set.
  package var reference: NTPTimestamp { NTPTimestamp(bytes.load(UInt64.self, at: 16)) }
  /// When the client sent its request.
  package var origin: NTPTimestamp { NTPTimestamp(bytes.load(UInt64.self, at: 24)) }
  /// When the request was received.
  package var receive: NTPTimestamp { NTPTimestamp(bytes.load(UInt64.self, at: 32)) }
  /// When this packet was sent.
  package var transmit: NTPTimestamp { NTPTimestamp(bytes.load(UInt64.self, at: 40)) }
}

/// A time of NTP: seconds of an era, and their fraction, 32 bits each (RFC 5905 section 6).
package struct NTPTimestamp: BitwiseCopyable {
  package let seconds: UInt32
  /// Rounded to the nearest.
  package let microseconds: UInt32

  package init(_ value: UInt64) {
    let rounded = ((value & 0xFFFF_FFFF) &* 1_000_000 &+ 0x8000_0000) >> 32
    let isNextSecond = rounded >= 1_000_000
    seconds = UInt32(truncatingIfNeeded: value >> 32) &+ (isNextSecond ? 1 : 0)
    microseconds = isNextSecond ? 0 : UInt32(truncatingIfNeeded: rounded)
  }
}
