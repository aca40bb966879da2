// The text of each abstract data type, the same in JSON, CSV and tables.
import IPFIX
import Wire

extension OutputBuffer {
  /// `192.0.2.1` of 0xC0000201.
  public mutating func append(ipv4 address: UInt32) {
    appendDecimal(UInt64(address >> 24))
    append(UInt8(ascii: "."))
    appendDecimal(UInt64(address >> 16 & 0xFF))
    append(UInt8(ascii: "."))
    appendDecimal(UInt64(address >> 8 & 0xFF))
    append(UInt8(ascii: "."))
    appendDecimal(UInt64(address & 0xFF))
  }

  /// The canonical text of RFC 5952: lower case, the longest run of two or more zero groups as `::`, the first one if
  /// there are several, and IPv4-mapped addresses in mixed notation (its section 5).
  public mutating func append(ipv6High high: UInt64, low: UInt64) {
    if high == 0 && low >> 32 == 0xFFFF {
      append("::ffff:")
      append(ipv4: UInt32(truncatingIfNeeded: low))
      return
    }
    func group(_ index: Int) -> UInt16 {
      let shift = UInt64(truncatingIfNeeded: 48 &- 16 &* (index & 3))
      return UInt16(truncatingIfNeeded: (index < 4 ? high : low) &>> shift)
    }
    // The longest run of zero groups, from its first one to the one behind it.
    var (first, end) = (0, 1)
    var index = 0
    while index < 8 {
      let start = index
      while index < 8 && group(index) == 0 { index &+= 1 }
      if index &- start > end &- first { (first, end) = (start, index) }
      index &+= 1
    }
    let isShortened = end &- first > 1
    index = 0
    while index < 8 {
      if isShortened && index == first {
        append("::")
        index = end
        continue
      }
      if index > 0 && !(isShortened && index == end) { append(UInt8(ascii: ":")) }
      let value = group(index)
      var shift = value > 0xFFF ? 12 : value > 0xFF ? 8 : value > 0xF ? 4 : 0
      while shift >= 0 {
        append(Self.digit(UInt8(truncatingIfNeeded: value &>> UInt16(truncatingIfNeeded: shift) & 15)))
        shift &-= 4
      }
      index &+= 1
    }
  }

  /// `aa:bb:cc:dd:ee:ff` of the low 48 bits.
  public mutating func append(mac address: UInt64) {
    var shift: UInt64 = 40
    while true {
      appendHexadecimal(UInt8(truncatingIfNeeded: address &>> shift))
      if shift == 0 { return }
      append(UInt8(ascii: ":"))
      shift &-= 8
    }
  }

  /// The shortest digits that read back as the same number, `null` for NaN and infinities (JSON has neither).
  public mutating func append(float value: Float) {
    guard value.isFinite else { return append("null") }
    append(text: value.description)
  }

  /// `0x` and two lower-case digits for each byte.
  public mutating func append(hexadecimal bytes: UnsafeRawBufferPointer) {
    append("0x")
    let bytes = Bytes(bytes)
    var index = 0
    while index < bytes.count {
      appendHexadecimal(bytes[index])
      index &+= 1
    }
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

  /// A JSON array of numbers, `[1,-1]`, whose bit patterns `entry` gives. Not generic, because writers are called from
  /// other modules, where a generic function that is not inlined would box every entry.
  mutating func append(count: Int, isSigned: Bool, list entry: (_ index: Int) -> UInt64) {
    append(UInt8(ascii: "["))
    var index = 0
    while index < count {
      if index > 0 { append(UInt8(ascii: ",")) }
      if isSigned {
        appendDecimal(signed: Int64(bitPattern: entry(index)))
      } else {
        appendDecimal(entry(index))
      }
      index &+= 1
    }
    append(UInt8(ascii: "]"))
  }

  /// A JSON array of times, each between two of `quote`.
  mutating func append(count: Int, times entry: (_ index: Int) -> UInt64, quote: StaticString) {
    append(UInt8(ascii: "["))
    var index = 0
    while index < count {
      if index > 0 { append(UInt8(ascii: ",")) }
      append(quote)
      append(time: entry(index))
      append(quote)
      index &+= 1
    }
    append(UInt8(ascii: "]"))
  }
}
