// The text of each abstract data type, the same in JSON, CSV and tables.
import IPFIX
import Wire

extension OutputBuffer: TextSink {
  /// Appends a number in decimal.
  public mutating func append(decimal number: UInt32) { appendDecimal(UInt64(number)) }

  /// The shortest digits that read back as the same number, `null` for NaN and infinities (JSON has neither).
  public mutating func append(float value: Float) {
    guard value.isFinite else { return append("null") }
    append(text: value.description)
  }

  /// `0x` and two lower-case digits for each byte.
  public mutating func append(hexadecimal bytes: UnsafeRawBufferPointer) {
    append(characters: 0x7830, count: 2)
    append(plainHexadecimal: bytes)
  }

  /// `2015-10-20`, the date in UTC (proleptic Gregorian calendar).
  mutating func appendDate(_ nanoseconds: UInt64) {
    // Days are counted from 0000-03-01, so that the leap day ends a year and a month's first day is linear in its
    // number: (153 * month + 2) / 5. 719468 days lie between that day and 1970-01-01; 146097 make 400 years.
    let days = nanoseconds / 86_400_000_000_000 &+ 719_468
    let era = days / 146_097
    let dayOfEra = days % 146_097
    let yearOfEra = (dayOfEra &- dayOfEra / 1460 &+ dayOfEra / 36524 &- dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
    let month = (5 &* dayOfYear &+ 2) / 153
    let day = dayOfYear &- (153 &* month &+ 2) / 5 &+ 1
    appendDecimal(yearOfEra &+ era &* 400 &+ (month >= 10 ? 1 : 0), width: 4)
    append(UInt8(ascii: "-"))
    appendDecimal(month < 10 ? month &+ 3 : month &- 9, width: 2)
    append(UInt8(ascii: "-"))
    appendDecimal(day, width: 2)
  }

  /// A JSON array of numbers, `[1,-1]`, whose bit patterns `entry` gives.
  @inlinable @inline(__always)
  mutating func append(count: Int, isSigned: Bool, list entry: (_ index: Int) -> UInt64) {
    append(UInt8(ascii: "["))
    var index = 0
    while index < count {
      append(entry: entry(index), isSigned: isSigned, isFirst: index == 0)
      index &+= 1
    }
    append(UInt8(ascii: "]"))
  }

  /// A number of an array.
  @usableFromInline
  mutating func append(entry value: UInt64, isSigned: Bool, isFirst: Bool) {
    if !isFirst { append(UInt8(ascii: ",")) }
    if isSigned {
      appendDecimal(signed: Int64(bitPattern: value))
    } else {
      appendDecimal(value)
    }
  }

  /// A JSON array of times, each between two of `quote`.
  @inlinable @inline(__always)
  mutating func append(count: Int, times entry: (_ index: Int) -> UInt64, quote: StaticString) {
    append(UInt8(ascii: "["))
    var index = 0
    while index < count {
      append(entry: entry(index), quote: quote, isFirst: index == 0)
      index &+= 1
    }
    append(UInt8(ascii: "]"))
  }

  /// A time of an array.
  @usableFromInline
  mutating func append(entry nanoseconds: UInt64, quote: StaticString, isFirst: Bool) {
    if !isFirst { append(UInt8(ascii: ",")) }
    append(quote)
    append(time: nanoseconds)
    append(quote)
  }
}
