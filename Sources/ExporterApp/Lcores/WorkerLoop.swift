// A worker lcore: receives bursts from its RX queues, runs the engine over them, hands finished records over.
// Nothing here allocates, locks or counts references; the engine is reached through Unmanaged.
import CDPDK
import CIntrinsics
import FlowCore
import Synchronization

/// One RX queue, as the driver call wants it.
struct PolledQueue: BitwiseCopyable {
  var port: UInt16
  var queue: UInt16
}

/// A worker lcore's loop with all that it owns.
struct WorkerLoop {
  /// Packets per poll.
  static let burst: UInt16 = 32

  let run: UnsafeMutablePointer<RunState>
  let worker: Unmanaged<FlowWorker>
  let link: WorkerLink
  let queues: UnsafeMutablePointer<PolledQueue>
  let queueCount: Int
  let receiveOnly: Bool
  let takesCycles: Bool
  private var clock: Clock
  private var idle: Idle
  private let mbufs: UnsafeMutablePointer<OpaquePointer?>
  private let frames: UnsafeMutablePointer<Frame>
  private let linear: Lineariser
  private let returned: UnsafeMutablePointer<Record>

  /// Empty records taken back in one go.
  private static let returnBurst = 512

  /// Takes `worker` over for the rest of the process.
  init(
    run: UnsafeMutablePointer<RunState>, worker: FlowWorker, link: WorkerLink, queues: [QueueID],
    shared: Bool,
    hertz: UInt64, benchmarks: BenchmarkOptions
  ) {
    self.run = run
    self.worker = .passRetained(worker)
    self.link = link
    self.queues = .allocate(capacity: queues.count)
    for (index, queue) in queues.enumerated() {
      (self.queues + index).initialize(to: PolledQueue(port: queue.port, queue: queue.queue))
    }
    queueCount = queues.count
    receiveOnly = benchmarks.receiveOnly
    takesCycles = benchmarks.cycles
    clock = Clock(hertz: hertz)
    idle = Idle(shared: shared)
    mbufs = .allocate(capacity: Int(Self.burst))
    frames = .allocate(capacity: Int(Self.burst))
    linear = Lineariser(slots: Int(Self.burst))
    returned = .allocate(capacity: Self.returnBurst)
  }

  /// Runs until the run stops, then flushes every flow.
  mutating func main() {
    let start = Clock.thread()
    if receiveOnly { receiveOnlyLoop() } else { loop() }
    link.counters.pointee.nanoseconds = Clock.thread() &- start
    worker._withUnsafeGuaranteedRef { flush($0) }
    run.pointee.finishedWorkers.wrappingAdd(1, ordering: .releasing)
  }

  /// The main loop.
  private mutating func loop() {
    while !run.pointee.stop.load(ordering: .relaxed) {
      var received = 0
      var index = 0
      while index < queueCount {
        let queue = queues[index]
        index &+= 1
        let start = cycles()
        let count = Int(martlet_rx_burst(queue.port, queue.queue, mbufs, Self.burst))
        if count == 0 { continue }
        received &+= count
        martlet_trace_no_burst()
        makeFrames(count)
        link.counters.pointee.receiveCycles &+= cycles() &- start
        let now = clock.now()
        worker._withUnsafeGuaranteedRef {
          $0.port = queue.port
          $0.process(frames, count: count, now: now)
        }
        let end = cycles()
        martlet_mbuf_free_bulk(mbufs, UInt16(truncatingIfNeeded: count))
        handOver()
        link.counters.pointee.releaseCycles &+= cycles() &- end
      }
      if received == 0 {
        let now = clock.now()
        worker._withUnsafeGuaranteedRef { $0.idle(now: now) }
        handOver()
        idle.wait()
      } else {
        idle.reset()
      }
    }
  }

  /// The time stamp counter where the cycles of passes are taken, else 0.
  @inline(__always)
  private func cycles() -> UInt64 { takesCycles ? martlet_tsc() : 0 }

  /// Describes the burst in `mbufs` to the engine, asking for the first line of every packet on the way.
  @inline(__always)
  private func makeFrames(_ count: Int) {
    var bytes: UInt64 = 0
    for index in 0..<count {
      let mbuf = mbufs[index]
      let data = martlet_mbuf_data(mbuf).unsafelyUnwrapped
      martlet_prefetch_read(data)
      let captured = UInt32(martlet_mbuf_data_length(mbuf))
      let wire = martlet_mbuf_packet_length(mbuf)
      bytes &+= UInt64(wire)
      frames[index] = Frame(bytes: data, captured: captured, wire: wire)
      // One mbuf holds most packets; the comparison also covers drivers that leave nb_segs alone.
      if wire != captured, martlet_mbuf_segments(mbuf) > 1 {
        frames[index] = linear.frame(mbuf, slot: index)
        link.counters.pointee.linearised &+= 1
      }
    }
    link.counters.pointee.received &+= UInt64(count)
    link.counters.pointee.bytes &+= bytes
  }

  /// Gives the records that the last call of the engine finished to the export lcore and takes empty ones back.
  @inline(__always)
  private func handOver() {
    worker._withUnsafeGuaranteedRef { worker in
      let finished = worker.finished
      if finished > 0 {
        let sent = Int(
          martlet_ring_enqueue(link.records, worker.outbox, UInt32(truncatingIfNeeded: finished)))
        if sent < finished {
          link.counters.pointee.ringFull &+= UInt64(finished &- sent)
          worker.recycle(worker.outbox + sent, count: finished &- sent)
        }
      }
      takeBack(worker)
    }
  }

  /// Empty records from the export lcore go back to the engine.
  @inline(__always)
  private func takeBack(_ worker: FlowWorker) {
    while true {
      let count = Int(martlet_ring_dequeue(link.returned, returned, UInt32(Self.returnBurst)))
      if count > 0 { worker.recycle(returned, count: count) }
      if count < Self.returnBurst { return }
    }
  }

  /// The end: every flow goes to the export lcore, which is waited for as long as it takes.
  private func flush(_ worker: FlowWorker) {
    var waiting = Idle(shared: true)
    var more = true
    while more {
      more = worker.flush()
      var sent = 0
      while sent < worker.finished {
        let count = Int(
          martlet_ring_enqueue(link.records, worker.outbox + sent, UInt32(clamping: worker.finished &- sent)))
        sent &+= count
        takeBack(worker)
        if count == 0 { waiting.wait() } else { waiting.reset() }
      }
    }
  }

  /// What the device alone costs: receive, count, free.
  private mutating func receiveOnlyLoop() {
    while !run.pointee.stop.load(ordering: .relaxed) {
      var received = 0
      var index = 0
      while index < queueCount {
        let queue = queues[index]
        index &+= 1
        let count = martlet_rx_burst(queue.port, queue.queue, mbufs, Self.burst)
        if count == 0 { continue }
        received &+= Int(count)
        martlet_mbuf_free_bulk(mbufs, count)
      }
      link.counters.pointee.received &+= UInt64(clamping: received)
      if received == 0 { idle.wait() } else { idle.reset() }
    }
  }
}
