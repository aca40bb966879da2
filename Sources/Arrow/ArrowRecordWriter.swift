// Records as Arrow record batches: what data frames, Parquet and models read without parsing.
import CArrow
import Glibc
import IPFIX
import Rendering
import Wire

/// Writes records into the columns of a batch.
///
/// Columns are fixed, as those of CSV: a record's fields come in their order, one that has no value stays null, and a record that
/// lacks a plugin calls `skip(columns:)` in its place. A batch is full after so many rows, or before offsets of 31 bits end.
public struct ArrowRecordWriter: NumberWriter, ~Copyable {
  private let columns: UnsafeMutablePointer<ArrowColumn>
  private let count: Int
  private let rowLimit: Int
  private let sources: [String]
  /// Which of the sources the next record came from.
  public var source = 0
  /// The source of the row before, and its number in the batch's dictionary.
  private var lastSource = (place: -1, number: UInt64(0))
  /// Fields that had no column.
  public private(set) var misplaced: UInt64 = 0
  /// Rows in the batch at hand.
  public private(set) var rows = 0
  /// The first column that may still be filled.
  private var next = 0
  private var span = FlowSpan()
  private var scratch = OutputBuffer(capacity: 256)
  /// There was no memory for a value.
  public private(set) var isExhausted = false
  /// A column is so long that the batch must end.
  private var isLong = false

  /// Columns in front of those of elements.
  private static var ownColumns: Int { 2 }
  /// Octets of a column after which a batch ends: one record adds less than what is left up to 2^31.
  private static var longest: Int { 1 << 30 }

  /// A writer without rows.
  ///
  /// - Parameters:
  ///   - fields: the columns, as `ArrowField.fields` has them.
  ///   - sources: the names of what records come from.
  ///   - rowLimit: rows of a batch, at least 1.
  public init(_ fields: [ArrowField], sources: [String], rowLimit: Int) {
    columns = .allocate(capacity: max(fields.count, 1))
    for (index, field) in fields.enumerated() { (columns + index).initialize(to: ArrowColumn(field)) }
    count = fields.count
    self.rowLimit = max(rowLimit, 1)
    self.sources = sources
  }

  deinit {
    for index in 0..<count { columns[index].destroy() }
    columns.deallocate()
  }

  /// Whether the batch must be finished before the next record.
  public var isFull: Bool { rows >= rowLimit || isLong }

  /// Starts a row.
  public mutating func begin() {
    next = Self.ownColumns
    span = FlowSpan()
  }

  /// Ends the row.
  public mutating func end() {
    if source != lastSource.place { nameSource() }
    note(columns[0].set(rows, lastSource.number))
    note(columns[1].set(rows, (Double(span.nanoseconds) / 1e9).bitPattern))
    rows &+= 1
  }

  /// Looks the source up, which sets this row's.
  private mutating func nameSource() {
    var name = source >= 0 && source < sources.count ? sources[source] : ""
    let column = columns
    let number = name.withUTF8 { text in
      repaired(UnsafeRawBufferPointer(text)) { column.pointee.number(of: $0) }
    }
    lastSource = (source, UInt64(truncatingIfNeeded: number ?? 0))
    note(number != nil)
  }

  /// Makes a struct array of the rows, which its owner releases, and starts a new batch.
  ///
  /// - Returns: 0, or ENOMEM; then the array is released and the rows are gone.
  public mutating func finish(in array: UnsafeMutablePointer<ArrowArray>) -> Int32 {
    let length = rows
    rows = 0
    lastSource = (-1, 0)
    isLong = false
    let buffers: [UnsafeMutableRawPointer?] = [nil]
    var status = martlet_arrow_array(array, Int64(length), 0, 1, buffers, Int64(count), 0)
    guard status == 0 else { return status }
    for index in 0..<count where status == 0 {
      // Safe: as many children were made above.
      status = columns[index].finish(rows: length, in: array.pointee.children[index]!)
    }
    if status == 0, isExhausted { status = ENOMEM }
    if status != 0 { array.pointee.release(array) }
    return status
  }

  // MARK: Fields

  public mutating func skip(columns skipped: Int) {
    next = min(next &+ min(max(skipped, 0), count), count)
  }

