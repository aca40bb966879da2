// Every counter, declared once: the --stats line, the totals at the end and the documentation come from this table.
import CDPDK
import FlowCore

/// What a port's device counted.
struct PortCounters: BitwiseCopyable, Sendable {
  /// Packets that found no free descriptor.
  var missed: UInt64 = 0
  /// Packets that found no free mbuf.
  var noMbuf: UInt64 = 0
  /// Packets that the device found damaged.
  var errors: UInt64 = 0

  init() {}

  /// Asks the device; all zero where it does not count.
  init(port: UInt16) {
    var stats = rte_eth_stats()
    guard rte_eth_stats_get(port, &stats) == 0 else { return }
    missed = stats.imissed
    noMbuf = stats.rx_nombuf
    errors = stats.ierrors
  }
}

/// One counter: its name, what it means and where it is read.
struct Counter: Sendable {
  /// Its name, in the totals and (with `_` for spaces) in the --stats line.
  let name: String
  /// What it counts, for the documentation.
  let help: String
  /// Where it is read.
  let source: Source

  /// Who counts, and how to read it there.
  enum Source: Sendable {
    case lcore(@Sendable (LcoreCounters) -> UInt64)
    case engine(@Sendable (WorkerCounters) -> UInt64)
    case port(@Sendable (PortCounters) -> UInt64)
    case export(@Sendable (OutputCounters) -> UInt64)
  }
}

/// All counters, in the order of a packet's way.
enum CounterTable {
  static let all: [Counter] = [
    Counter(
      name: "received", help: "packets that the RX queues or the capture gave", source: .lcore { $0.received }
    ),
    Counter(name: "bytes", help: "their bytes on the wire", source: .lcore { $0.bytes }),
    Counter(
      name: "linearised", help: "packets of several mbufs, copied together (slow)",
      source: .lcore { $0.linearised }),
    Counter(
      name: "times refused",
      help: "packets whose device gave no time, or one that cannot be: they got the lcore's",
      source: .lcore { $0.timesRefused }),
    Counter(
      name: "missed", help: "packets that found no free RX descriptor (imissed): the worker is too slow",
      source: .port { $0.missed }),
    Counter(
      name: "no mbuf", help: "packets that found no free packet buffer (rx_nombuf)",
      source: .port { $0.noMbuf }),
    Counter(
      name: "errors", help: "packets that the device found damaged (ierrors)", source: .port { $0.errors }),
    Counter(name: "fragments", help: "fragments among the packets", source: .engine { $0.fragments }),
    discard(.notIP, help: "frames without an IP packet"),
    discard(.linkTruncated, help: "captures that end in a link-layer or tunnel header"),
    discard(.tooManyHeaders, help: "frames with too many headers around the IP packet"),
    discard(.ipHeaderInvalid, help: "impossible IP version or header length"),
    discard(.ipTruncated, help: "captures that end in an IP header"),
    discard(.transportTruncated, help: "captures that end in a TCP, UDP, UDP-Lite or SCTP header"),
    discard(.tcpHeaderInvalid, help: "TCP header length or options that contradict each other"),
    Counter(name: "flows made", help: "flow records started", source: .engine { $0.flowsMade }),
    Counter(name: "in table", help: "flow records in the table now", source: .engine { $0.inTable }),
    ended(.idleTimeout, help: "ended by the inactive timeout (reason 1)"),
    ended(.activeTimeout, help: "cut by the active timeout (reason 2)"),
    ended(.endOfFlow, help: "ended by FIN or RST (reason 3)"),
    ended(.forced, help: "ended by a flush (reason 4)"),
    ended(.lackOfResources, help: "ended for lack of room (reason 5)"),
    Counter(
      name: "packets in flows", help: "packets counted in the records that ended",
      source: .engine { $0.endedPackets }),
    Counter(name: "table full", help: "packets that found no record free", source: .engine { $0.tableFull }),
    Counter(
      name: "slab full", help: "blocks that plugins had to do without", source: .engine { $0.slabFull }),
    Counter(
      name: "fingerprint left out", help: "hellos with too much in them for JA3 and JA4",
      source: .engine { $0.fingerprintsLeftOut }),
    Counter(
      name: "parser faults", help: "reads and writes outside of their bytes, mistakes of Martlet or a plugin",
      source: .engine { sum($0.parserFaults) }),
    Counter(
      name: "ring full", help: "records lost because the export lcore was too slow",
      source: .lcore { $0.ringFull }),
    Counter(name: "exported", help: "records handed to the outputs", source: .export { $0.records }),
    Counter(name: "messages", help: "IPFIX messages sent", source: .export { $0.messages }),
    Counter(
      name: "templates", help: "template records sent, repetitions included", source: .export { $0.templates }
    ),
    Counter(
      name: "oversize", help: "records longer than --mtu, each in a message of its own",
      source: .export { $0.oversize }),
    Counter(name: "message bytes", help: "bytes sent", source: .export { $0.bytes }),
    Counter(
      name: "export faults", help: "parser faults while the fields of records were written",
      source: .export { $0.parserFaults }),
    Counter(
      name: "export dropped", help: "records that no collector took", source: .export { $0.lostRecords }),
  ]
}

