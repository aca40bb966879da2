import FlowCore
import IPFIX
// All outputs of a run: each `--export` gets every record, through the schema's code for its kind.
import Rendering

/// The exporters of the options, as one.
final class Exports: RecordExporting {
  private let schema: BuiltInSchema
  private var ipfix: [IPFIXExporter] = []
  private var json: [JSONExporter] = []
  private var csv: [CSVExporter] = []
  private var text: [TextExporter] = []
  private let storage: UnsafeMutablePointer<ExportCounters>
  private var lastTick: UInt64 = 0
  private let faults = ParserFaults()

  /// Opens every output.
  ///
  /// - Parameter live: whether an output that cannot keep up loses records (live) or holds up the reading (offline).
  /// - Throws: an URL that means nothing (usage), or a file that cannot be made.
  init(_ options: Options, schema: BuiltInSchema, live: Bool) throws(Failure) {
    self.schema = schema
    storage = .allocate(capacity: 1)
    storage.initialize(to: ExportCounters())
    if options.export.isEmpty, live {
      Console.warning("no --export: flows are counted but go nowhere (as --export udp://collector:4739)")
    }
    for argument in options.export.isEmpty && !live ? ["text:-"] : options.export {
      do {
        try open(ExportURL(parsing: argument), options, live: live)
      } catch let error as ExportURLError {
        throw .usage(error.description)
      } catch {
        throw .general("\(error)")
      }
    }
  }

  private func open(_ url: ExportURL, _ options: Options, live: Bool) throws {
    var configuration = MessageStream.Configuration()
    configuration.observationDomain = options.odid
    configuration.maximumLength = options.mtu
    configuration.martletEnterpriseNumber = options.privateEnterpriseNumber
    let policy: OverloadPolicy = live ? .drop : .wait(seconds: 30)
    switch url.destination {
    case .udp(let host, let port):
      configuration.largestLength = 65507
      configuration.padsMessages = live
      configuration.templateRefresh = UInt32(clamping: options.templateRefresh.nanoseconds / 1_000_000_000)
      ipfix.append(
        IPFIXExporter(configuration, transport: UDPTransport(host: host, port: port, policy: policy)))
    case .tcp(let host, let port):
      ipfix.append(
        IPFIXExporter(configuration, transport: TCPTransport(host: host, port: port, policy: policy)))
    case .file(.ipfix, let path):
      ipfix.append(IPFIXExporter(configuration, transport: FileTransport(try FileOutput(path: path))))
    case .file(.json, let path):
      json.append(JSONExporter(JSONRecordWriter(), output: try FileOutput(path: path)))
    case .file(.csv, let path):
      csv.append(CSVExporter(CSVRecordWriter(columns: schema.columns()), output: try FileOutput(path: path)))
    case .file(.text, let path):
      text.append(TextExporter(TextRecordWriter(), output: try FileOutput(path: path)))
    }
  }

  func export(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    faults.countHere()
    for exporter in ipfix {
      exporter.withStream { schema.append(records, count: count, to: &$0) }
    }
    guard !json.isEmpty || !csv.isEmpty || !text.isEmpty else {
      storage.pointee.records &+= UInt64(count)
      return
    }
    for index in 0..<count {
      guard let record = records[index] else { continue }
      for exporter in json { exporter.append { schema.render(record, into: &$0) } }
      for exporter in csv { exporter.append { schema.render(record, into: &$0) } }
      for exporter in text { exporter.append { schema.render(record, into: &$0) } }
    }
    storage.pointee.records &+= UInt64(count)
  }

  /// Every output.
  private var all: [any RecordExporter] {
    ipfix.map { $0 as any RecordExporter } + json.map { $0 } + csv.map { $0 } + text.map { $0 }
  }

  func tick(now: UInt64) {
    let moment = Moment.current
    // Outputs want to be asked every few milliseconds; the loop comes by far more often.
    guard moment.monotonic &- lastTick >= 5_000_000 else { return }
    lastTick = moment.monotonic
    for exporter in all { exporter.tick(now: moment) }
    collect()
  }

  func finish() {
    for exporter in all {
      exporter.close()
      let lost = exporter.counters.lostRecords
      guard lost > 0, exporter.failure == nil else { continue }
      let reason = exporter.status.isEmpty ? "it could not keep up" : exporter.status
      Console.warning("\(lost) records did not reach a collector (\(reason))")
    }
    collect()
  }

  /// Adds the outputs' counters up where the control lcore reads them.
  private func collect() {
    var sum = ExportCounters()
    sum.records = storage.pointee.records
    sum.parserFaults = faults.counts
    for exporter in all {
      let counters = exporter.counters
      sum.messages &+= counters.messages
      sum.bytes &+= counters.bytes
      sum.dropped &+= counters.lostRecords
      sum.oversize &+= counters.oversize
      sum.templates &+= counters.templates
    }
    storage.pointee = sum
  }

  var counters: UnsafePointer<ExportCounters> { UnsafePointer(storage) }

  var failure: String? {
    let failures = all.compactMap(\.failure)
    // A reader of a pipe that has seen enough (`martlet … | head`) is no failure.
    return failures.first { if case .readerGone = $0 { false } else { true } }?.description
  }
}
