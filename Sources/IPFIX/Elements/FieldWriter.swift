// The one interface through which a record leaves: a record names its fields in order, and the writer decides
// what becomes of them: bytes of a data record, field specifiers of a template, JSON, a CSV cell, a table's column.

/// Receives the fields of one record, in template order.
///
/// Every kind of output is a conforming type, and records call it through generic, specialised code: after
/// inlining an IPFIX encoder is straight-line stores, and no field is dispatched dynamically.
///
/// Integers arrive in host byte order. The method chosen fixes the field's length on the wire; it may be shorter
/// than the element's type (reduced-size encoding, RFC 7011 section 6.2) or, for basicList entries, longer.
public protocol FieldWriter: ~Copyable {
  mutating func unsigned8(_ element: InformationElement, _ value: UInt8)
  mutating func unsigned16(_ element: InformationElement, _ value: UInt16)
  mutating func unsigned32(_ element: InformationElement, _ value: UInt32)
  mutating func unsigned64(_ element: InformationElement, _ value: UInt64)
  mutating func float32(_ element: InformationElement, _ value: Float)
  /// `address` as a number: 192.0.2.1 is 0xC0000201.
  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32)
  /// The address's first and last eight bytes as numbers.
  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64)
  /// The address in the low 48 bits.
  mutating func macAddress(_ element: InformationElement, _ address: UInt64)
  /// A time in nanoseconds since 1970 (UTC), encoded as the element's dateTime type says (RFC 7011 section 6.1.7 ff.).
  mutating func time(_ element: InformationElement, nanoseconds: UInt64)
  /// A variable-length octetArray (RFC 7011 section 7), at most 65535 bytes.
  mutating func octets(_ element: InformationElement, _ bytes: RawSpan)
  /// A variable-length string; the bytes come from the wire and need not be valid UTF-8.
  mutating func string(_ element: InformationElement, _ bytes: RawSpan)
  /// An address in a field of variable length: its 4 or 16 octets (those of `low`, or of both halves) where octets are
  /// written, and as an address where text is.
  mutating func addressOctets(_ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool)
  /// A basicList (RFC 6313 section 4.5.1, semantic allOf) of `count` entries of `element`, each `Entry` wide.
  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry)
  /// A basicList of times: `entry` gives nanoseconds since 1970; the element's dateTime type decides the encoding.
  mutating func times(_ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64)
  /// The next `columns` fields of the fixed order are absent from this record; only tables care.
  mutating func skip(columns: Int)
}

extension FieldWriter where Self: ~Copyable {
  /// Nothing to do where absent fields leave no trace.
  @inlinable @inline(__always)
  public mutating func skip(columns: Int) {}

  @inlinable
  public mutating func addressOctets(
    _ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool
  ) {
    let octets: InlineArray<2, UInt64> = [high.bigEndian, (isVersion6 ? low : low &<< 32).bigEndian]
    let bytes = octets.span.bytes
    string(element, isVersion6 ? bytes : bytes.extracting(droppingFirst: 8).extracting(first: 4))
  }
}

// MARK: What most writers have in common

/// A field writer to which a number's length on the wire makes no difference: text, for people and for programs.
public protocol NumberWriter: FieldWriter, ~Copyable {
  /// Takes an unsigned number of any length.
  mutating func number(_ element: InformationElement, _ value: UInt64)
  /// Takes a list of numbers; negative ones, which only a list of signed entries has, come as two's complement.
  mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64)
}

extension NumberWriter where Self: ~Copyable {
  @inlinable @inline(__always)
  public mutating func unsigned8(_ element: InformationElement, _ value: UInt8) {
    number(element, UInt64(value))
  }
  @inlinable @inline(__always)
  public mutating func unsigned16(_ element: InformationElement, _ value: UInt16) {
    number(element, UInt64(value))
  }
  @inlinable @inline(__always)
  public mutating func unsigned32(_ element: InformationElement, _ value: UInt32) {
    number(element, UInt64(value))
  }
  @inlinable @inline(__always)
  public mutating func unsigned64(_ element: InformationElement, _ value: UInt64) {
    number(element, value)
  }
  @inlinable
  public mutating func addressOctets(
    _ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool
  ) {
    if isVersion6 {
      ipv6Address(element, high: high, low: low)
    } else {
      ipv4Address(element, UInt32(truncatingIfNeeded: low))
    }
  }
  @inlinable @inline(__always)
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    numbers(element, count: count, isSigned: Entry.isSigned) { UInt64(truncatingIfNeeded: entry($0)) }
  }
}

/// A field writer that hears which fields there are and does not look at their values.
public protocol FieldListener: FieldWriter, ~Copyable {
  /// Takes note of a field of `length` octets on the wire, or of `FieldSpecifier.variableLength`, as lists have it.
  mutating func field(_ element: InformationElement, length: UInt16)
}

extension FieldListener where Self: ~Copyable {
  public mutating func unsigned8(_ element: InformationElement, _ value: UInt8) { field(element, length: 1) }
  public mutating func unsigned16(_ element: InformationElement, _ value: UInt16) {
    field(element, length: 2)
  }
  public mutating func unsigned32(_ element: InformationElement, _ value: UInt32) {
    field(element, length: 4)
  }
  public mutating func unsigned64(_ element: InformationElement, _ value: UInt64) {
    field(element, length: 8)
  }
  public mutating func float32(_ element: InformationElement, _ value: Float) { field(element, length: 4) }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    field(element, length: 4)
  }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    field(element, length: 16)
  }
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    field(element, length: 6)
  }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    field(element, length: element.type == .dateTimeSeconds ? 4 : 8)
  }
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    field(element, length: FieldSpecifier.variableLength)
  }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    field(element, length: FieldSpecifier.variableLength)
  }
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    field(element, length: FieldSpecifier.variableLength)
  }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    field(element, length: FieldSpecifier.variableLength)
  }
}
