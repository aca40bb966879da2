import IPFIX
// Exports for people and data frames: JSON, CSV and the table, into a file or standard output.
import Rendering

/// Exports records as lines of text.
final class LineExporter<Writer: LineWriter & ~Copyable>: RecordExporter {
  private(set) var failure: ExportError?
  private var writer: Writer
  private let output: FileOutput
  private var records: UInt64 = 0
  /// Records whose lines are in the buffer.
  private var buffered: UInt64 = 0
  private var sent: UInt64 = 0
  private var lost: UInt64 = 0
  private var errors: UInt64 = 0
  /// A write takes at least so many octets, unless time is up.
  private let threshold = 1 << 16

  /// An exporter into an opened file.
  init(_ writer: consuming Writer, output: FileOutput) {
    self.writer = writer
    self.output = output
  }

  /// Adds one record: `write` writes its fields.
  @inline(__always)
  func append(write: (inout Writer) -> Void) {
    writer.begin()
    write(&writer)
    writer.end()
    records += 1
    buffered += 1
    if writer.output.count >= threshold { flush() }
  }

  @inline(never)
  private func flush() {
    guard writer.output.count > 0 else { return }
    if failure == nil {
      do throws(ExportError) {
        try output.write(writer.output.bytes)
        sent += buffered
      } catch {
        fail(error)
        lost += buffered
      }
    } else {
      lost += buffered
    }
    buffered = 0
    writer.output.removeAll()
  }

  private func fail(_ error: ExportError) {
    failure = failure ?? error
    errors += 1
  }

  func tick(now: Moment) { flush() }

  func close() {
    flush()
    do throws(ExportError) { try output.close() } catch { fail(error) }
  }

  var status: String { failure?.description ?? "" }

  var counters: ExporterCounters {
    ExporterCounters(
      records: records, sentRecords: sent, lostRecords: lost, bytes: output.bytesWritten, errors: errors)
  }
}

/// One JSON object per line.
typealias JSONExporter = LineExporter<JSONRecordWriter>
/// Rows under a fixed header.
typealias CSVExporter = LineExporter<CSVRecordWriter>
/// An aligned table.
typealias TextExporter = LineExporter<TextRecordWriter>
