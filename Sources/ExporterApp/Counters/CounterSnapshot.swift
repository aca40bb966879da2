// All counters at one moment, in the form that every way to show them starts from.
import FlowCore

/// All counters at one moment, by who counted.
struct CounterSnapshot: Sendable {
  /// A worker lcore; offline the only thread, which has the number 0.
  struct WorkerEntry: Sendable {
    var lcore: UInt32
    var loop = LcoreCounters()
    var engine = WorkerCounters()
  }

  /// A port by DPDK's number.
  struct PortEntry: Sendable {
    var port: UInt16
    var counters = PortCounters()
  }

  /// An RX queue of a port, by DPDK's numbers; offline the captures are queue 0 of port 0.
  struct QueueEntry: Sendable {
    var port: UInt16
    var queue: UInt16
    /// Packets that it gave.
    var received: UInt64
  }

  /// One `--export` as it was written.
  struct OutputEntry: Sendable {
    var name: String
    var counters = OutputCounters()
  }

  /// An export lcore with its outputs; offline the only thread.
  struct ExporterEntry: Sendable {
    var lcore: UInt32
    var counters = ExporterCounters()
    /// What the loop does with its time; nothing offline.
    var activity = LoopActivity()
    var outputs: [OutputEntry] = []
  }

  /// In the order of lcore numbers.
  var workers: [WorkerEntry] = []
  /// In the order of port numbers.
  var ports: [PortEntry] = []
  /// In the order of the worker lcores that poll them.
  var queues: [QueueEntry] = []
  /// In the order of lcore numbers.
  var exporters: [ExporterEntry] = []
  /// The names of the enabled plugins, by slot.
  var plugins: [String] = []

  /// The outputs of all export lcores, one after the other.
  var outputs: [OutputEntry] { exporters.flatMap(\.outputs) }

  /// The counter's value for each of those that count it, in the order in which they stand here.
  func values(_ counter: Counter) -> [UInt64] {
    switch counter.source {
    case .loop(let read): workers.map { read($0.loop) }
    case .engine(let read): workers.map { read($0.engine) }
    case .port(let read): ports.map { read($0.counters) }
    case .export(let read, _): exporters.map { read($0.counters) }
    case .output(let read): outputs.map { read($0.counters) }
    }
  }

  /// The counter's value for each output, where outputs have a part in it.
  func valuesByOutput(_ counter: Counter) -> [UInt64]? {
    switch counter.source {
    case .export(_, let read), .output(let read): outputs.map { read($0.counters) }
    case .loop, .engine, .port: nil
    }
  }

  /// The names of those that `values` has a value for.
  func names(_ scope: Counter.Scope) -> [String] {
    switch scope {
    case .worker: workers.map { "lcore \($0.lcore)" }
    case .port: ports.map { "port \($0.port)" }
    case .export: exporters.map { "lcore \($0.lcore)" }
    case .output:
      exporters.count < 2
        ? outputs.map(\.name)
        : exporters.flatMap { exporter in exporter.outputs.map { "lcore \(exporter.lcore) \($0.name)" } }
    }
  }

  /// The sum over all that count it.
  func total(_ counter: Counter) -> UInt64 { values(counter).reduce(0, &+) }

  /// The parser faults on all lcores by whose mistakes they are, without those that made none.
  var faults: [(name: String, count: UInt64)] {
    let all = workers.map(\.engine.parserFaults) + exporters.map(\.counters.parserFaults)
    guard let indices = all.first?.indices else { return [] }
    return indices.compactMap { index in
      let count = all.reduce(0) { $0 &+ $1[index] }
      guard count > 0 else { return nil }
      // Index 0 is the engine's own, then the slots'.
      let slot = index - 1
      let name =
        slot < 0 ? "engine" : slot < plugins.count ? "plugin \(plugins[slot])" : "plugin number \(slot)"
      return (name, count)
    }
  }
}
