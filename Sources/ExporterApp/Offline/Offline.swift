// Captures instead of ports: the same engine and exporters on one thread, the packets' times for a clock, no EAL.
import Captures
import FlowCore
import Glibc
import Synchronization

/// Set by SIGINT and SIGTERM: the capture ends here.
private let interrupted = Atomic<Bool>(false)

/// The program on captures.
enum Offline {
  /// Reads the captures in order and exports every flow, also of those that turn out damaged.
  ///
  /// - Throws: the last capture that could not be read to its end, the ones before it were reported; else records that
  ///   were lost on the way out.
  static func run(_ configuration: RunConfiguration) throws(Failure) {
    handleSignals()
    let schema = try BuiltInSchema(configuration)
    try schema.loadModels(configuration)
    let databases = try AddressDatabases(configuration)
    // All captures together are port 0 to collectors; in records each has the number of its place.
    let interface = captureInterface(configuration)
    _ = try schema.numberInterfaces([interface], configuration.ingressInterfaces)
    for place in configuration.captures.indices {
      schema.setInterface(schema.interface(ofPort: 0), ofPort: UInt16(truncatingIfNeeded: place))
      schema.setInterfaceName(interface.name, ofPort: UInt16(truncatingIfNeeded: place))
    }
    try CrashReport.prepare(directory: configuration.crashFolder, plugins: schema.pluginNames)
    CrashReport.lcore(0, "offline")
    let privileges = try Privileges(configuration, startsPrograms: schema.hostQuestion != nil)
    Drain.configure(nanoseconds: configuration.drainTimeout.nanoseconds)
    let plan = try OutputPlan(configuration.exports, fallback: "text:-", inputs: configuration.captures)
    if configuration.exportLcores > 1 {
      logger.warning("captures are read by one thread: --export-lcores is for live runs, and not used")
    }
    if configuration.metrics != nil { logger.warning("--metrics is for live runs, and not used") }
    try checkCaptures(configuration)
    let worker = try FlowWorker(
      configuration, schema: schema, number: 0, recordsUnderWay: nil, memory: PlainMemory())
    try worker.makeSlab(configuration.metering, schema: schema, live: false, memory: PlainMemory())
    let metering = OfflineMetering(worker: worker)
    let description = ExportDescription(
      configuration, schema: schema, process: 1, ports: [interface],
      selection: SelectionStatement(configuration)
    ) { metering.snapshot }
    // Last, when nothing else can fail: until here no file was touched.
    let outputs = try Outputs(
      plan, exporter: 0, configuration, schema: schema, description: description, databases: databases,
      live: false)
    outputs.lookAround()
    if let question = schema.hostQuestion {
      HostQuery(question, configuration)?.askOnce(until: interrupted)
    }
    try privileges.drop()
    privileges.warn(plan.folders + configuration.folders)
    var reader = OfflineReader(
      metering, outputs: outputs, databases: databases, configuration,
      progress: ReadingProgress(configuration, exports: plan.entries))
    var failures: [Failure] = []
    for (place, path) in configuration.captures.enumerated() where !interrupted.load(ordering: .relaxed) {
      do {
        worker.port = UInt16(truncatingIfNeeded: place)
        try reader.read(Capture(path), until: interrupted)
      } catch {
        failures.append(error)
      }
    }
    reader.finish()
    reader.sayEnd(plan.entries.map(\.argument))
    for warning in CounterReport.warnings(reader.snapshot) { logger.warning("\(warning)") }
    if let lost = Outputs.outcome(of: [outputs], before: 0) { failures.append(lost) }
    guard let last = failures.popLast() else { return }
    for failure in failures { logger.error("\(failure.description)") }
    throw last
  }

  /// What collectors are told of the captures, which are one port.
  private static func captureInterface(_ configuration: RunConfiguration) -> PortInterface {
    let names = configuration.captures.map { $0 == "-" ? "standard input" : Self.lastComponent(of: $0) }
    return PortInterface(port: 0, index: 0, name: "pcap", description: names.joined(separator: ", "))
  }