extension CounterTable {
  /// The sum of the parser faults of the engine and all plugins.
  static func sum(_ faults: InlineArray<33, UInt64>) -> UInt64 {
    faults.indices.reduce(0) { $0 &+ faults[$1] }
  }

  /// The counter of frames that belong to no flow for `reason`.
  private static func discard(_ reason: DiscardReason, help: String) -> Counter {
    Counter(name: reason.name, help: help, source: .engine { $0.discarded[Int(reason.rawValue)] })
  }

  /// The counter of records that ended with `reason`.
  private static func ended(_ reason: FlowEndReason, help: String) -> Counter {
    Counter(name: reason.name.description, help: help, source: .engine { $0.ended[Int(reason.rawValue)] })
  }
}

/// All counters at one moment.
struct CounterSnapshot {
  /// Per worker lcore: its number and its counters.
  var workers: [(lcore: UInt32, loop: LcoreCounters, engine: WorkerCounters)] = []
  /// Per port: its number and its counters.
  var ports: [(port: UInt16, counters: PortCounters)] = []
  /// Records handed to the outputs, once each.
  var exported: UInt64 = 0
  /// Per output: its name and its counters.
  var outputs: [(name: String, counters: OutputCounters)] = []

  /// Parser faults on the export lcore, as `WorkerCounters.parserFaults`.
  var exportFaults = InlineArray<33, UInt64>(repeating: 0)
  /// The names of the enabled plugins, by slot.
  var plugins: [String] = []

  /// What `outputs` did together, with each record once.
  var export: OutputCounters {
    var sum = outputs.reduce(OutputCounters()) { $0 + $1.counters }
    sum.records = exported
    sum.parserFaults = CounterTable.sum(exportFaults)
    return sum
  }

  /// The counter's value for every lcore or port that has it; one value for the export lcore.
  func values(_ counter: Counter) -> [UInt64] {
    switch counter.source {
    case .lcore(let read): workers.map { read($0.loop) }
    case .engine(let read): workers.map { read($0.engine) }
    case .port(let read): ports.map { read($0.counters) }
    case .export(let read): [read(export)]
    }
  }

  /// The parser faults on all lcores by whose mistakes they are, without those that made none.
  var faults: [(name: String, count: UInt64)] {
    var faults: [(name: String, count: UInt64)] = []
    for index in exportFaults.indices {
      let count = workers.reduce(exportFaults[index]) { $0 &+ $1.engine.parserFaults[index] }
      guard count > 0 else { continue }
      // Index 0 is the engine's own, then the slots'.
      let slot = index - 1
      let name =
        slot < 0 ? "engine" : slot < plugins.count ? "plugin \(plugins[slot])" : "plugin number \(slot)"
      faults.append((name, count))
    }
    return faults
  }

  /// The sum over lcores or ports.
  func total(_ counter: Counter) -> UInt64 { values(counter).reduce(0, &+) }
}
