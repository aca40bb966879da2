// All outputs of a run: each `--export` gets every record, through the schema's code for its kind.
import CIntrinsics
import FlowCore
import IPFIX
import Rendering
import Synchronization

/// The outputs of an export lcore, as one. That lcore (offline: the only thread) uses them, always the same; the control lcore
/// reads the published counters.
final class Outputs {
  /// One output and what is said of it.
  private final class Entry {
    /// As the user wrote it.
    let name: String
    let output: any Output
    /// What it counted, at an address that stays, for the control lcore.
    let published: UnsafeMutablePointer<OutputCounters>
    var complaint: Complaint
    /// The trouble in which records were lost last, which may be over; empty when none is known.
    var lossReason = ""

    init(_ name: String, _ output: any Output) {
      self.name = name
      self.output = output
      published = .allocate(capacity: 1)
      published.initialize(to: OutputCounters())
      complaint = Complaint(name: name)
    }
  }

  private let entries: [Entry]
  /// Records handed over, once each.
  private let handedOver: UnsafeMutablePointer<UInt64>
  private var lastTick: UInt64 = 0
  /// The requests to reopen files that were heeded.
  private var reopenings: UInt64 = 0
  private let faults = ParserFaults()
  private let schema: BuiltInSchema

  /// Nanoseconds from one look at the outputs to the next.
  private static let interval: UInt64 = 5_000_000

  /// Opens every output of the plan.
  ///
  /// - Parameters:
  ///   - live: whether an output that cannot keep up loses records (live) or holds up the reading (offline).
  ///   - description: what IPFIX outputs say of themselves.
  /// - Throws: a file that cannot be made.
  init(
    _ plan: OutputPlan, _ settings: RunConfiguration, schema: BuiltInSchema, description: ExportDescription,
    live: Bool
  ) throws(Failure) {
    var entries: [Entry] = []
    for index in plan.entries.indices {
      do {
        let output = try Self.open(
          plan.entries[index].url, others: plan.otherFiles(than: index), settings, schema: schema,
          description: description, live: live)
        entries.append(Entry(plan.entries[index].argument, output))
      } catch {
        for entry in entries { entry.output.close() }
        throw .general(error.description)
      }
    }
    self.entries = entries
    self.schema = schema
    handedOver = .allocate(capacity: 1)
    handedOver.initialize(to: 0)
    if entries.isEmpty {
      Console.warning("no --export: flows are counted but go nowhere (as --export udp://collector:4739)")
    }
  }

