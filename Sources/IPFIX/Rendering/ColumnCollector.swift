// CSV needs all columns before the first record; this writer finds them by listening to sample records.

/// Collects the columns of a table from records' fields; values are ignored.
///
/// Let a record with every plugin write into it. Within one block (the basic fields, or one plugin's fields) further
/// samples may be written after `restartBlock()`, for example the IPv4 form after the IPv6 form: fields already known are
/// passed over, new ones are inserted where they stand. `endBlock()` starts the next block, which may repeat elements.
public struct ColumnCollector: FieldWriter {
  /// The columns in order.
  public private(set) var columns: [InformationElement] = []
  private var blockStart = 0
  private var cursor = 0

  /// An empty collector.
  public init() {}

  /// The columns of the current block so far.
  public var blockCount: Int { columns.count - blockStart }

  /// Goes back to the block's first column, to merge another sample into it.
  public mutating func restartBlock() { cursor = blockStart }

  /// Ends a block.
  public mutating func endBlock() {
    blockStart = columns.count
    cursor = blockStart
  }

  private mutating func add(_ element: InformationElement) {
    if let known = columns[blockStart...].firstIndex(where: { $0.code == element.code }) {
      cursor = known + 1
    } else {
      columns.insert(element, at: cursor)
      cursor += 1
    }
  }

  public mutating func unsigned8(_ element: InformationElement, _ value: UInt8) { add(element) }
  public mutating func unsigned16(_ element: InformationElement, _ value: UInt16) { add(element) }
  public mutating func unsigned32(_ element: InformationElement, _ value: UInt32) { add(element) }
  public mutating func unsigned64(_ element: InformationElement, _ value: UInt64) { add(element) }
  public mutating func float32(_ element: InformationElement, _ value: Float) { add(element) }
  public mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) { add(element) }
  public mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) { add(element) }
  public mutating func macAddress(_ element: InformationElement, _ address: UInt64) { add(element) }
  public mutating func time(_ element: InformationElement, nanoseconds: UInt64) { add(element) }
  public mutating func octets(_ element: InformationElement, _ bytes: RawSpan) { add(element) }
  public mutating func string(_ element: InformationElement, _ bytes: RawSpan) { add(element) }
  public mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) { add(element) }
  public mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) { add(element) }
}
