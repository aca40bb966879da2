// The control lcore: starts the others, sleeps, prints counters, and ends the run on a signal.
import CDPDK
import FlowCore
import Glibc
import Synchronization

/// The control lcore's view of the run.
struct ControlLoop {
  /// A worker lcore as the control lcore sees it.
  struct WorkerView {
    var lcore: UInt32
    var loop: UnsafeMutablePointer<WorkerLoop>
    var worker: FlowWorker
  }

  /// An export lcore as the control lcore sees it.
  struct ExporterView {
    var lcore: UInt32
    var loop: UnsafeMutablePointer<ExportLoop>
    var outputs: Outputs
  }

  let run: UnsafeMutablePointer<RunState>
  let signals: Signals
  let workers: [WorkerView]
  let exporters: [ExporterView]
  let ports: PublishedPorts
  let devices: PublishedDevices
  let timekeeper: Timekeeper
  /// What reads the settings again; nil where they are in no file.
  let reload: Reload?
  /// How counters are said.
  let report: StatsReport
  /// Who asks about this host for plugin osquery; nil where nobody does.
  let hostQuery: HostQuery?
  /// Which packets workers look at.
  let selection: SelectionOwner
  /// What export lcores know of addresses; nil where nothing is known.
  let databases: AddressDatabases?
  /// Reads the models again; says what changed.
  var reloadModels: () -> Void = {}
  /// What else is to be done once a second, and while the run ends, with the monotonic clock's nanoseconds.
  var eachSecond: (UInt64) -> Void = { _ in }

  /// Starts the export lcores, then the workers.
  func launch() throws(Failure) {
    CrashReport.lcore(Lcore.main, "control")
    var status: Int32 = 0
    for exporter in exporters where status == 0 {
      status = rte_eal_remote_launch(
        { argument in
          CrashReport.lcore(rte_lcore_id(), "export")
          // Safe: the argument is the one below, a loop that stays as long as the process.
          argument!.assumingMemoryBound(to: ExportLoop.self).pointee.main()
          return 0
        }, exporter.loop, exporter.lcore)
    }
    for worker in workers where status == 0 {
      status = rte_eal_remote_launch(
        { argument in
          CrashReport.lcore(rte_lcore_id(), "worker")
          // Safe: the argument is the one below, a loop that stays as long as the process.
          argument!.assumingMemoryBound(to: WorkerLoop.self).pointee.main()
          return 0
        }, worker.loop, worker.lcore)
    }
    guard status == 0 else { throw .general("an lcore did not start: \(errorText(-status))") }
  }

  /// Sleeps until a signal or the end of `duration`; a line of counters every `stats`.
  func sleep(stats: Seconds?, duration: Seconds?) {
    defer { hostQuery?.end() }
    let start = Clock.monotonic()
    let end = duration.map { start + $0.nanoseconds } ?? UInt64.max
    let interval = stats.flatMap { $0.nanoseconds == 0 ? nil : $0.nanoseconds }
    var previous = (time: start, counters: snapshot())
    var nextLook = start + Timekeeper.interval
    var nextLine = interval.map { start + $0 } ?? UInt64.max
    while true {
      let now = Clock.monotonic()
      if now >= end { return }
      if now >= nextLook {
        devices.look()
        timekeeper.look(unless: devices.isGone)
        ports.look(unless: devices.isGone)
        eachSecond(now)
        selection.freeRetired()
        for exporter in exporters { OutputChanges(outputs: exporter.outputs).closeRetired() }
        nextLook = now + Timekeeper.interval
      }
      if now >= nextLine, let interval {
        let counters = snapshot()
        let seconds = Double(now - previous.time) / 1e9
        report.say(counters, previous: previous.counters, seconds: seconds)
        previous = (now, counters)
        nextLine = max(nextLine + interval, now)
      }
      let nextAnswer = hostQuery?.work(now) ?? UInt64.max
      let wake = min(end, nextLine, nextLook, nextAnswer)
      switch signals.wait(nanoseconds: wake - min(now, wake)) {
      case SIGINT, SIGTERM: return
      case let other?: heed(other)
      case nil: break
      }
    }
  }

  /// What a signal asks for that does not end the run.
  private func heed(_ signal: Int32) {
    switch signal {
    case SIGHUP:
      Requests.reopenings.wrappingAdd(1, ordering: .relaxed)
      let version = databases?.version
      reload?.run()
      // Those that were just opened are not read twice.
      if databases?.version == version { databases?.reload() }
      reloadModels()
    case SIGUSR1: printTotals()
    default: break
    }
  }

  /// Prints the tables of all counters.
  func printTotals() { report.sayTotals(snapshot()) }

  /// Lets the workers flush and the export lcores drain, and waits for both, but not longer than `--drain-timeout`; a
  /// further signal ends the process.
  func shutDown() {
    Drain.begin()
    run.pointee.stop.store(true, ordering: .relaxed)
    let lcores = workers.map(\.lcore) + exporters.map(\.lcore)
    while isClosing || lcores.contains(where: { rte_eal_get_lcore_state($0) == RUNNING }) {
      // The export lcores' last statistics have it.
      ports.look(unless: devices.isGone)
      eachSecond(Clock.monotonic())
      switch signals.wait(nanoseconds: 5_000_000) {
      case SIGINT, SIGTERM:
        logger.error("ended by a second signal: flows that were still in memory are lost")
        _exit(Failure.generalStatus)
      case let other?: heed(other)
      case nil: break
      }
      // Outputs keep to the time themselves; this is for what they cannot bound.
      if Clock.monotonic() >= Drain.deadline &+ Self.grace {
        let counters = snapshot()
        let left = counters.workers.reduce(0) { $0 &+ $1.engine.inTable }
        printTotals()
        logger.error("the end took longer than --drain-timeout: at least \(left) flows are lost")
        _exit(Failure.lostStatus)
      }
    }
    rte_eal_mp_wait_lcore()
    signals.release()
  }

  /// Whether outputs that are no longer wanted are still being closed.
  private var isClosing: Bool {
    exporters.reduce(false) { isClosing, exporter in
      OutputChanges(outputs: exporter.outputs).closeRetired() || isClosing
    }
  }

  /// Nanoseconds that lcores get beyond `--drain-timeout`.
  private static let grace: UInt64 = 1_000_000_000

  /// Records that were lost between the lcores.
  var lostBetweenLcores: UInt64 { workers.reduce(0) { $0 &+ $1.loop.pointee.link.counters.pointee.ringFull } }

  /// All counters now; the workers go on counting meanwhile.
  func snapshot() -> CounterSnapshot {
    ports.look(unless: devices.isGone)
    return publishedSnapshot
  }

  /// The same for every thread: with what ports counted when the control lcore looked last.
  var publishedSnapshot: CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = workers.map {
      .init(lcore: $0.lcore, loop: $0.loop.pointee.link.counters.pointee, engine: $0.worker.counters)
    }
    snapshot.ports = ports.entries
    snapshot.exporters = exporters.map { exporter in
      var entry = exporter.outputs.counters(lcore: exporter.lcore)
      entry.activity = exporter.loop.pointee.activity.pointee
      return entry
    }
    snapshot.plugins = workers.first?.worker.pluginNames ?? []
    return snapshot
  }
}
