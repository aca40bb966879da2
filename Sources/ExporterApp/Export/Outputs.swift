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
    var lossReason = ""
    /// Nobody uses the output any more.
    private let closed = Atomic<Bool>(false)

    init(_ planned: OutputPlan.Entry, _ output: any Output) {
      name = planned.argument
      url = planned.url
      self.output = output
      published = .allocate(capacity: 1)
      published.initialize(to: OutputCounters())
      complaint = Complaint(name: name)
    }

    deinit { published.deallocate() }

    /// Whether the thread that closed the output has done with it; what it left is to be seen then.
    var isClosed: Bool { closed.load(ordering: .acquiring) }

    /// The last word of the thread that closed the output.
    func noteClosed() { closed.store(true, ordering: .releasing) }
  }

  private(set) var entries: [Entry] = []
  /// What other threads know of the entries.
  let roster: Mutex<OutputRoster>
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
      logger.warning("no --export: flows are counted but go nowhere (as --export udp://collector:4739)")
    }
    if exporter == 0, let spool = settings.spool { Self.warn(about: spool, plan) }
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
      logger.info("\(entry.name): \(change)")
    }
    guard mode == .failover, choice.first != before else { return }
    if let entry = entries.first(where: { $0.place == choice.first }) {
      logger.info("\(entry.name): gets the records from now on")
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

  /// Puts the outputs' counters where the control lcore reads them; says where records were lost since the last look.
  func publish(says: Bool) {
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
      outputs: roster.withLock(\.published).map {
        CounterSnapshot.OutputEntry(name: $0.name, counters: $0.counters)
      })
  }
}
