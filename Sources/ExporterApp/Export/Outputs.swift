// All outputs of a run: each `--export` gets every record, through the schema's code for its kind.
import CIntrinsics
import FlowCore
import Glibc
import IPFIX
import Rendering
import Synchronization
import Wire

/// The outputs of an export lcore, as one. That lcore (offline: the only thread) uses them, always the same; the control lcore
/// reads the published counters, and may give it other outputs (`OutputChanges`).
final class Outputs {
  /// One output and what is said of it.
  ///
  /// Safe between threads: the lcore alone uses it until it lets go of it, then the thread that closes it; others read its name,
  /// its URL and the published counters.
  final class Entry: @unchecked Sendable {
    /// As the user wrote it.
    let name: String
    let url: ExportURL
    let output: any Output
    /// What it counted, at an address that stays, for the control lcore.
    let published: UnsafeMutablePointer<OutputCounters>
    /// Its place among the collectors, where each gets a part; nil for what gets all.
    fileprivate(set) var place: Int?
    /// The place that it gets when its lcore takes the list that it is in; under the roster's lock.
    var nextPlace: Int?
    fileprivate var complaint: Complaint
    /// The trouble in which records were lost last, which may be over; empty when none is known.
    fileprivate var lossReason = ""

    init(_ planned: OutputPlan.Entry, _ output: any Output) {
      name = planned.argument
      url = planned.url
      self.output = output
      published = .allocate(capacity: 1)
      published.initialize(to: OutputCounters())
      complaint = Complaint(name: name)
    }
  }

  private var entries: [Entry] = []
  /// What other threads know of the entries.
  let roster: Mutex<OutputRoster>
  /// How many of those that went are being closed.
  let closings = OutputClosings()
  /// How often the control lcore has given this lcore other entries, and how often it took them.
  let replacements = Atomic<UInt64>(0)
  let replacementsTaken = Atomic<UInt64>(0)
  let mode: ExportMode
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
  /// Opens an output of a plan that has it at `index`.
  let openOutput: (OutputPlan, _ index: Int) throws(ExportError) -> any Output
  /// The number of the export lcore, from 0.
  let number: Int
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
    try plan.checkCollectors(settings.exportMode)
    let opening = settings
    let open = { (plan: OutputPlan, index: Int) throws(ExportError) -> any Output in
      try Outputs.open(
        plan.entries[index].url, others: plan.otherFiles(than: index), opening, schema: schema,
        description: description, live: live, number: exporter)
    }
    let entries = try Self.entries(plan, number: exporter, keeping: [], open)
    self.entries = entries
    let first = OutputRoster(entries, settings.exportMode)
    for entry in entries { entry.place = entry.nextPlace }
    choice = first.choice
    roster = Mutex(first)
    openOutput = open
    number = exporter
    self.schema = schema
    anonymiser = schema.masking.flatMap {
      Anonymiser($0, zeroesMAC: settings.anonymisation?.zeroesMAC ?? true)
    }
    guard (anonymiser == nil) == (schema.masking == nil) else {
      throw .general("libcrypto has no AES-128, which --anonymise needs: look at openssl.cnf")
    }
    enricher = databases.map(Enricher.init)
    mode = settings.exportMode
    share = .allocate(capacity: Self.burst)
    share.initialize(repeating: nil, count: Self.burst)
    handedOver = .allocate(capacity: 1)
    handedOver.initialize(to: 0)
    if entries.isEmpty {
      Console.warning("no --export: flows are counted but go nowhere (as --export udp://collector:4739)")
    }
    if exporter == 0, let spool = settings.spool { Self.warn(about: spool, plan) }
  }

  /// The entries of a plan for one export lcore: those of `present` that are as the plan has them, and new ones.
  ///
  /// - Throws: an output that cannot be opened; then none is.
  static func entries(
    _ plan: OutputPlan, number: Int, keeping present: [Entry],
    _ open: (OutputPlan, Int) throws(ExportError) -> any Output
  ) throws(Failure) -> [Entry] {
    var entries: [Entry] = []
    var opened: [Entry] = []
    for index in plan.entries.indices where plan.entries[index].serves(number) {
      let planned = plan.entries[index]
      if let entry = present.first(where: { $0.url == planned.url }),
        !entries.contains(where: { $0 === entry })
      {
        entries.append(entry)
        continue
      }
      do {
        opened.append(Entry(planned, try open(plan, index)))
      } catch {
        for entry in opened { entry.output.close() }
        throw .general(error.description)
      }
      entries.append(opened[opened.count - 1])
    }
    return entries
  }

  /// Takes over what the control lcore has made of the entries; it makes the lists, too, so that nothing can fail here.
  @inline(never)
  private func takeReplacement() {
    let number = replacements.load(ordering: .acquiring)
    publish(says: true)
    roster.withLock { roster in
      entries = roster.current
      choice = roster.choice
      for entry in entries { entry.place = entry.nextPlace }
    }
    replacementsTaken.store(number, ordering: .releasing)
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
    func file(
      _ path: String?, heading: SharedBytes = SharedBytes(), hasQuotedCells: Bool = false
    ) throws(ExportError) -> FileWriter {
      try FileWriter(
        path: path, policy: filePolicy, others: others, options: url.file, heading: heading,
        hasQuotedCells: hasQuotedCells)
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
        columns: schema.columns(), names: settings.csvNames, sources: settings.captures,
        escapesFormulas: settings.csvEscape == .formulas)
      let heading = SharedBytes(copying: writer.output.contents)
      let file = try file(path, heading: heading, hasQuotedCells: true)
      return LineOutput(writer, file: file, schema: schema) {
        $0.render($1, isReverse: $2, into: &$3)
      }
    case .file(.text, let path):
      // A file may be read by a program.
      let writer = TextRecordWriter(isWide: settings.isWide || path != nil)
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
    if replacements.load(ordering: .relaxed) != replacementsTaken.load(ordering: .relaxed) {
      takeReplacement()
    }
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
  ///
  /// All outputs at the same time: one that is stuck must not take the others'.
  func finish() {
    let done = Semaphore()
    var underWay = 0
    for entry in entries.dropFirst() {
      let closing = Closing(output: entry.output)
      let name = entry.name
      let code = DetachedThread.start {
        CrashReport.thread("the end of \(name)")
        closing.output.close()
        done.signal()
      }
      if code == 0 { underWay &+= 1 } else { entry.output.close() }
    }
    entries.first?.output.close()
    while underWay > 0 {
      done.wait()
      underWay &-= 1
    }
    publish(says: false)
  }

  /// An output on its way to the thread that closes it.
  ///
  /// Safe between threads: who hands it over leaves it alone until the thread has said that it is done.
  private struct Closing: @unchecked Sendable {
    let output: any Output
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
      outputs: roster.withLock(\.all).map {
        CounterSnapshot.OutputEntry(name: $0.name, counters: $0.published.pointee)
      })
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
    for entry in all.flatMap({ $0.roster.withLock(\.all) }) {
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