  /// The element's column; nil when it has none.
  @inline(__always)
  private mutating func column(_ element: InformationElement) -> UnsafeMutablePointer<ArrowColumn>? {
    let code = element.code
    var index = next
    while index < count, columns[index].code != code { index &+= 1 }
    guard index < count else {
      misplaced &+= 1
      return nil
    }
    next = index &+ 1
    return columns + index
  }

  /// The element's column; nil when it has none whose values lie like that.
  @inline(__always)
  private mutating func column(_ element: InformationElement, _ kind: ArrowColumn.Kind)
    -> UnsafeMutablePointer<ArrowColumn>?
  {
    guard let column = column(element) else { return nil }
    if column.pointee.kind == kind { return column }
    misplaced &+= 1
    return nil
  }

  @inline(__always)
  private mutating func note(_ isDone: Bool) { if !isDone { isExhausted = true } }

  @inline(__always)
  private mutating func noteLength(_ column: UnsafeMutablePointer<ArrowColumn>) {
    if column.pointee.length > Self.longest { isLong = true }
  }

  public mutating func number(_ element: InformationElement, _ value: UInt64) {
    guard let column = column(element, .fixed) else { return }
    note(column.pointee.set(rows, value))
  }

  public mutating func float32(_ element: InformationElement, _ value: Float) {
    guard let column = column(element, .fixed) else { return }
    note(column.pointee.set(rows, UInt64(value.bitPattern)))
  }

  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    span.note(element, nanoseconds)
    guard let column = column(element, .fixed) else { return }
    note(column.pointee.set(rows, nanoseconds))
  }

  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    self.address(element, high: 0, low: UInt64(address), width: 4) { $0.append(version4: address) }
  }

  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    self.address(element, high: high, low: low, width: 16) { $0.append(version6High: high, low: low) }
  }

  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    self.address(element, high: 0, low: address, width: 6) { $0.append(mac: address) }
  }

  /// Puts an address into its column, as octets or as text.
  @inline(__always)
  private mutating func address(
    _ element: InformationElement, high: UInt64, low: UInt64, width: Int,
    text: (inout OutputBuffer) -> Void
  ) {
    guard let column = column(element) else { return }
    switch column.pointee.type {
    case .fixedBinary: note(column.pointee.set(rows, octetsOf: high, low))
    case .binary:
      let row = rows
      note(OctetPair(high, low).withLast(width) { column.pointee.set(row, octets: $0) })
      noteLength(column)
    case .text:
      scratch.removeAll()
      text(&scratch)
      note(column.pointee.set(rows, octets: scratch.bytes))
      noteLength(column)
    default: misplaced &+= 1
    }
  }

  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    let isDigest = CSVNames.isDigest(element)
    guard let column = column(element, isDigest ? .names : .octets) else { return }
    if isDigest {
      scratch.removeAll()
      bytes.withUnsafeBytes { scratch.append(plainHexadecimal: $0) }
      note(column.pointee.set(rows, name: scratch.bytes))
    } else {
      note(bytes.withUnsafeBytes { column.pointee.set(rows, octets: $0) })
    }
    noteLength(column)
  }

  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    guard let column = column(element, .names) else { return }
    let row = rows
    let isDone = bytes.withUnsafeBytes { text in
      // Nothing but the padding that a string has on the wire (JA4 without a ClientHello).
      text.allSatisfy { $0 == 0 } && !text.isEmpty
        || repaired(text) { column.pointee.set(row, name: $0) }
    }
    note(isDone)
    noteLength(column)
  }

  /// Calls `body` with the text in valid UTF-8: what is none has become U+FFFD.
  @inline(__always)
  private mutating func repaired<Result>(
    _ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    if text.allSatisfy({ $0 < 0x80 }) { return body(text) }
    scratch.removeAll()
    scratch.append(validText: text)
    return body(scratch.bytes)
  }

  public mutating func numbers(
    _ element: InformationElement, count: Int, isSigned: Bool, _ entry: (_ index: Int) -> UInt64
  ) {
    guard let column = column(element, .list) else { return }
    note(column.pointee.set(rows, count: count, entry))
    noteLength(column)
  }

  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    numbers(element, count: count, isSigned: false, entry)
  }
}
