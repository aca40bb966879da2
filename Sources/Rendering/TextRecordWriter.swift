// Records as an aligned table for people: what a terminal shows when somebody wants to see the traffic.
import IPFIX

/// Writes one line per record:
///
///     start (UTC)                    duration  proto                 source   destination            packets → ...
///     2015-10-20 07:09:33.611190     0.123456  TCP        192.0.2.1:51234 → 198.51.100.7:443              12  ...
///
/// The basic fields fill the columns; everything else follows as `name=value`. Empty strings and lists are left out.
public struct TextRecordWriter: LineWriter, ~Copyable {
  /// The finished lines; the current line appears when it ends.
  public var output: OutputBuffer
  /// `name=value` of the current record.
  private var extra = OutputBuffer(capacity: 4096)
  private var basic = Basic()

  /// What the columns show, gathered while the record writes its fields in its own order.
  private struct Basic {
    var seen: UInt32 = 0
    var start: UInt64 = 0
    var end: UInt64 = 0
    var version: UInt8 = 4
    var protocolIdentifier: UInt8 = 0
    var source: (high: UInt64, low: UInt64) = (0, 0)
    var destination: (high: UInt64, low: UInt64) = (0, 0)
    var sourcePort: UInt64 = 0
    var destinationPort: UInt64 = 0
    var packets: (forward: UInt64, reverse: UInt64) = (0, 0)
    var octets: (forward: UInt64, reverse: UInt64) = (0, 0)
    var flags: (forward: UInt8, reverse: UInt8) = (0, 0)
    var endReason: UInt8 = 0

    /// True the first time: a plugin may repeat an element, and its value then belongs to the plugin's fields.
    mutating func isNew(_ bit: UInt32) -> Bool {
      defer { seen |= 1 &<< bit }
      return seen & (1 &<< bit) == 0
    }

    /// Keeps a number if a column shows it, or if it says nothing to a reader (version, interface).
    mutating func take(_ element: InformationElement, _ value: UInt64) -> Bool {
      guard element.owner == .iana else { return false }
      switch (element.identifier, element.isReverse) {
      case (136, false) where isNew(0): endReason = UInt8(truncatingIfNeeded: value)
      case (1, false) where isNew(1): octets.forward = value
      case (1, true) where isNew(2): octets.reverse = value
      case (2, false) where isNew(3): packets.forward = value
      case (2, true) where isNew(4): packets.reverse = value
      case (60, false) where isNew(5): version = UInt8(truncatingIfNeeded: value)
      case (4, false) where isNew(6): protocolIdentifier = UInt8(truncatingIfNeeded: value)
      case (6, false) where isNew(7): flags.forward = UInt8(truncatingIfNeeded: value)
      case (6, true) where isNew(8): flags.reverse = UInt8(truncatingIfNeeded: value)
      case (7, false) where isNew(9): sourcePort = value
      case (11, false) where isNew(10): destinationPort = value
      case (10, false) where isNew(11): break
      default: return false
      }
      return true
    }

    mutating func take(_ element: InformationElement, time: UInt64) -> Bool {
      guard element.owner == .iana else { return false }
      switch element.identifier {
      case 150, 152, 154, 156: if isNew(12) { start = time } else { return false }
      case 151, 153, 155, 157: if isNew(13) { end = time } else { return false }
      default: return false
      }
      return true
    }

    mutating func take(_ element: InformationElement, address: (high: UInt64, low: UInt64)) -> Bool {
      guard element.owner == .iana else { return false }
      switch element.identifier {
      case 8, 27: if isNew(14) { source = address } else { return false }
      case 12, 28: if isNew(15) { destination = address } else { return false }
      default: return false
      }
      return true
    }
  }

  /// A writer with the table's heading in its buffer.
  public init(capacity: Int = 1 << 17) {
    output = OutputBuffer(capacity: capacity)
    output.append(
      "start (UTC)                       duration  proto                 source   destination            ")
    output.append("packets →  packets ←    octets →    octets ←  flags →   flags ←   end      fields\n")
  }

