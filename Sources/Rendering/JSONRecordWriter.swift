// Records as JSON, one object per line, with ipfixcol2's key names: what data pipelines read.
import IPFIX

/// Writes records as lines of JSON (RFC 8259) into its buffer.
///
/// Only what a record has appears. Call `begin()`, let the record write its fields, call `end()`.
public struct JSONRecordWriter: LineWriter, ~Copyable {
  /// The finished lines, and the current one.
  public var output: OutputBuffer
  private var keys = JSONKeys()
  /// Where the current line begins.
  private var start = 0

  /// A writer with an empty buffer.
  public init(capacity: Int = 1 << 17) { output = OutputBuffer(capacity: capacity) }

  /// Starts an object.
  public mutating func begin() {
    start = output.count
    keys.restart()
  }

  /// Ends the object and its line.
  public mutating func end() {
    if output.count == start { output.append(UInt8(ascii: ",")) }
    // The comma before the first key.
    output.replace(at: start, with: UInt8(ascii: "{"))
    output.append(characters: 0x0A7D, count: 2)
  }

  @usableFromInline
  mutating func key(_ element: InformationElement) { output.append(registers: keys.key(of: element)) }

  /// Writes the key and, between quotes, what `write` appends.
  @inline(__always)
  private mutating func quoted(_ element: InformationElement, _ write: (inout OutputBuffer) -> Void) {
    key(element)
    output.quote(write)
  }

  public mutating func number(_ element: InformationElement, _ value: UInt64) {
    output.append(registers: keys.key(of: element), decimal: value)
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
  @inlinable @inline(__always)
  public mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    key(element)
    output.append(count: count, isSigned: isSigned, list: entry)
  }
  @inlinable @inline(__always)
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    key(element)
    output.append(count: count, times: entry, quote: "\"")
  }
}