  private static func lastComponent(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// Looks whether at least one of the captures can be read; pipes and standard input are believed.
  ///
  /// - Throws: the last one's trouble, when there is none.
  private static func checkCaptures(_ configuration: RunConfiguration) throws(Failure) {
    var failures: [Failure] = []
    for path in configuration.captures {
      var status = stat()
      if path == "-" || stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO { return }
      do {
        let capture = try Capture(path)
        if let expression = configuration.filter { _ = try capture.compile(expression) }
        return
      } catch {
        failures.append(error)
      }
    }
    guard let last = failures.popLast() else { return }
    for failure in failures { logger.error("\(failure.description)") }
    // A filter that is refused is a mistake on the command line, and no run.
    if configuration.stats != nil, last.status != Failure.usageStatus {
      var nothing = CounterSnapshot()
      nothing.workers = [.init(lcore: 0)]
      configuration.offlineReport.sayTotals(nothing)
    }
    throw last
  }

  /// The first SIGINT or SIGTERM ends reading, the second one the process. SIGHUP and SIGUSR1 are heeded with the next
  /// packets.
  private static func handleSignals() {
    var ending = sigaction()
    ending.__sigaction_handler.sa_handler = { _ in
      if interrupted.exchange(true, ordering: .relaxed) { _exit(Failure.generalStatus) }
      Drain.begin()
      alarm(1)
    }
    // Without SA_RESTART, so that a read from a pipe returns.
    sigaction(SIGINT, &ending, nil)
    sigaction(SIGTERM, &ending, nil)
    // A read that began right after the signal is interrupted by the next alarm. Outputs keep to the time themselves; what
    // they cannot bound ends here.
    var reminder = sigaction()
    reminder.__sigaction_handler.sa_handler = { _ in
      if Clock.monotonic() >= Drain.deadline &+ 2_000_000_000 {
        let text: StaticString = "martlet: the end took longer than --drain-timeout: what was left is lost\n"
        write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
        _exit(Failure.lostStatus)
      }
      alarm(1)
    }
    sigaction(SIGALRM, &reminder, nil)
    var request = sigaction()
    request.sa_flags = SA_RESTART
    request.__sigaction_handler.sa_handler = { _ in Requests.reopenings.wrappingAdd(1, ordering: .relaxed) }
    sigaction(SIGHUP, &request, nil)
    request.__sigaction_handler.sa_handler = { _ in Requests.report.store(true, ordering: .relaxed) }
    sigaction(SIGUSR1, &request, nil)
  }
}

extension RunConfiguration {
  /// How counters are shown offline.
  fileprivate var offlineReport: StatsReport {
    StatsReport(format: statsFormat ?? .usual, flowsPerWorker: metering.flowLimit(live: false))
  }
}

/// The one engine and what is counted around it, at an address that stays.
struct OfflineMetering {
  let worker: FlowWorker
  let counters: UnsafeMutablePointer<LcoreCounters>

  init(worker: FlowWorker) {
    self.worker = worker
    counters = .allocate(capacity: 1)
    counters.initialize(to: LcoreCounters())
  }

  /// All counters but those of the outputs, the captures in the place of an lcore and its queue.
  var snapshot: CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = [.init(lcore: 0, loop: counters.pointee, engine: worker.counters)]
    snapshot.queues = [.init(port: 0, queue: 0, received: counters.pointee.received)]
    snapshot.plugins = worker.pluginNames
    return snapshot
  }
}

/// Feeds captures to one engine.
struct OfflineReader: ~Copyable {
  private let metering: OfflineMetering
  private let outputs: Outputs
  private let databases: AddressDatabases?
  /// The requests to read them again that were heeded.
  private var reloads: UInt64 = 0
  /// Which packets are looked at; each capture has it compiled for its link type.
  private let filter: String?
  private var burst = CaptureBurst()
  private let interval: UInt64?
  /// Whether counters are wanted.
  private let isTold: Bool
  private let report: StatsReport
  private var progress: ReadingProgress
  private let start = Clock.thread()
  private let startTime = Clock.monotonic()
  private var lastLine: (time: UInt64, counters: CounterSnapshot)

  private var worker: FlowWorker { metering.worker }
  private var counters: UnsafeMutablePointer<LcoreCounters> { metering.counters }