  private static func open(
    _ url: ExportURL, others: [FileIdentity], _ settings: RunConfiguration, schema: BuiltInSchema,
    description: ExportDescription, live: Bool
  ) throws(ExportError) -> any Output {
    let description = url.describesItself ? description : nil
    var configuration = MessageStream.Configuration()
    configuration.observationDomain = settings.observationDomain
    configuration.maximumLength = settings.largestMessage
    configuration.martletEnterpriseNumber = settings.ownEnterpriseNumber
    configuration.flowKeys = url.describesItself ? BuiltInSchema.flowKeys : []
    let policy: OverloadPolicy = live ? .drop : .wait(seconds: 30)
    // A disk that is full offline is waited for as long as the end may take, too.
    let filePolicy: OverloadPolicy = live ? .drop : .wait(seconds: settings.drainTimeout.seconds)
    func file(_ path: String?) throws(ExportError) -> FileWriter {
      try FileWriter(path: path, policy: filePolicy, others: others)
    }
    switch url.destination {
    case .udp(let host, let port):
      configuration.largestLength = 65507
      configuration.padsMessages = url.padsMessages ?? live
      configuration.templateRefresh = UInt32(clamping: settings.templateRefresh.nanoseconds / 1_000_000_000)
      configuration.templateRefreshMessages =
        settings.templateRefreshMessages == 0 ? nil : UInt64(clamping: settings.templateRefreshMessages)
      return IPFIXOutput(
        configuration, schema: schema,
        transport: UDPTransport(host: host, port: port, socketOptions: url.socket, policy: policy),
        description: description)
    case .tcp(let host, let port):
      return IPFIXOutput(
        configuration, schema: schema,
        transport: TCPTransport(host: host, port: port, socketOptions: url.socket, policy: policy),
        description: description)
    case .file(.ipfix, let path):
      return IPFIXOutput(
        configuration, schema: schema, transport: FileTransport(try file(path)), description: description)
    case .file(.json, let path):
      return LineOutput(JSONRecordWriter(), file: try file(path), schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.csv, let path):
      let writer = CSVRecordWriter(
        columns: schema.columns(), escapesFormulas: settings.csvEscape == .formulas)
      return LineOutput(writer, file: try file(path), schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.text, let path):
      return LineOutput(TextRecordWriter(), file: try file(path), schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    }
  }

  /// Takes `count` finished records; they are the caller's again when this returns.
  func export(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    faults.countHere()
    for entry in entries { entry.output.append(records, count: count) }
    martlet_trace_record(nil)
    handedOver.pointee &+= schema.recordCount(records, count: count)
  }

  /// Time passes: sends what waited too long, reconnects, refreshes templates, reopens files after a SIGHUP. Called at
  /// least every few milliseconds live, and once a burst offline.
  func tick() {
    let moment = Moment.current
    // Outputs want to be asked every few milliseconds; the loop comes by far more often.
    guard moment.monotonic &- lastTick >= Self.interval else { return }
    lastTick = moment.monotonic
    let asked = Requests.reopenings.load(ordering: .relaxed)
    if asked != reopenings {
      reopenings = asked
      for entry in entries { entry.output.reopen() }
    }
    for entry in entries { entry.output.tick(now: moment) }
    publish(says: true)
  }

  /// Writes everything out and closes, within the bounds of `Drain`. Called once, last.
  func finish() {
    for entry in entries { entry.output.close() }
    publish(says: false)
  }

  /// Puts the outputs' counters where the control lcore reads them; says where records were lost since the last look.
  private func publish(says: Bool) {
    for entry in entries {
      let counters = entry.output.counters
      if counters.lostRecords > entry.published.pointee.lostRecords {
        entry.lossReason = entry.output.status
        let reason = entry.lossReason.isEmpty ? "it does not keep up" : entry.lossReason
        if says { entry.complaint.say("records are lost: \(reason)") }
      }
      entry.published.pointee = counters
    }
  }

  /// What the lcore that owns the outputs did, and each output as it was at the last look; any thread may ask.
  ///
  /// - Parameter lcore: the number of that lcore.
  func counters(lcore: UInt32) -> CounterSnapshot.ExporterEntry {
    CounterSnapshot.ExporterEntry(
      lcore: lcore,
      counters: ExporterCounters(records: handedOver.pointee, parserFaults: faults.counts),
      outputs: entries.map { CounterSnapshot.OutputEntry(name: $0.name, counters: $0.published.pointee) })
  }

  /// What is to be said at the end, asked after `finish`: records that were lost, or a file that could not be closed.
  ///
  /// - Parameters:
  ///   - all: the outputs of all export lcores.
  ///   - before: records that were lost on the way to the outputs.
  static func outcome(of all: [Outputs], before: UInt64) -> Failure? {
    var lost = before
    var reasons = before > 0 ? "\(before) between the lcores" : ""
    var failure: ExportError?
    for entry in all.flatMap(\.entries) {
      let count = entry.output.counters.lostRecords
      if count > 0 {
        lost &+= count
        let reason = entry.lossReason.isEmpty ? "it did not keep up" : entry.lossReason
        reasons += "\(reasons.isEmpty ? "" : ", ")\(count) at \(entry.name) (\(reason))"
      }
      // A reader that has seen enough (`martlet … | head`) is no failure.
      if case .readerGone = entry.output.failure { continue }
      failure = failure ?? entry.output.failure
    }
    if lost > 0 { return .lost("\(lost) records were lost on the way out: \(reasons)") }
    return failure.map { .general($0.description) }
  }
}
