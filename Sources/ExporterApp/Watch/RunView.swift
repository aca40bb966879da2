// A live run as threads see it that are none of its lcores: whoever scrapes metrics or asks over DPDK's telemetry socket.
import CDPDK
import FlowCore
import Glibc
import Synchronization

/// A live run, to be looked at until it is closed.
///
/// Safe between threads: loops and engines stay where they are until `close`, which waits for who is looking, and what they count
/// is read as the control lcore reads it.
final class RunView: @unchecked Sendable {
  private let control: ControlLoop
  private let deviceNames: [UInt16: String]
  private let hertz = Clock.hertz
  private let startTime = Double(Clock.system()) / 1e9
  private let isOpen = Mutex(true)
  /// The largest flows found last, for who asks too often.
  private let found = Mutex<(time: UInt64, flows: [SeenFlow])>((0, []))
  /// Replaces flows' addresses as records have them; nil where they stay. Used under the lock of `found`.
  private let anonymiser: Anonymiser?

  /// The most flows that are shown.
  static let mostFlows = 64
  /// Nanoseconds for which flows that were found are shown again: workers' lines are not read more often.
  private static let flowsAge: UInt64 = 500_000_000

  /// A view of `control`'s run, on `ports`.
  ///
  /// - Parameter masking: what becomes of addresses.
  init(_ control: ControlLoop, ports: [Port], masking: AddressMasking?) {
    self.control = control
    anonymiser = masking.flatMap { Anonymiser($0, zeroesMAC: true) }
    deviceNames = Dictionary(uniqueKeysWithValues: ports.map { ($0.id, $0.name) })
  }

  /// From here on there is nothing to be seen: EAL takes the memory back.
  func close() { isOpen.withLock { $0 = false } }

  /// The run now; nil when it has ended.
  var snapshot: RunSnapshot? {
    isOpen.withLock { isOpen in isOpen ? look() : nil }
  }

  /// The lcore of worker number `index`.
  func lcore(worker index: Int) -> UInt32 {
    control.workers.indices.contains(index) ? control.workers[index].lcore : 0
  }

  /// At most `count` flows, those with the most octets in all tables; nil when the run has ended.
  func largestFlows(_ count: Int) -> [SeenFlow]? {
    found.withLock { found in
      let now = Clock.monotonic()
      if found.time == 0 || now &- found.time > Self.flowsAge {
        guard let flows = search() else { return nil }
        found = (now, anonymiser.map { masked(flows, by: $0) } ?? flows)
      }
      return Array(found.flows.prefix(max(0, count)))
    }
  }

  /// The flows with other addresses.
  private func masked(_ flows: [SeenFlow], by anonymiser: Anonymiser) -> [SeenFlow] {
    flows.map { flow in
      func replaced(_ address: (high: UInt64, low: UInt64)) -> (high: UInt64, low: UInt64) {
        let replacement = anonymiser.replacement(
          of: flow.isVersion6
            ? IPAddress(high: address.high, low: address.low)
            : IPAddress(version4: UInt32(truncatingIfNeeded: address.low)))
        return (replacement.high, replacement.low)
      }
      var flow = flow
      (flow.source, flow.destination) = (replaced(flow.source), replaced(flow.destination))
      return flow
    }
  }

  private func search() -> [SeenFlow]? {
    isOpen.withLock { isOpen in
      guard isOpen else { return nil }
      var largest = LargestFlows(capacity: Self.mostFlows)
      for worker in control.workers { worker.worker.tableView.show(&largest) { _ = sched_yield() } }
      return largest.flows
    }
  }

  /// What lcores do with their time: for the control lcore, which closes the view itself and waits for nobody who looks.
  var activities: [RunSnapshot.LcoreEntry] {
    control.workers.map {
      .init(
        lcore: $0.lcore, role: "worker", activity: $0.loop.pointee.link.counters.pointee.activity)
    }
      + control.exporters.map {
        .init(lcore: $0.lcore, role: "export", activity: $0.loop.pointee.activity.pointee)
      }
  }

  private func look() -> RunSnapshot {
    var snapshot = RunSnapshot()
    snapshot.counters = control.publishedSnapshot
    snapshot.lcores = activities
    for worker in control.workers {
      let link = worker.loop.pointee.link
      snapshot.fills.append(
        .init(
          lcore: worker.lcore, ringRecords: Int(martlet_ring_count(link.records)),
          ringSize: Int(WorkerLink.ringSize), tableSize: worker.worker.tableSize))
      for index in 0..<worker.loop.pointee.queueCount {
        let queue = worker.loop.pointee.queues[index]
        snapshot.queues.append(
          .init(
            queue: .init(port: queue.port, queue: queue.queue, received: queue.received),
            lcore: worker.lcore))
      }
    }
    snapshot.devices = control.devices.entries
    snapshot.deviceNames = deviceNames
    snapshot.hertz = hertz
    snapshot.startTime = startTime
    snapshot.version = Product.version
    snapshot.dpdkVersion = String(cString: rte_version())
    return snapshot
  }
}
