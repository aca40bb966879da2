// A worker lcore: receives bursts from its RX queues, runs the engine over them, hands finished records over.
// Nothing here allocates, locks or counts references; the engine is reached through Unmanaged.
import CDPDK
import CIntrinsics
import FlowCore
import Synchronization

/// A worker lcore's loop with all that it owns.
///
/// Safe: `init` retains the worker and nothing releases it, so that it is there whenever the loop uses it.
struct WorkerLoop {
  /// Packets per poll.
  static let burst = UInt16(FlowWorker.burstSize)

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
  private let arrival: ArrivalTimes
  /// The engine was told this time; what is found later cannot have come before.
  private var latest: UInt64 = 0
  /// By how much the engine's clock is behind the lcore's while nothing is received.
  private var behind: UInt64
  private let linear: Lineariser
  private let returned: UnsafeMutablePointer<Record>
  private var selection: SelectionReader

  /// How long a packet that its device timed may be on its way to the lcore without finding the engine's clock ahead of it,
  /// in nanoseconds.
  private static let deviceDelay: UInt64 = 2_000_000

  /// Empty records taken back in one go.
  private static let returnBurst = 512

  /// Takes `worker` over for the rest of the process.
  init(
    run: UnsafeMutablePointer<RunState>, worker: FlowWorker, link: WorkerLink, queues: [PolledQueue],
    shared: Bool, hertz: UInt64, field: TimestampField?, selection: SelectionReader,
    benchmarks: RunConfiguration.Benchmarks
  ) {
    self.run = run
    self.worker = .passRetained(worker)
    self.link = link
    self.selection = selection
    self.queues = .allocate(capacity: queues.count)
    for (index, queue) in queues.enumerated() {
      (self.queues + index).initialize(to: queue)
    }
    queueCount = queues.count
    receiveOnly = benchmarks.receivesOnly
    takesCycles = benchmarks.takesCycles
    clock = Clock(hertz: hertz)
    behind = queues.contains { $0.source != .lcore } ? Self.deviceDelay : 0
    arrival = ArrivalTimes(burst: Int(Self.burst), field: field)
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
    link.export.pointee.finishedWorkers.wrappingAdd(1, ordering: .releasing)
  }

  /// The main loop.
  private mutating func loop() {
    var wasBusy = false
    link.counters.pointee.activity.begin(at: Clock.cycles())
    while !run.pointee.stop.load(ordering: .relaxed) {
      if selection.isStale { takeSelection() }
      var received = 0
      var now: UInt64 = 0
      var index = 0
      while index < queueCount {
        let queue = queues + index
        index &+= 1
        let start = cycles()
        let count = Int(martlet_rx_burst(queue.pointee.port, queue.pointee.queue, mbufs, Self.burst))
        let found = Clock.cycles()
        now = clock.now(at: found)
        link.counters.pointee.activity.poll(at: found, wasBusy: wasBusy)
        wasBusy = count != 0
        if count == 0 {
          queue.pointee.polled = now
          continue
        }
        received &+= count
        link.counters.pointee.batches.count(count)
        queue.pointee.received &+= UInt64(truncatingIfNeeded: count)
        martlet_trace_no_burst()
        describe(count, queue, now: now)
        link.counters.pointee.receiveCycles &+= cycles() &- start
        let kept = selection.isOn ? select(count) : count
        worker._withUnsafeGuaranteedRef {
          $0.port = queue.pointee.port
          if kept > 0 {
            $0.process(frames, count: kept, times: arrival.times)
          } else {
            $0.idle(now: now &- behind)
          }
        }
        let end = cycles()
        martlet_mbuf_free_bulk(mbufs, UInt16(truncatingIfNeeded: count))
        handOver()
        link.counters.pointee.releaseCycles &+= cycles() &- end
      }
      if received == 0 {
        worker._withUnsafeGuaranteedRef { $0.idle(now: now &- behind) }
        latest = now
        handOver()
        idle.wait()
      } else {
        idle.reset()
      }
    }
  }

  /// Takes over which packets are looked at from here on.
  @inline(never)
  private mutating func takeSelection() {
    guard let sampling = selection.take() else { return }
    worker._withUnsafeGuaranteedRef { $0.sample(sampling) }
  }

  /// Leaves of a burst what passes the filter; returns how many packets that are.
  @inline(never)
  private mutating func select(_ count: Int) -> Int {
    let kept = selection.select(
      mbufs, frames, arrival.times, count: count, refused: &link.counters.pointee.filteredBytes)
    link.counters.pointee.filtered &+= UInt64(truncatingIfNeeded: count &- kept)
    return kept
  }

