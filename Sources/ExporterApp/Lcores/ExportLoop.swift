// An export lcore: joins its workers' finished records into one stream and sends the empty records back.
import CDPDK
import Synchronization

/// An export lcore's loop with all that it owns.
struct ExportLoop {
  private let state: UnsafeMutablePointer<ExportState>
  private let outputs: Outputs
  private let links: UnsafeMutablePointer<WorkerLink>
  private let workerCount: Int
  private var clock: Clock
  private var idle: Idle
  private let records: UnsafeMutablePointer<Record>

  /// Records taken from one worker before the next one's turn.
  private static let burst: UInt32 = 64
  /// Nanoseconds from one `tick` to the next.
  private static let tickInterval: UInt64 = 1_000_000

  /// Takes `outputs` over for the rest of the process.
  init(
    state: UnsafeMutablePointer<ExportState>, outputs: Outputs, links: [WorkerLink], shared: Bool,
    hertz: UInt64
  ) {
    self.state = state
    self.outputs = outputs
    self.links = .allocate(capacity: links.count)
    self.links.initialize(from: links, count: links.count)
    workerCount = links.count
    clock = Clock(hertz: hertz)
    idle = Idle(shared: shared)
    records = .allocate(capacity: Int(Self.burst))
  }

  /// Runs until every worker is done and its records are exported, then closes the outputs.
  mutating func main() {
    var nextTick: UInt64 = 0
    var before = clock.now()
    while true {
      // Read before the rings: a worker that is done then has nothing left to come.
      let done = state.pointee.finishedWorkers.load(ordering: .acquiring) == workerCount
      var taken = 0
      var index = 0
      while index < workerCount {
        let link = links[index]
        index &+= 1
        let count = Int(martlet_ring_dequeue(link.records, records, Self.burst))
        if count == 0 { continue }
        taken &+= count
        outputs.export(records, count: count)
        giveBack(count, to: link)
      }
      let now = clock.now()
      if taken > 0 { outputs.noteBusy(max(now, before) &- before) }
      before = now
      if now >= nextTick {
        outputs.tick()
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
    outputs.finish()
  }

  /// Empty records go home; a worker that has ended needs none.
  private func giveBack(_ count: Int, to link: WorkerLink) {
    var given = 0
    var waiting = Idle(shared: true)
    while given < count {
      given &+= Int(
        martlet_ring_enqueue(link.returned, records + given, UInt32(truncatingIfNeeded: count &- given)))
      if given < count {
        if state.pointee.finishedWorkers.load(ordering: .acquiring) == workerCount { return }
        waiting.wait()
      }
    }
  }
}
