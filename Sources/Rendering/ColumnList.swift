// Tables need all columns before the first record; this writer finds them by listening to sample records.
import IPFIX

/// The columns of a table, found in records' fields; values are ignored.
///
/// Let a record with every plugin write into it. Within one block (the basic fields, or one plugin's fields) further
/// samples may be written after `restartBlock()`, for example the IPv4 form after the IPv6 form: fields already known are
/// passed over, new ones are inserted where they stand. `endBlock()` starts the next block, which may repeat elements.
public struct ColumnList: ValueListener {
  /// The columns in order.
  public private(set) var columns: [TableColumn] = []
  private var blockStart = 0
  private var cursor = 0

  /// No columns.
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

  public mutating func field(_ column: TableColumn) {
    let code = column.element.code
    if let known = columns[blockStart...].firstIndex(where: { $0.element.code == code }) {
      cursor = known + 1
    } else {
      columns.insert(column, at: cursor)
      cursor += 1
    }
  }
}
