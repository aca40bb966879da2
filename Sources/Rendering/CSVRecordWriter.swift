// Records as CSV with a fixed header: what opens in a data frame without further ado.
import IPFIX
import Wire

/// Writes records as CSV rows (RFC 4180, but lines end with LF alone, which Unix tools and all readers understand).
///
/// Columns are fixed; a record's fields come in column order, and columns between them stay empty. A record that lacks a
/// plugin calls `skip(columns:)` in its place, which is needed only where two plugins have an element in common.
/// Lists are JSON arrays in a quoted cell. Fields that have no column from here on are left out and counted.
public struct CSVRecordWriter: LineWriter, ~Copyable {
  /// The finished rows, and the current one.
  public var output: OutputBuffer
  /// Fields that had no column.
  public private(set) var misplaced: UInt64 = 0
  private let escapesFormulas: Bool
  /// There are columns for the duration and the source behind those of elements, and digests are plain hexadecimal.
  private let isShort: Bool
  /// Whether each column's octets are a digest, written as plain hexadecimal.
  private var digests: GrowableList<Bool>
  private var span = FlowSpan()
  /// The names of what records come from, one behind the other, and where each ends.
  private let sources: OwnedBytes
  private var sourceEnds: GrowableList<Int>
  /// Which of them this record's packets came from; of use in the columns of `short`, and set before each record.
  public var source = 0
  /// The columns' elements.
  private var codes: GrowableList<UInt32>
  /// The first column that may still be filled.
  private var next = 0
  /// Commas written in this row.
  private var commas = 0

  /// A writer for these columns with the header row in its buffer.
  ///
  /// - Parameters:
  ///   - names: how columns are named; `short` adds two.
  ///   - sources: what records come from, for one of these two.
  ///   - escapesFormulas: whether a string that a spreadsheet would take for a formula gets an apostrophe before it.
  public init(
    columns: [InformationElement], names: CSVNames = .full, sources: [String] = [],
    escapesFormulas: Bool = true,
    capacity: Int = 1 << 17
  ) {
    self.escapesFormulas = escapesFormulas
    isShort = names == .short
    output = OutputBuffer(capacity: capacity)
    codes = GrowableList(capacity: columns.count)
    digests = GrowableList(capacity: columns.count)
    for column in columns {
      codes.append(column.code)
      digests.append(names == .short && CSVNames.isDigest(column))
    }
    let text = sources.joined()
    self.sources = OwnedBytes(text)
    sourceEnds = GrowableList(capacity: sources.count)
    var end = 0
    for source in sources {
      end += source.utf8.count
      sourceEnds.append(end)
    }
    output.append(text: names.header(columns).joined(separator: ",") + "\n")
  }

  /// Starts a row.
  public mutating func begin() {
    next = 0
    commas = 0
    span = FlowSpan()
  }

  /// Fills the row with empty cells and ends it.
  public mutating func end() {
    output.append(UInt8(ascii: ","), times: codes.count &- 1 &- commas)
    if isShort { addShortCells() }
    output.append(UInt8(ascii: "\n"))
  }

  /// The duration in seconds with six decimals, and the source.
  @inline(never)
  private mutating func addShortCells() {
    let duration = span.nanoseconds
    output.append(UInt8(ascii: ","))
    output.appendDecimal(duration / 1_000_000_000)
    output.append(UInt8(ascii: "."))
    output.appendDecimal(duration % 1_000_000_000 / 1000, width: 6)
    output.append(UInt8(ascii: ","))
    guard source >= 0, source < sourceEnds.count else { return }
    let start = source == 0 ? 0 : sourceEnds[source &- 1]
    append(text: sources.view(start, sourceEnds[source] &- start).buffer)
  }

  public mutating func skip(columns: Int) {
    next = min(next &+ min(max(columns, 0), codes.count), codes.count)
  }

  /// Moves to the element's cell; false when it has none.
  @usableFromInline
  mutating func cell(_ element: InformationElement) -> Bool {
    let code = element.code
    var index = next
    while index < codes.count && codes[index] != code { index &+= 1 }
    guard index < codes.count else {
      misplaced &+= 1
      return false
    }
    if _fastPath(index == commas &+ 1) {
      output.append(UInt8(ascii: ","))
    } else {
      output.append(UInt8(ascii: ","), times: index &- commas)
    }
    commas = index
    next = index &+ 1
    return true
  }

  public mutating func number(_ element: InformationElement, _ value: UInt64) {
    guard cell(element) else { return }
    output.appendDecimal(value)
  }

  /// NaN and infinities leave the cell empty.
  public mutating func float32(_ element: InformationElement, _ value: Float) {
    guard cell(element), value.isFinite else { return }
    output.append(float: value)
  }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    guard cell(element) else { return }
    output.append(version4: address)
  }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    guard cell(element) else { return }
    output.append(version6High: high, low: low)
  }
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    guard cell(element) else { return }
    output.append(mac: address)
  }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    guard cell(element) else { return }
    output.append(time: nanoseconds)
    if isShort { span.note(element, nanoseconds) }
  }

  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    guard cell(element) else { return }
    let isPlain = digests[next &- 1]
    bytes.withUnsafeBytes { isPlain ? output.append(plainHexadecimal: $0) : output.append(hexadecimal: $0) }
  }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    guard cell(element) else { return }
    bytes.withUnsafeBytes { append(text: $0) }
  }

  /// A cell's text.
  private mutating func append(text source: UnsafeRawBufferPointer) {
    // Nothing but the padding that a string has on the wire (JA4 without a ClientHello).
    if source.allSatisfy({ $0 == 0 }) { return }
    if escapesFormulas, Self.startsFormula(source.first ?? 0) {
      return output.quote {
        $0.append(UInt8(ascii: "'"))
        $0.append(source, escaping: .csv)
      }
    }
    // Blanks at either end are quoted too: some readers strip them otherwise.
    let plain = source.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x2C }
    if plain { return output.append(source) }
    output.quote { $0.append(source, escaping: .csv) }
  }
  /// Whether a cell that begins with this byte is a formula to spreadsheets, or can become one: they skip tabs and line
  /// ends (OWASP, "CSV Injection").
  private static func startsFormula(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "@"), 0x09, 0x0A, 0x0D: true
    default: false
    }
  }
  @inlinable @inline(__always)
  public mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    guard cell(element) else { return }
    output.quote { $0.append(count: count, isSigned: isSigned, list: entry) }
  }
  @inlinable @inline(__always)
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    guard cell(element) else { return }
    output.quote { $0.append(count: count, times: entry, quote: "\"\"") }
  }
}
