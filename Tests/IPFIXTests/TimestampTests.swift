// Times, checked against arithmetic done by hand.
import TestSupport
import Testing

@testable import IPFIX

@Suite struct TimestampTests {
  // 2015-10-20T07:09:33.611190Z: 45 years * 365 + 11 leap days (1972 ... 2012) = 16436 days to 2015-01-01;
  // 31+28+31+30+31+30+31+31+30 + 19 = 292 days more; 16728 * 86400 + 7 * 3600 + 9 * 60 + 33 = 1445324973.
  static let seconds: UInt64 = 1_445_324_973
  static let sample: UInt64 = seconds * 1_000_000_000 + 611_190_123

  @Test("the NTP form counts from 1900 and its fraction counts 2^-32 s")
  func microseconds() {
    // 1445324973 + 2208988800 = 3654313773 = 0xD9D0672D.
    // 611190 * 2^21 / 10^6 = 1281758.3, rounded up 1281759 = 0x138EDF; shifted by 11 bits 0x9C76F800.
    #expect(Timestamp.microseconds(Self.sample) == 0xD9D0_672D_9C76_F800)
    #expect(Timestamp.microseconds(0) == UInt64(2_208_988_800) << 32)
    // Half a second is the fraction's top bit.
    #expect(Timestamp.microseconds(500_000_000) == UInt64(2_208_988_800) << 32 | 0x8000_0000)
  }

  @Test("nanoseconds use the whole fraction")
  func nanoseconds() {
    // 611190123 * 2^32 / 10^9 = 2625041589.92, rounded up 2625041590 = 0x9C76F4B6.
    #expect(Timestamp.nanoseconds(Self.sample) == 0xD9D0_672D_9C76_F4B6)
    #expect(Timestamp.nanoseconds(250_000_000) == UInt64(2_208_988_800) << 32 | 0x4000_0000)
  }

  @Test("a collector that truncates and one that rounds both get our microsecond")
  func everyMicrosecond() {
    for microsecond in stride(from: UInt64(0), to: 1_000_000, by: 1) {
      let fraction = Timestamp.microseconds(microsecond * 1000 + 999) & 0xFFFF_FFFF
      let truncated = (fraction * 1_000_000) >> 32
      let rounded = (fraction * 1_000_000 + 1 << 31) >> 32
      guard fraction & 0x7FF == 0, truncated == microsecond, rounded == microsecond else {
        Issue.record("microsecond \(microsecond) became \(truncated), rounded \(rounded)")
        return
      }
    }
  }

  @Test("times come back")
  func roundTrip() {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<100_000 {
      // Up to 2036-02-07, where era 0 ends.
      let time = UInt64.random(in: 0..<2_085_978_496_000_000_000, using: &generator)
      guard Timestamp.fromNanoseconds(Timestamp.nanoseconds(time)) == time,
        Timestamp.fromMicroseconds(Timestamp.microseconds(time)) == time / 1000 * 1000
      else {
        Issue.record("\(time)")
        return
      }
    }
    // Era 1 begins at 2^32 - 2208988800 = 2085978496 seconds.
    #expect(Timestamp.microseconds(2_085_978_496_000_000_000) == 0)
    #expect(Timestamp.fromMicroseconds(0) == 2_085_978_496_000_000_000)
  }

  @Test("each dateTime type has its encoding")
  func encodings() {
    #expect(encode([.time(Sample.startSeconds, Self.sample)]) == bytes(hex(Self.seconds, 8)))
    #expect(encode([.time(Sample.startMilliseconds, Self.sample)]) == bytes(hex(1_445_324_973_611, 16)))
    #expect(encode([.time(Sample.start, Self.sample)]) == bytes("D9D0672D 9C76F800"))
    #expect(encode([.time(Sample.startNanoseconds, Self.sample)])?.prefix(4) == bytes("D9D0672D")[...])
  }

  private func hex(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: width - digits.count) + digits
  }
}
