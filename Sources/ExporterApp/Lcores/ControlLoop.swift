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

  let run: UnsafeMutablePointer<RunState>
  let signals: Signals
  let workers: [WorkerView]
  let exportLcore: UInt32
  let export: UnsafeMutablePointer<ExportLoop>
  let exporter: any RecordExporting
  let ports: [UInt16]

  /// Starts the export lcore, then the workers.
  func launch() throws(Failure) {
    var status = rte_eal_remote_launch(
      { argument in
        argument!.assumingMemoryBound(to: ExportLoop.self).pointee.main()
        return 0
      }, export, exportLcore)
    for worker in workers where status == 0 {
      status = rte_eal_remote_launch(
        { argument in
          argument!.assumingMemoryBound(to: WorkerLoop.self).pointee.main()
          return 0
        }, worker.loop, worker.lcore)
    }
    guard status == 0 else { throw .general("an lcore did not start: \(errorText(-status))") }
  }

  /// Sleeps until a signal or the end of `duration`; a line of counters every `stats`.
  func sleep(stats: Seconds?, duration: Seconds?) {
    let start = Clock.monotonic()
    let end = duration.map { start + $0.nanoseconds } ?? UInt64.max
    let interval = stats.flatMap { $0.nanoseconds == 0 ? nil : $0.nanoseconds }
    var previous = (time: start, counters: snapshot())
    var nextLine = interval.map { start + $0 } ?? UInt64.max
    while true {
      let now = Clock.monotonic()
      if now >= end { return }
      if now >= nextLine, let interval {
        let counters = snapshot()
        let seconds = Double(now - previous.time) / 1e9
        Console.line(CounterReport.line(counters, previous: previous.counters, seconds: seconds))
        previous = (now, counters)
        nextLine = max(nextLine + interval, now)
      }
      let wake = min(end, nextLine, now + 60_000_000_000)
      if signals.wait(nanoseconds: wake - min(now, wake)) != nil { return }
    }
  }

  /// Lets the workers flush and the export lcore drain, and waits for both; a further signal ends the process.
  func shutDown() {
    run.pointee.stop.store(true, ordering: .relaxed)
    let lcores = workers.map(\.lcore) + [exportLcore]
    while lcores.contains(where: { rte_eal_get_lcore_state($0) == RUNNING }) {
      if signals.wait(nanoseconds: 5_000_000) != nil {
        Console.line("ended by a second signal: flows that were still in memory are lost")
        _exit(Failure.generalStatus)
      }
    }
    rte_eal_mp_wait_lcore()
  }

  /// All counters now; the workers go on counting meanwhile.
  func snapshot() -> CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = workers.map { ($0.lcore, $0.loop.pointee.link.counters.pointee, $0.worker.counters) }
    snapshot.ports = ports.map { ($0, PortCounters(port: $0)) }
    snapshot.export = exporter.counters.pointee
    snapshot.plugins = workers.first?.worker.pluginNames ?? []
    return snapshot
  }
}
