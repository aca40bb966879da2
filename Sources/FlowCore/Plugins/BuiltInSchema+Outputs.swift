// The outputs' entries: for the built-in plugins, without generics, so that the fields' code is compiled here for each
// kind of output, and none is looked up while records are written.
import Arrow
import IPFIX
import Rendering

extension RecordSchema where Registry == BuiltInPlugins {
  /// Adds `count` records to a message stream.
  public func append(
    _ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int, to stream: inout MessageStream
  ) {
    appendAll(records, count: count, to: &stream)
  }

  /// Writes the record's fields as a JSON object. In the next three `isReverse` is true only for the reverse direction of
  /// a record that has one of its own (`hasReverseRecord`).
  public func render(
    _ record: UnsafeMutableRawPointer, isReverse: Bool = false, into writer: inout JSONRecordWriter
  ) {
    guard isUniflow else { return write(record, into: &writer) }
    writeUniflow(record, isReverse: isReverse, into: &writer)
  }

  /// Writes the record's fields as a line of text.
  public func render(
    _ record: UnsafeMutableRawPointer, isReverse: Bool = false, into writer: inout TextRecordWriter
  ) {
    guard isUniflow else { return write(record, into: &writer) }
    writeUniflow(record, isReverse: isReverse, into: &writer)
  }

  /// Writes the record's fields as a row of the table whose columns `columns()` gave.
  public func render(
    _ record: UnsafeMutableRawPointer, isReverse: Bool = false, into writer: inout CSVRecordWriter
  ) {
    writer.source = port(of: record)
    renderRow(record, isReverse: isReverse, into: &writer)
  }

  /// Writes the record's fields as a row of a record batch whose columns are those of `tableColumns()`.
  public func render(
    _ record: UnsafeMutableRawPointer, isReverse: Bool = false, into writer: inout ArrowRecordWriter
  ) {
    renderRow(record, isReverse: isReverse, into: &writer)
  }
}
