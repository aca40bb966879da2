// Records as JSON, one object per line, with ipfixcol2's key names: what data pipelines read.
import IPFIX

/// Writes records as lines of JSON (RFC 8259) into its buffer.
///
/// Only what a record has appears. Call `begin()`, let the record write its fields, call `end()`.
public struct JSONRecordWriter: LineWriter, ~Copyable {
  /// The finished lines, and the current one.
  public var output: OutputBuffer
  private var isFirst = true

  /// A writer with an empty buffer.
  public init(capacity: Int = 1 << 17) { output = OutputBuffer(capacity: capacity) }

  /// Starts an object.
  public mutating func begin() {
    output.append(UInt8(ascii: "{"))
    isFirst = true
  }

  /// Ends the object and its line.
  public mutating func end() { output.append("}\n") }

  private mutating func key(_ element: InformationElement) {
    output.append(
      key: element.owner.name, element.isReverse ? "@reverse:" : ":", element.name, isFirst: isFirst)
    isFirst = false
  }

  /// Writes the key and, between quotes, what `write` appends.
  @inline(__always)
  private mutating func quoted(_ element: InformationElement, _ write: (inout OutputBuffer) -> Void) {
    key(element)
    output.quote(write)
  }

  public mutating func number(_ element: InformationElement, _ value: UInt64) {
    key(element)
    output.appendDecimal(value)
  }

  public mutating func float32(_ element: InformationElement, _ value: Float) {
    key(element)
    output.append(float: value)
  }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    quoted(element) { $0.append(version4: address) }
  }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    quoted(element) { $0.append(version6High: high, low: low) }
  }
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    quoted(element) { $0.append(mac: address) }
  }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    quoted(element) { $0.append(time: nanoseconds) }
  }
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    quoted(element) { output in bytes.withUnsafeBytes { output.append(hexadecimal: $0) } }
  }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    key(element)
    bytes.withUnsafeBytes { output.append(json: $0) }
  }
  public mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    key(element)
    output.append(count: count, isSigned: isSigned, list: entry)
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    key(element)
    output.append(count: count, times: entry, quote: "\"")
  }
}
