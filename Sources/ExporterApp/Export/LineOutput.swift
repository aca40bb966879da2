// Outputs for people and data frames: JSON, CSV and the table, as lines that go to a file.
import FlowCore
import IPFIX
import Rendering
import Wire

/// Exports records as lines of text.
final class LineOutput<Writer: LineWriter & ~Copyable>: Output {
  private var writer: Writer
  private let file: FileWriter
  private let schema: BuiltInSchema
  private let render: (BuiltInSchema, UnsafeMutableRawPointer, _ isReverse: Bool, inout Writer) -> Void
  private var records: UInt64 = 0
  /// Records whose lines are in the buffer.
  private var buffered = 0
  /// The lines that every new file begins with.
  private let header: SharedBytes
  /// A write takes at least so many octets, unless time is up.
  private static var threshold: Int { 1 << 16 }

  /// An output into an opened file; `writer` may have a heading in its buffer.
  init(
    _ writer: consuming Writer, file: FileWriter, schema: BuiltInSchema,
    render: @escaping (BuiltInSchema, UnsafeMutableRawPointer, _ isReverse: Bool, inout Writer) -> Void
  ) {
    var writer = writer
    header = SharedBytes(copying: writer.output.contents)
    writer.output.removeAll()
    self.writer = writer
    self.file = file
    self.schema = schema
    self.render = render
    // An export without records has its heading, too.
    file.push(SharedBytes(), header: header, records: 0)
  }

  func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    var index = 0
    while index < count {
      if let record = records[index] {
        append { render(schema, record, false, &$0) }
        if schema.hasReverseRecord(record) { append { render(schema, record, true, &$0) } }
      }
      index &+= 1
    }
  }

  /// Adds one record: `write` writes its fields.
  @inline(__always)
  func append(write: (inout Writer) -> Void) {
    writer.begin()
    write(&writer)
    writer.end()
    records &+= 1
    buffered &+= 1
    if writer.output.count >= Self.threshold { flush() }
  }

  @inline(never)
  private func flush() {
    guard writer.output.count > 0 else { return }
    file.push(SharedBytes(copying: writer.output.contents), header: header, records: buffered)
    buffered = 0
    writer.output.removeAll()
  }

  func tick(now: Moment) { flush() }

  func reopen() {
    flush()
    file.reopen()
    file.push(SharedBytes(), header: header, records: 0)
  }

  func close() {
    flush()
    file.close()
  }

  var failure: ExportError? { file.failure }
  var status: String { file.status }

  var counters: OutputCounters {
    var counters = file.counters
    counters.records = records
    counters.messages = 0
    return counters
  }
}
