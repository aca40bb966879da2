// Every metric, declared once: `--metrics`, `--list-metrics` and the table in docs/counters.md follow from this table and from
// that of the counters.
import Wire

/// All metrics, in the order in which they are shown.
enum MetricTable {
  static let all: [Metric] = run + lcores + fills + devices + CounterTable.all.map(\.metric)

  /// The program itself.
  private static let run = [
    Metric(
      "build_info", .gauge, unit: "", "1; the versions are the labels", labels: ["version", "dpdk"]
    ) { [.init([$0.version, $0.dpdkVersion], .whole(1))] },
    Metric("start_time", .gauge, unit: "seconds", "when the run began, since 1970", labels: []) {
      [.init([], .decimal($0.startTime))]
    },
  ]

  /// What polling loops do with their time.
  private static let lcores = [
    lcore("lcore_polling", .counter, unit: "seconds", "time since the lcore's first poll") {
      .decimal($0.seconds($1.activity.cycles))
    },
    lcore(
      "lcore_busy", .counter, unit: "seconds",
      "the part of it that was spent on packets or records; its rate is the lcore's load"
    ) { .decimal($0.seconds($1.activity.busyCycles)) },
    lcore("lcore_polls", .counter, unit: "polls", "polls, empty ones included") { .whole($1.activity.polls) },
    Metric(
      "worker_batch", .histogram, unit: "packets",
      "packets of a poll that brought any, of 32 at most; always 32 is a worker at its limit",
      labels: ["lcore"]
    ) { $0.counters.workers.flatMap(batches) },
  ]

  /// How full what can be full is.
  private static let fills = [
    fill("worker_ring", unit: "records", "records on their way to the export lcore") { $0.ringRecords },
    fill("worker_ring_size", unit: "records", "how many may be; more are counted as ring full") {
      $0.ringSize
    },
    fill("worker_table_size", unit: "flows", "flow records that the table has room for (--flows)") {
      $0.tableSize
    },
  ]

  /// Queues and ports.
  private static let devices = [
    Metric(
      "queue_received", .counter, unit: "packets", "packets that the RX queue gave",
      labels: ["port", "queue", "lcore"]
    ) { snapshot in
      snapshot.queues.map {
        .init(
          [String($0.queue.port), String($0.queue.queue), String($0.lcore)], .whole($0.queue.received))
      }
    },
    device("port_up", unit: "", "1 where the port's link is up") { .whole($0.isUp ? 1 : 0) },
    device("port_gone", unit: "", "1 where the port's device has gone away") { .whole($0.isGone ? 1 : 0) },
    device("port_speed", unit: "bytes", "the link's speed in a second; 0 where the device does not say") {
      .whole(UInt64($0.megabits) &* 125_000)
    },
    Metric(
      "port_link_changes", .counter, unit: "", "how often the link went up or down",
      labels: ["port", "device"]
    ) { snapshot in
      snapshot.devices.map {
        .init([String($0.port), snapshot.deviceName($0.port)], .whole($0.state.changes))
      }
    },
    Metric(
      "port_statistic", .unknown, unit: "", "what the port's driver counts, by its own names (xstats)",
      labels: ["port", "device", "name"]
    ) { snapshot in
      snapshot.devices.flatMap { entry in
        entry.statistics.map {
          .init([String(entry.port), snapshot.deviceName(entry.port), $0.name], .whole($0.value))
        }
      }
    },
  ]

  /// A worker's polls by how many packets they brought, each bound with all below it.
  private static func batches(_ worker: CounterSnapshot.WorkerEntry) -> [Metric.Sample] {
    let lcore = [String(worker.lcore)]
    var count: UInt64 = 0
    var samples: [Metric.Sample] = []
    for (index, bound) in BatchSizes.bounds.enumerated() {
      count &+= worker.loop.batches.counts[total: index + 1]
      samples.append(.init(lcore, .whole(count), bound: .atMost(bound)))
    }
    samples.append(.init(lcore, .whole(count), bound: .all))
    samples.append(.init(lcore, .whole(worker.loop.received), bound: .sum))
    samples.append(.init(lcore, .whole(count), bound: .count))
    return samples
  }

  private static func lcore(
    _ name: String, _ kind: Metric.Kind, unit: String, _ help: String,
    _ read: @escaping @Sendable (RunSnapshot, RunSnapshot.LcoreEntry) -> Metric.Number
  ) -> Metric {
    Metric(name, kind, unit: unit, help, labels: ["lcore", "role"]) { snapshot in
      snapshot.lcores.map { .init([String($0.lcore), $0.role], read(snapshot, $0)) }
    }
  }

  private static func fill(
    _ name: String, unit: String, _ help: String,
    _ read: @escaping @Sendable (RunSnapshot.FillEntry) -> Int
  ) -> Metric {
    Metric(name, .gauge, unit: unit, help, labels: ["lcore"]) { snapshot in
      snapshot.fills.map { .init([String($0.lcore)], .whole(UInt64(clamping: read($0)))) }
    }
  }

  private static func device(
    _ name: String, unit: String, _ help: String, _ read: @escaping @Sendable (PortState) -> Metric.Number
  ) -> Metric {
    Metric(name, .gauge, unit: unit, help, labels: ["port", "device"]) { snapshot in
      snapshot.devices.map { .init([String($0.port), snapshot.deviceName($0.port)], read($0.state)) }
    }
  }
}
