// All outputs of a run: each `--export` gets every record, through the schema's code for its kind.
import CIntrinsics
import FlowCore
import Glibc
import IPFIX
import Rendering
import Synchronization
import Wire

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
    /// Its place among the collectors, where each gets a part; nil for what gets all.
    let place: Int?
    var complaint: Complaint
    /// The trouble in which records were lost last, which may be over; empty when none is known.
    var lossReason = ""

    init(_ name: String, _ output: any Output, place: Int?) {
      self.name = name
      self.place = place
      self.output = output
      published = .allocate(capacity: 1)
      published.initialize(to: OutputCounters())
      complaint = Complaint(name: name)
    }
  }

  private let entries: [Entry]
  private let mode: ExportMode
  /// Which of the collectors gets a flow, where not all get all.
  private var choice: CollectorChoice
  /// Those of a burst's records that one collector gets.
  private let share: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  /// Records that are shared out at once.
  private static let burst = 64
  /// Records handed over, once each.
  private let handedOver: UnsafeMutablePointer<UInt64>
  private var lastTick: UInt64 = 0
  /// The requests to reopen files that were heeded.
  private var reopenings: UInt64 = 0
  private let faults = ParserFaults()
  private let schema: BuiltInSchema
  /// Replaces the addresses in records; nil where they stay.
  private let anonymiser: Anonymiser?
  /// Knows addresses; nil where nobody does.
  private let enricher: Enricher?

  /// Nanoseconds from one look at the outputs to the next.
  private static let interval: UInt64 = 5_000_000

  /// Opens every output of the plan.
  ///
  /// - Parameters:
  ///   - exporter: the number of the export lcore, from 0; each has an observation domain and spools of its own.
  ///   - description: what IPFIX outputs say of themselves.
  ///   - databases: what knows addresses, if anything does.
  ///   - live: whether an output that cannot keep up loses records (live) or holds up the reading (offline).
  /// - Throws: a file or a spool that cannot be made.
  init(
    _ plan: OutputPlan, exporter: Int, _ settings: RunConfiguration, schema: BuiltInSchema,
    description: ExportDescription, databases: AddressDatabases? = nil, live: Bool
  ) throws(Failure) {
    var settings = settings
    settings.observationDomain &+= UInt32(exporter)
    let shared = settings.exportMode == .mirror ? 0 : plan.entries.count { $0.url.isCollector }
    guard shared <= CollectorChoice.mostCollectors else {
      throw .usage(
        "--export-mode \(settings.exportMode) is for at most \(CollectorChoice.mostCollectors) collectors, not \(shared)"
      )
    }
    var entries: [Entry] = []
    var collectors: [String] = []
    for index in plan.entries.indices where plan.entries[index].serves(exporter) {
      let planned = plan.entries[index]
      do {
        let output = try Self.open(
          planned.url, others: plan.otherFiles(than: index), settings, schema: schema,
          description: description, live: live, number: exporter)
        let isShared = settings.exportMode != .mirror && planned.url.isCollector
        entries.append(Entry(planned.argument, output, place: isShared ? collectors.count : nil))
        if isShared { collectors.append(planned.argument) }
      } catch {
        for entry in entries { entry.output.close() }
        throw .general(error.description)
      }
    }
    self.entries = entries
    self.schema = schema
    anonymiser = schema.masking.flatMap {
      Anonymiser($0, zeroesMAC: settings.anonymisation?.zeroesMAC ?? true)
    }
    guard (anonymiser == nil) == (schema.masking == nil) else {
      throw .general("libcrypto has no AES-128, which --anonymise needs: look at openssl.cnf")
    }
    enricher = databases.map(Enricher.init)
    mode = settings.exportMode
    choice = CollectorChoice(names: collectors)
    share = .allocate(capacity: Self.burst)
    share.initialize(repeating: nil, count: Self.burst)
    handedOver = .allocate(capacity: 1)
    handedOver.initialize(to: 0)
    if entries.isEmpty {
      Console.warning("no --export: flows are counted but go nowhere (as --export udp://collector:4739)")
    }
    if exporter == 0, let spool = settings.spool { Self.warn(about: spool, plan) }
  }

  /// Says what --spool does not do for these exports.
  private static func warn(about spool: SpoolSettings, _ plan: OutputPlan) {
    let names = plan.entries.compactMap { $0.url.spoolName(0) }
    if names.isEmpty {
      Console.warning("--spool is for tcp:// and tls:// exports, of which there is none: it keeps nothing")
    }
    for waiting in SpoolDirectory.waiting(in: spool.directory)
    where !names.contains(where: { waiting == $0 || waiting.hasPrefix($0 + "_") }) {
      Console.warning(
        "\(spool.directory)/\(waiting) has records for a collector that no --export names: they stay there")
    }
  }

  private static func open(
    _ url: ExportURL, others: [FileIdentity], _ settings: RunConfiguration, schema: BuiltInSchema,
    description: ExportDescription, live: Bool, number: Int
  ) throws(ExportError) -> any Output {
    // A spool numbers records of several runs anew, and knows those of flows only.
    let isSpooled = settings.spool != nil && url.spoolName(number) != nil
    let describesItself = url.describesItself && !isSpooled
    let description = describesItself ? description : nil
    var configuration = MessageStream.Configuration()
    configuration.observationDomain = settings.observationDomain
    configuration.maximumLength = settings.largestMessage
    configuration.martletEnterpriseNumber = settings.ownEnterpriseNumber
    configuration.flowKeys = describesItself ? BuiltInSchema.flowKeys : []
    let policy: OverloadPolicy = live ? .drop : .wait(seconds: 30)
    // A disk that is full offline is waited for as long as the end may take, too.
    let filePolicy: OverloadPolicy = live ? .drop : .wait(seconds: settings.drainTimeout.seconds)
    func file(_ path: String?, heading: SharedBytes = SharedBytes()) throws(ExportError) -> FileWriter {
      try FileWriter(path: path, policy: filePolicy, others: others, options: url.file, heading: heading)
    }
    func session(_ connection: any ByteConnection, name: String) throws(ExportError) -> any MessageTransport {
      guard let spool = settings.spool, let directory = url.spoolName(number) else {
        return TCPTransport(connection, name: name, policy: policy)
      }
      return SpoolTransport(
        connection, name: name, spool: try Spool(spool, name: directory), policy: policy)
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
      let tcp = TCPConnection(host: host, port: port, options: url.socket)
      let connection: any ByteConnection = url.compression == .lz4 ? LZ4Connection(tcp) : tcp
      return IPFIXOutput(
        configuration, schema: schema,
        transport: try session(connection, name: "tcp://\(host):\(port)"), description: description)
    case .tls(let host, let port):
      let connection = try TLSConnection(host: host, port: port, options: url.socket, settings: url.tls)
      return IPFIXOutput(
        configuration, schema: schema,
        transport: try session(connection, name: "tls://\(host):\(port)"), description: description)
    case .kafka(let target):
      return KafkaOutput(try KafkaSession(target, policy: policy), schema: schema)
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
      let file = try file(path, heading: SharedBytes(copying: writer.output.contents))
      return LineOutput(writer, file: file, schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.text, let path):
      let writer = TextRecordWriter()
      let file = try file(path, heading: SharedBytes(copying: writer.output.contents))
      return LineOutput(writer, file: file, schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    }
  }

  /// Takes `count` finished records; they are the caller's again when this returns.
  func export(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    faults.countHere()
    // Before they are replaced: only the true addresses are known.
    if let enricher { schema.enrich(records, count: count, from: enricher.cache) }
    if let anonymiser { schema.anonymise(records, count: count, by: anonymiser) }
    for entry in entries where entry.place == nil || mode == .failover && entry.place == choice.first {
      entry.output.append(records, count: count)
    }
    if mode == .distribute { distribute(records, count: count) }
    martlet_trace_record(nil)
    handedOver.pointee &+= schema.recordCount(records, count: count)
  }

  /// Gives each collector the records of its flows.
  private func distribute(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    var start = 0
    while start < count {
      let length = min(count &- start, Self.burst)
      var places = InlineArray<64, Int>(repeating: -1)
      var index = 0
      while index < length {
        // Safe: the caller has `count` records.
        if let record = records[start &+ index] {
          places[total: index] = choice.collector(of: schema.flowIdentifier(record))
        }
        index &+= 1
      }
      for entry in entries { give(entry, records + start, places, count: length) }
      start &+= length
    }
  }

  /// Gives one collector those of at most a burst of records whose places are its own.
  @inline(never)
  private func give(
    _ entry: Entry, _ records: UnsafePointer<UnsafeMutableRawPointer?>, _ places: InlineArray<64, Int>,
    count: Int
  ) {
    guard let place = entry.place else { return }
    var taken = 0
    var index = 0
    while index < count {
      // Safe: the caller has `count` records, there is room for a burst, and no more are taken than are there.
      if places[total: index] == place {
        share[taken] = records[index]
        taken &+= 1
      }
      index &+= 1
    }
    if taken > 0 { entry.output.append(share, count: taken) }
  }

  /// Looks which collectors can be reached, where it matters, and says who gets the records now.
  private func lookForCollectors() {
    guard mode != .mirror else { return }
    let before = choice.first
    for entry in entries {
      let isThere = entry.output.reachability != .unreachable
      guard let place = entry.place, choice.note(place, isReachable: isThere), mode == .distribute else {
        continue
      }
      let change = isThere ? "gets its share of the flows again" : "its share of the flows goes to others"
      Console.line("\(entry.name): \(change)")
    }
    guard mode == .failover, choice.first != before else { return }
    if let entry = entries.first(where: { $0.place == choice.first }) {
      Console.line("\(entry.name): gets the records from now on")
    }
  }

  /// Time passes: sends what waited too long, reconnects, refreshes templates, reopens files after a SIGHUP. Called at
  /// least every few milliseconds live, and once a burst offline.
  func tick() {
    // Heeded at once: offline the next call may be long in coming.
    let asked = Requests.reopenings.load(ordering: .relaxed)
    if asked != reopenings {
      reopenings = asked
      for entry in entries { entry.output.reopen() }
    }
    let moment = Moment.current
    // Outputs want to be asked every few milliseconds; the loop comes by far more often.
    guard moment.monotonic &- lastTick >= Self.interval else { return }
    lastTick = moment.monotonic
    enricher?.tick()
    for entry in entries { entry.output.tick(now: moment) }
    lookForCollectors()
    publish(says: true)
  }

  /// Before the first record: waits a moment until it is known which collectors can be reached, where it matters, because a
  /// capture may be read before that is found out.
  func lookAround() {
    guard mode != .mirror else { return }
    let end = Clock.monotonic() &+ 2_000_000_000
    repeat {
      lastTick = 0
      tick()
      guard hasUnknownCollector else { return }
      usleep(1000)
    } while Clock.monotonic() < end && !Drain.isOver
  }

  @inline(never)
  private var hasUnknownCollector: Bool {
    var isUnknown = false
    for entry in entries where entry.place != nil && entry.output.reachability == .unknown {
      isUnknown = true
    }
    return isUnknown
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
      counters: ExporterCounters(
        records: handedOver.pointee, lookups: enricher?.counters.pointee ?? LookupCounters(),
        parserFaults: faults.counts),
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

extension ExportURL {
  /// The name of the collector's directory in --spool's; nil for what is not spooled.
  ///
  /// - Parameter number: which export lcore's, from 0.
  fileprivate func spoolName(_ number: Int) -> String? {
    let lcore = number > 0 ? [String(number)] : []
    switch destination {
    case .tcp(let host, let port): return SpoolDirectory.name(["tcp", host, String(port)] + lcore)
    case .tls(let host, let port): return SpoolDirectory.name(["tls", host, String(port)] + lcore)
    default: return nil
    }
  }
}