  init(
    _ metering: OfflineMetering, outputs: Outputs, databases: AddressDatabases?,
    _ configuration: RunConfiguration,
    progress: ReadingProgress
  ) {
    self.metering = metering
    self.databases = databases
    filter = configuration.filter
    self.outputs = outputs
    self.progress = progress
    interval = configuration.stats.flatMap { $0.nanoseconds == 0 ? nil : $0.nanoseconds }
    isTold = configuration.stats != nil
    report = configuration.offlineReport
    lastLine = (Clock.monotonic(), CounterSnapshot())
  }

  /// Processes a capture up to its end or its damage.
  ///
  /// - Throws: the damage, after everything before it was processed.
  mutating func read(_ capture: consuming Capture, until stop: borrowing Atomic<Bool>) throws(Failure) {
    var program: FilterProgram?
    if let filter { program = try capture.compile(filter) }
    worker.linkType = capture.linkType
    CrashReport.linkType(capture.linkTypeNumber)
    let before = counters.pointee.received
    progress.begin(capture)
    defer { process() }
    while !stop.load(ordering: .relaxed) {
      var leftOut = CaptureBurst.LeftOut()
      let filling = burst.fill(from: capture, through: program, leftOut: &leftOut)
      count(leftOut)
      progress.took(captured: leftOut.captured)
      switch filling {
      case .more:
        guard burst.isFull else { continue }
        process()
        progress.look(at: capture)
      case .end: return
      case .damaged(let reason):
        // A read that a signal interrupted is an end, not damage.
        if stop.load(ordering: .relaxed) { return }
        throw .general(
          capture.damage(reason, after: counters.pointee.received + UInt64(burst.count) - before)
            + "; what was before it is exported")
      }
    }
  }

  /// Counts packets that the filter does not let through.
  private func count(_ leftOut: CaptureBurst.LeftOut) {
    counters.pointee.received &+= leftOut.packets
    counters.pointee.bytes &+= leftOut.octets
    counters.pointee.filtered &+= leftOut.packets
    counters.pointee.filteredBytes &+= leftOut.octets
  }

  /// Exports the flows that are left and closes the outputs.
  mutating func finish() {
    progress.end()
    var more = true
    while more {
      more = worker.flushInOrder()
      handOver()
    }
    outputs.finish()
    counters.pointee.nanoseconds = Clock.thread() &- start
  }

  /// Prints the tables of all counters.
  func printTotals() { report.sayTotals(snapshot) }

  /// Says what became of the captures where somebody looks on, and with --stats, which has all counters with it.
  func sayEnd(_ exports: [String]) {
    let seconds = Double(Clock.monotonic() &- startTime) / 1e9
    let summary = OfflineSummary(snapshot, seconds: seconds, exports: exports).text
    if isTold {
      report.sayTotals(snapshot, summary: summary)
    } else if isatty(STDERR_FILENO) == 1 {
      logger.info("\(summary)")
    }
  }

  /// All counters, the capture in the place of an lcore.
  var snapshot: CounterSnapshot {
    var snapshot = metering.snapshot
    snapshot.exporters = [outputs.counters(lcore: 0)]
    return snapshot
  }

  private mutating func process() {
    guard burst.count > 0 else { return }
    counters.pointee.received += UInt64(burst.count)
    counters.pointee.bytes += burst.wireBytes
    worker.process(burst.frames, count: burst.count, times: burst.times)
    handOver()
    let asked = Requests.reopenings.load(ordering: .relaxed)
    if asked != reloads {
      reloads = asked
      databases?.reload()
    }
    outputs.tick()
    burst.removeAll()
    if let interval { printLine(every: interval) }
    if Requests.report.exchange(false, ordering: .relaxed) { printTotals() }
  }

  /// Finished records go straight to the exporter and back.
  private func handOver() {
    let finished = worker.finished
    guard finished > 0 else { return }
    outputs.export(worker.outbox, count: finished)
    worker.recycle(worker.outbox, count: finished)
  }

  private mutating func printLine(every interval: UInt64) {
    let time = Clock.monotonic()
    guard time &- lastLine.time >= interval, time > lastLine.time else { return }
    let counters = snapshot
    let seconds = Double(time - lastLine.time) / 1e9
    report.say(counters, previous: lastLine.counters, seconds: seconds)
    lastLine = (time, counters)
  }
}
