// Records as an aligned table for people: what a terminal shows when somebody wants to see the traffic.
import IPFIX
import Wire

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
  var extra = OutputBuffer(capacity: 4096)
  /// Where each `name=value` in `extra` begins, for a table that breaks its lines there.
  var extraStarts = GrowableList<Int>(capacity: 64)
  var basic = BasicFlow()
  private let isWide: Bool

  /// A writer with the table's heading in its buffer.
  ///
  /// - Parameter isWide: all columns and values, as above; else what 120 columns have room for (`TextRecordWriter+Narrow.swift`).
  public init(isWide: Bool = true, capacity: Int = 1 << 17) {
    self.isWide = isWide
    output = OutputBuffer(capacity: capacity)
    guard isWide else {
      appendNarrowHeading()
      return
    }
    output.append(
      "start (UTC)                       duration  proto                 source   destination            ")
    output.append("packets →  packets ←    octets →    octets ←  flags →   flags ←   end      fields\n")
  }

  /// Starts a line.
  public mutating func begin() {
    basic = BasicFlow()
    extra.removeAll()
    extraStarts.removeAll()
  }

  /// Writes the line.
  public mutating func end() {
    guard isWide else { return endNarrow() }
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

  mutating func left(_ width: Int, _ write: (inout OutputBuffer) -> Void) {
    let start = output.count
    write(&output)
    output.append(UInt8(ascii: " "), times: width &- (output.count &- start))
  }

  mutating func right(_ width: Int, _ write: (inout OutputBuffer) -> Void) {
    // Written to the scratch end of `extra` first, so that the width is known before the blanks are written.
    let start = extra.count
    write(&extra)
    output.append(UInt8(ascii: " "), times: width &- (extra.count &- start))
    output.append(extra.contents.dropFirst(start))
    extra.truncate(to: start)
  }

  private mutating func name(_ element: InformationElement) {
    extraStarts.append(extra.count)
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
