// Captures instead of ports: the same engine and exporters on one thread, the packets' times for a clock, no EAL.
import FlowCore
import Glibc
import Synchronization

/// Set by SIGINT and SIGTERM: the capture ends here.
private let interrupted = Atomic<Bool>(false)

/// The program on captures.
enum Offline {
  /// Reads the captures in order and exports every flow, also of those that turn out damaged.
  ///
  /// - Throws: the last capture that could not be read to its end; the ones before it were reported.
  static func run(_ options: Options) throws(Failure) {
    let schema = try RecordSchema(options)
    let exporter = try Exports(options, schema: schema, live: false)
    let worker = try FlowWorker(options, schema: schema, number: 0, live: false, memory: PlainMemory())
    try worker.makeSlab(options, schema: schema, live: false, memory: PlainMemory())
    handleSignals()
    var reader = OfflineReader(worker: worker, exporter: exporter, stats: options.stats)
    var failures: [Failure] = []
    for path in options.pcap where !interrupted.load(ordering: .relaxed) {
      do {
        try reader.read(Capture(path), until: interrupted)
      } catch {
        failures.append(error)
      }
    }
    reader.finish()
    if let failure = exporter.failure { failures.append(.general(failure)) }
    if options.stats != nil {
      Console.line("totals")
      Console.raw(CounterReport.totals(reader.snapshot))
    }
    for warning in CounterReport.warnings(reader.snapshot) { Console.warning(warning) }
    guard let last = failures.popLast() else { return }
    for failure in failures { Console.line(failure.description) }
    throw last
  }

  /// The first SIGINT or SIGTERM ends reading, the second one the process.
  private static func handleSignals() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      if interrupted.exchange(true, ordering: .relaxed) { _exit(Failure.generalStatus) }
    }
    // Without SA_RESTART, so that a read from a pipe returns.
    sigaction(SIGINT, &action, nil)
    sigaction(SIGTERM, &action, nil)
  }
}

/// Feeds captures to one engine.
struct OfflineReader: ~Copyable {
  private let worker: FlowWorker
  private let exporter: any RecordExporting
  private var burst = CaptureBurst()
  private var counters = LcoreCounters()
  /// The latest time of a packet.
  private var now: UInt64 = 0
  private let interval: UInt64?
  private let start = Clock.thread()
  private var lastLine: (time: UInt64, counters: CounterSnapshot)

  init(worker: FlowWorker, exporter: any RecordExporting, stats: Seconds?) {
    self.worker = worker
    self.exporter = exporter
    interval = stats.flatMap { $0.nanoseconds == 0 ? nil : $0.nanoseconds }
    lastLine = (Clock.monotonic(), CounterSnapshot())
  }

  /// Processes a capture up to its end or its damage.
  ///
  /// - Throws: the damage, after everything before it was processed.
  mutating func read(_ capture: consuming Capture, until stop: borrowing Atomic<Bool>) throws(Failure) {
    worker.linkType = capture.linkType
    let before = counters.received
    defer { process() }
    while !stop.load(ordering: .relaxed) {
      switch capture.next() {
      case .packet(let packet):
        burst.append(packet)
        if burst.isFull { process() }
      case .end: return
      case .damaged(let reason):
        // A read that a signal interrupted is an end, not damage.
        if stop.load(ordering: .relaxed) { return }
        throw .general(
          "\(capture.name) is damaged or cut after packet \(counters.received + UInt64(burst.count) - before): \(reason); "
            + "what was before it is exported")
      }
    }
  }

  /// Exports the flows that are left and closes the exporter.
  mutating func finish() {
    var more = true
    while more {
      more = worker.flushInOrder()
      handOver()
    }
    exporter.finish()
    counters.nanoseconds = Clock.thread() &- start
  }

  /// All counters, the capture in the place of an lcore.
  var snapshot: CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = [(0, counters, worker.counters)]
    snapshot.export = exporter.counters.pointee
    return snapshot
  }

  private mutating func process() {
    guard burst.count > 0 else { return }
    counters.received += UInt64(burst.count)
    counters.bytes += burst.wireBytes
    worker.process(burst.frames, count: burst.count, times: burst.times)
    handOver()
    now = max(now, burst.times[burst.count - 1])
    exporter.tick(now: now)
    burst.removeAll()
    if let interval { printLine(every: interval) }
  }

  /// Finished records go straight to the exporter and back.
  private func handOver() {
    let finished = worker.finished
    guard finished > 0 else { return }
    exporter.export(worker.outbox, count: finished)
    worker.recycle(worker.outbox, count: finished)
  }

  private mutating func printLine(every interval: UInt64) {
    let time = Clock.monotonic()
    guard time &- lastLine.time >= interval, time > lastLine.time else { return }
    let counters = snapshot
    let seconds = Double(time - lastLine.time) / 1e9
    Console.line(CounterReport.line(counters, previous: lastLine.counters, seconds: seconds))
    lastLine = (time, counters)
  }
}
