// The metering process as an export lcore sees it: counters of others, read when it says in options records what it exports.

/// The workers that one export lcore serves, and all ports.
struct MeteringView {
  private let workers: [ControlLoop.WorkerView]
  private let queues: [UnsafeMutablePointer<PolledQueue>]
  private let ports: PublishedPorts

  /// A view of loops that stay where they are.
  init(workers: [ControlLoop.WorkerView], ports: PublishedPorts) {
    self.workers = workers
    self.ports = ports
    queues = workers.flatMap { worker in
      let loop = worker.loop.pointee
      return (0..<loop.queueCount).map { loop.queues + $0 }
    }
  }

  /// Their counters now; the workers go on counting meanwhile. What a worker counted before it was done is all there
  /// afterwards.
  var snapshot: CounterSnapshot {
    var snapshot = CounterSnapshot()
    snapshot.workers = workers.map {
      .init(lcore: $0.lcore, loop: $0.loop.pointee.link.counters.pointee, engine: $0.worker.counters)
    }
    snapshot.queues = queues.map {
      .init(port: $0.pointee.port, queue: $0.pointee.queue, received: $0.pointee.received)
    }
    snapshot.ports = ports.entries
    return snapshot
  }
}
