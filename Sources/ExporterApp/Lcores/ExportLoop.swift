// The export lcore: joins the workers' finished records into one stream and sends the empty records back.
import CDPDK
import Synchronization

/// The export lcore's loop with all that it owns.
struct ExportLoop {
  let run: UnsafeMutablePointer<RunState>
  /// One dynamic call per burst, not per record.
  private let exporter: any RecordExporting
  private let links: UnsafeMutablePointer<WorkerLink>
  private let workerCount: Int
  private var clock: Clock
  private var idle: Idle
  private let records: UnsafeMutablePointer<Record>

  /// Records taken from one worker before the next one's turn.
  private static let burst = 64
  /// Nanoseconds from one `tick` to the next.
  private static let tickInterval: UInt64 = 1_000_000

  /// Takes `exporter` over for the rest of the process.
  init(
    run: UnsafeMutablePointer<RunState>, exporter: any RecordExporting, links: [WorkerLink], shared: Bool,
    hertz: UInt64
  ) {
    self.run = run
    self.exporter = exporter
    self.links = .allocate(capacity: links.count)
    self.links.initialize(from: links, count: links.count)
    workerCount = links.count
    clock = Clock(hertz: hertz)
    idle = Idle(shared: shared)
    records = .allocate(capacity: Self.burst)
  }

  /// Runs until every worker is done and its records are exported, then closes the exporter.
  mutating func main() {
    var nextTick: UInt64 = 0
    while true {
      // Read before the rings: a worker that is done then has nothing left to come.
      let done = run.pointee.finishedWorkers.load(ordering: .acquiring) == workerCount
      var taken = 0
      for index in 0..<workerCount {
        let link = links[index]
        let count = Int(martlet_ring_dequeue(link.records, records, UInt32(Self.burst)))
        if count == 0 { continue }
        taken += count
        exporter.export(records, count: count)
        giveBack(count, to: link)
      }
      let now = clock.now()
      if now >= nextTick {
        exporter.tick(now: now)
        nextTick = now &+ Self.tickInterval
      }
      if taken > 0 {
        idle.reset()
      } else if done {
        break
      } else {
        idle.wait()
      }
    }
    exporter.finish()
  }

  /// Empty records go home; a worker that has ended needs none.
  private func giveBack(_ count: Int, to link: WorkerLink) {
    var given = 0
    var waiting = Idle(shared: true)
    while given < count {
      given += Int(martlet_ring_enqueue(link.returned, records + given, UInt32(count - given)))
      if given < count {
        if run.pointee.finishedWorkers.load(ordering: .acquiring) == workerCount { return }
        waiting.wait()
      }
    }
  }
}