  /// Starts a line.
  public mutating func begin() {
    basic = Basic()
    extra.removeAll()
  }

  /// Writes the line.
  public mutating func end() {
    output.appendDate(basic.start)
    output.append(UInt8(ascii: " "))
    output.appendTimeOfDay(basic.start)
    let duration = basic.end >= basic.start ? basic.end &- basic.start : 0
    right(16) {
      $0.appendDecimal(duration / 1_000_000_000)
      $0.append(UInt8(ascii: "."))
      $0.appendDecimal(duration % 1_000_000_000 / 1000, width: 6)
    }
    output.append("  ")
    let (protocolIdentifier, version) = (basic.protocolIdentifier, basic.version)
    left(7) { $0.append(protocolName: protocolIdentifier) }
    let (source, sourcePort) = (basic.source, basic.sourcePort)
    right(21) { $0.append(endpoint: source, port: sourcePort, version: version) }
    output.append(" → ")
    let (destination, destinationPort) = (basic.destination, basic.destinationPort)
    left(21) { $0.append(endpoint: destination, port: destinationPort, version: version) }
    let (packets, octets, flags) = (basic.packets, basic.octets, basic.flags)
    right(11) { $0.appendDecimal(packets.forward) }
    right(11) { $0.appendDecimal(packets.reverse) }
    right(12) { $0.appendDecimal(octets.forward) }
    right(12) { $0.appendDecimal(octets.reverse) }
    output.append("  ")
    left(10) { $0.append(flags: flags.forward) }
    left(10) { $0.append(flags: flags.reverse) }
    let reason = basic.endReason
    if extra.count == 0 {
      output.append(endReason: reason)
    } else {
      left(7) { $0.append(endReason: reason) }
      output.append(extra.contents)
    }
    output.append(UInt8(ascii: "\n"))
  }

  private mutating func left(_ width: Int, _ write: (inout OutputBuffer) -> Void) {
    let start = output.count
    write(&output)
    output.append(UInt8(ascii: " "), times: width &- (output.count &- start))
  }

  private mutating func right(_ width: Int, _ write: (inout OutputBuffer) -> Void) {
    // Written to the scratch end of `extra` first, so that the width is known before the blanks are written.
    let start = extra.count
    write(&extra)
    output.append(UInt8(ascii: " "), times: width &- (extra.count &- start))
    output.append(extra.contents.dropFirst(start))
    extra.truncate(to: start)
  }

  private mutating func name(_ element: InformationElement) {
    extra.append("  ")
    extra.append(element.name)
    extra.append(element.isReverse ? "@reverse=" : "=")
  }

  public mutating func number(_ element: InformationElement, _ value: UInt64) {
    if basic.take(element, value) { return }
    name(element)
    extra.appendDecimal(value)
  }

  public mutating func float32(_ element: InformationElement, _ value: Float) {
    name(element)
    extra.append(float: value)
  }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    if basic.take(element, address: (0, UInt64(address))) { return }
    name(element)
    extra.append(version4: address)
  }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    if basic.take(element, address: (high, low)) { return }
    name(element)
    extra.append(version6High: high, low: low)
  }
  /// The basic MAC addresses have no place in a line that people read; JSON and CSV have them.
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    if element.owner == .iana && (element.identifier == 56 || element.identifier == 80) { return }
    name(element)
    extra.append(mac: address)
  }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    if basic.take(element, time: nanoseconds) { return }
    name(element)
    extra.append(time: nanoseconds)
  }
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return }
    name(element)
    bytes.withUnsafeBytes { extra.append(hexadecimal: $0) }
  }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    bytes.withUnsafeBytes { source in
      // Empty, or nothing but the padding that a string has on the wire.
      if source.allSatisfy({ $0 == 0 }) { return }
      name(element)
      let plain = source.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
      if plain { extra.append(source) } else { extra.append(json: source) }
    }
  }
  public mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    guard count > 0 else { return }
    name(element)
    extra.append(count: count, isSigned: isSigned, list: entry)
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    guard count > 0 else { return }
    name(element)
    extra.append(count: count, times: entry, quote: "")
  }
}