  /// The time stamp counter where the cycles of passes are taken, else 0.
  @inline(__always)
  private func cycles() -> UInt64 { takesCycles ? Clock.cycles() : 0 }

  /// Describes the burst in `mbufs` to the engine, prefetching the first line of every packet on the way, and calls
  /// `look` for each mbuf; returns what they have on the wire at least, in octets.
  @inline(__always)
  private func makeFrames(_ count: Int, _ look: (OpaquePointer?, Int) -> Void) -> UInt64 {
    var bytes: UInt64 = 0
    var index = 0
    while index < count {
      let mbuf = mbufs[index]
      // Safe: `count` mbufs came from the device, and each has a buffer.
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
      look(mbuf, index)
      index &+= 1
    }
    link.counters.pointee.received &+= UInt64(truncatingIfNeeded: count)
    link.counters.pointee.bytes &+= bytes
    return bytes &+ ArrivalTimes.overhead &* UInt64(truncatingIfNeeded: count)
  }

  /// Makes frames of the burst in `mbufs`; a function of its own, because the loop has no registers to spare, and mutating,
  /// because else it would get a copy of all this.
  @inline(never)
  private mutating func makeFrames(_ count: Int) -> UInt64 { makeFrames(count) { _, _ in } }

  /// Makes frames of the burst in `mbufs` and takes the device's times; returns how many are `unknown`.
  @inline(never)
  private mutating func makeTimedFrames(_ count: Int, now: UInt64, clock: DeviceClock) -> Int {
    let arrival = arrival
    var reading = arrival.reading(now: now, clock: clock)
    _ = makeFrames(count) { mbuf, index in arrival.read(mbuf, index, &reading) }
    return arrival.finish(reading, mbufs, count: count)
  }

  /// Makes frames and times of the burst in `mbufs`, which was found at `now`.
  @inline(__always)
  private mutating func describe(_ count: Int, _ queue: UnsafeMutablePointer<PolledQueue>, now: UInt64) {
    let shared = queue.pointee.shared
    // The clock may have been set back; then what came before does not count.
    let floor = min(now, max(latest, queue.pointee.polled))
    latest = now
    queue.pointee.polled = now
    switch queue.pointee.source {
    case .lcore:
      let octets = makeFrames(count)
      arrival.spread(
        frames, count: count, octets: octets, now: now, floor: floor,
        octetPrice: shared.pointee.octetPrice.load(ordering: .relaxed))
    case .device:
      if shared.pointee.version.load(ordering: .relaxed) != queue.pointee.version { refresh(queue) }
      let unknown = makeTimedFrames(count, now: now, clock: queue.pointee.clock)
      if unknown != 0 { complete(count, unknown, queue, now: now, floor: floor) }
    case .file:
      _ = makeFrames(count)
      let unknown = arrival.readFile(mbufs, count: count, clock: queue.pointee.clock)
      complete(count, unknown, queue, now: now &- behind, floor: 0)
      // The file's time passes at its own pace, and goes on while nothing is received.
      behind = now &- arrival.times[count &- 1]
    }
  }

  /// Gives times to the packets of a burst for which the device had none, `unknown` of them.
  @inline(never)
  private mutating func complete(
    _ count: Int, _ unknown: Int, _ queue: UnsafeMutablePointer<PolledQueue>, now: UInt64, floor: UInt64
  ) {
    guard unknown > 0 else { return }
    link.counters.pointee.timesRefused &+= UInt64(truncatingIfNeeded: unknown)
    let octetPrice = queue.pointee.shared.pointee.octetPrice.load(ordering: .relaxed)
    if unknown == count {
      arrival.spread(frames, count: count, octets: 0, now: now, floor: floor, octetPrice: octetPrice)
    } else {
      arrival.fill(frames, count: count, now: now, floor: floor, octetPrice: octetPrice)
    }
  }

  /// Takes over what the control lcore found out about the device's clock, once a second.
  @inline(never)
  private mutating func refresh(_ queue: UnsafeMutablePointer<PolledQueue>) {
    guard let (clock, version) = queue.pointee.shared.pointee.read() else { return }
    queue.pointee.clock = clock
    queue.pointee.version = version
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
        let queue = queues + index
        index &+= 1
        let count = martlet_rx_burst(queue.pointee.port, queue.pointee.queue, mbufs, Self.burst)
        if count == 0 { continue }
        received &+= Int(count)
        queue.pointee.received &+= UInt64(count)
        martlet_mbuf_free_bulk(mbufs, count)
      }
      link.counters.pointee.received &+= UInt64(clamping: received)
      link.counters.pointee.activity.polls &+= 1
      if received == 0 { idle.wait() } else { idle.reset() }
    }
  }
}
