// Every counter, declared once: the --stats line, the totals, `--list-counters` and docs/counters.md follow from this table.
import FlowCore
import IPFIX
import Wire

/// All counters, in the order of a packet's way.
enum CounterTable {
  static let all: [Counter] =
    arrivals + ports + choices + [
      engine("fragments", .packets, "fragments among the packets") { $0.fragments }
    ] + tunnels + DiscardReason.allCases.map(discard) + flows + FlowEndReason.allCases.compactMap(ended)
    + losses
    + exports + deliveries

  /// What came from the RX queues or the capture.
  private static let arrivals = [
    loop("received", .packets, "packets that the RX queues or the capture gave") { $0.received },
    loop("bytes", .bytes, "their bytes on the wire") { $0.bytes },
    loop("linearised", .packets, "packets of several mbufs, copied together (slow)") { $0.linearised },
    loop(
      "times refused", .packets,
      "packets whose device gave no time, or one that cannot be: they got the lcore's"
    ) { $0.timesRefused },
  ]

  /// What never reached a worker.
  private static let ports = [
    port(
      "missed", .packets, "packets that found no free RX descriptor (imissed): the worker is too slow"
    ) { $0.missed },
    port("no mbuf", .packets, "packets that found no free packet buffer (rx_nombuf)") { $0.noMbuf },
    port("errors", .packets, "packets that the device found damaged (ierrors)") { $0.errors },
  ]

  /// Packets inside of others.
  private static let tunnels = [
    engine("tunnelled", .packets, "packets in tunnels that are opened") { $0.tunnelled },
    engine(
      "outer packets", .packets,
      "packets of tunnels that are counted in flows of their own, besides those inside (--tunnel-records both)"
    ) { $0.tunnelsOutside },
    engine(
      "tunnel not opened", .packets,
      "packets with a tunnel's port or protocol, but no header of it that is known, or no IP packet inside"
    ) { $0.tunnelsUnopened },
    engine("tunnels too deep", .packets, "packets in more tunnels than are opened, which are four") {
      $0.tunnelsTooDeep
    },
  ]

  /// What nobody wanted to see.
  private static let choices = [
    loop("filtered", .packets, "packets that --filter left out") { $0.filtered },
    loop("filtered bytes", .bytes, "their bytes on the wire") { $0.filteredBytes },
    engine("not sampled", .packets, "packets that --sample left out") { $0.notSampled },
    engine("not sampled bytes", .bytes, "their bytes on the wire") { $0.notSampledBytes },
  ]

  /// The flow table.
  private static let flows = [
    engine("flows made", .flows, "flow records started") { $0.flowsMade },
    engine("in table", .flows, kind: .gauge, "flow records in the table now") { $0.inTable },
  ]

  /// What ended, and what there was no memory or time for.
  private static let losses = [
    engine("packets in flows", .packets, "packets counted in the records that ended") { $0.endedPackets },
    engine("table full", .packets, "packets that found no record free") { $0.tableFull },
    engine("slab full", .blocks, "blocks that plugins had to do without") { $0.slabFull },
    engine("fingerprint left out", .hellos, "hellos with too much in them for JA3 and JA4") {
      $0.fingerprintsLeftOut
    },
    engine("scores unusable", .values, "scores of models that are no numbers: the flow got no label") {
      $0.scoresUnusable
    },
    engine("stream gaps", .segments, "segments of TCP that were given up: they are missing, or came too late")
    {
      $0.streams.gaps
    },
    engine(
      "stream lost", .segments,
      "segments of TCP that could not be kept for plugins: no memory, or too many pieces"
    ) {
      $0.streams.lost
    },
    engine("stream full", .streams, "directions of TCP of which a plugin wanted more than 16 KiB at once") {
      $0.streams.full
    },
    engine("records left out", .packets, "packets that had more in them than the records one packet may make")
    {
      $0.recordsLeftOut
    },
    engine(
      "parser faults", .faults, "reads and writes outside of their bytes, mistakes of Martlet or a plugin"
    ) { sum($0.parserFaults) },
    loop("ring full", .records, "records lost because the export lcore was too slow") { $0.ringFull },
  ]

  /// The way out.
  private static let exports = [
    Counter(
      name: "exported", kind: .counter, unit: .records, help: "records handed to the outputs",
      source: .export({ $0.records }, ofOutput: { $0.records })),
    output("messages", .messages, "IPFIX messages sent") { $0.messages },
    output("templates", .templates, "template records sent, repetitions included") { $0.templates },
    output("oversize", .records, "records longer than --mtu, each in a message of its own") { $0.oversize },
    output("message bytes", .bytes, "bytes sent") { $0.bytes },
    Counter(
      name: "export faults", kind: .counter, unit: .faults,
      help: "parser faults while the fields of records were written",
      source: .export({ sum($0.parserFaults) }, ofOutput: { _ in 0 })),
    Counter(
      name: "looked up", kind: .counter, unit: .addresses,
      help: "addresses that databases were asked for (--mmdb), because they were not remembered",
      source: .export({ $0.lookups.addresses }, ofOutput: { _ in 0 })),
    Counter(
      name: "database errors", kind: .counter, unit: .values,
      help: "values in databases (--mmdb) that are wrong or damaged, and taken for nothing",
      source: .export({ $0.lookups.errors }, ofOutput: { _ in 0 })),
    output(
      "TLS refused", .connections,
      "connections to a collector that either side ended in TLS's handshake: certificate, name, version"
    ) { $0.refusals },
    output("spooled", .records, "records written to the spool (--spool)") { $0.spooled },
    output("spool delivered", .records, "records sent from the spool, of earlier runs too") {
      $0.spoolDelivered
    },
    output("spool waiting", .records, kind: .gauge, "records in the spool that are still to be sent") {
      $0.spoolWaiting
    },
    output(
      "sent again", .records,
      "records that a broken connection made doubtful: the collector may have them twice"
    ) { $0.repeated },
    output(
      "spool torn", .records,
      "records that earlier runs had taken, or that were on the disk, and that cannot be read: lost"
    ) { $0.spoolTorn },
    output("export dropped", .records, "records that no collector took, for one of the reasons below") {
      $0.lostRecords
    },
    output(
      "queue full", .records, "no room in memory: the collector, a file, or the spool's disk is too slow"
    ) {
      $0.queueFull
    },
    output("spool full", .records, "no room in the spool (--spool)") { $0.spoolFull },
    output(
      "disk error", .records,
      "a file, its reader, or the spool's disk did not take them: full, gone, or another reason"
    ) {
      $0.diskErrors
    },
    output("unacknowledged", .records, "sent, but not acknowledged when the connection ended, or refused") {
      $0.unacknowledged
    },
    output(
      "no address", .records, "the name of a collector over UDP has no address, or none with a way to it"
    ) {
      $0.noAddress
    },
    output("send failed", .records, "the system did not send them over UDP") { $0.sendFailed },
    output("too long", .records, "longer than any message, also with their fields shortened") { $0.tooLong },
    output(
      "shortened", .records, "records too long for any message, whose longest fields were shortened"
    ) { $0.shortened },
    output(
      "options", .records, "options records sent, which say what the stream is, repetitions included"
    ) { $0.options },
  ]

  /// What became of records in Kafka, besides `queue full`. All but the first are among `export dropped`.
  private static let deliveries = [
    output("acknowledged", .records, "records that Kafka has stored") { $0.deliveries.acknowledged },
    output("delivery timed out", .records, "records that Kafka did not take within message.timeout.ms") {
      $0.deliveries.timedOut
    },
    output("delivery refused", .records, "records that Kafka refused: no such topic, no right, too long") {
      $0.deliveries.refused
    },
    output("delivery unknown", .records, "records sent to Kafka, and stored or not: no answer came") {
      $0.deliveries.unknown
    },
    output(
      "delivery given up", .records, "records that waited for Kafka at the end, or when the producer failed"
    ) {
      $0.deliveries.givenUp
    },
  ]
}

extension CounterTable {
  /// The counter of frames that belong to no flow for `reason`: each reason has one, or this does not compile.
  private static func discard(_ reason: DiscardReason) -> Counter {
    let help =
      switch reason {
      case .notIP: "frames without an IP packet"
      case .linkTruncated: "captures that end in a link-layer or tunnel header"
      case .tooManyHeaders: "frames with too many headers around the IP packet"
      case .ipHeaderInvalid: "impossible IP version or header length"
      case .ipTruncated: "captures that end in an IP header"
      case .transportTruncated: "captures that end in a TCP, UDP, UDP-Lite or SCTP header"
      case .tcpHeaderInvalid: "TCP header length or options that contradict each other"
      case .tunnelFragment:
        "fragments behind the first of a packet in a tunnel: the first is counted as the packet inside, with all its octets"
      }
    return engine(reason.name, .packets, help) { $0.discarded[total: Int(reason.rawValue)] }
  }

  /// The counter of records that ended with `reason`; nil for what is no end.
  private static func ended(_ reason: FlowEndReason) -> Counter? {
    let help =
      switch reason {
      case .none: ""
      case .idleTimeout: "ended by the inactive timeout"
      case .activeTimeout: "cut by the active timeout"
      case .endOfFlow: "ended by FIN or RST"
      case .forced: "ended by a flush"
      case .lackOfResources: "evicted: their place in the table was needed"
      }
    guard reason != .none else { return nil }
    return engine(reason.name.description, .records, "\(help) (reason \(reason.rawValue))") {
      $0.ended[total: Int(reason.rawValue)]
    }
  }

  /// The sum of the parser faults of the engine and all plugins.
  private static func sum(_ faults: InlineArray<33, UInt64>) -> UInt64 {
    faults.indices.reduce(0) { $0 &+ faults[$1] }
  }

  private static func loop(
    _ name: String, _ unit: Counter.Unit, _ help: String,
    _ read: @escaping @Sendable (LcoreCounters) -> UInt64
  ) -> Counter {
    Counter(name: name, kind: .counter, unit: unit, help: help, source: .loop(read))
  }

  private static func engine(
    _ name: String, _ unit: Counter.Unit, kind: Counter.Kind = .counter, _ help: String,
    _ read: @escaping @Sendable (WorkerCounters) -> UInt64
  ) -> Counter {
    Counter(name: name, kind: kind, unit: unit, help: help, source: .engine(read))
  }

  private static func port(
    _ name: String, _ unit: Counter.Unit, _ help: String, _ read: @escaping @Sendable (PortCounters) -> UInt64
  ) -> Counter {
    Counter(name: name, kind: .counter, unit: unit, help: help, source: .port(read))
  }

  private static func output(
    _ name: String, _ unit: Counter.Unit, kind: Counter.Kind = .counter, _ help: String,
    _ read: @escaping @Sendable (OutputCounters) -> UInt64
  ) -> Counter {
    Counter(name: name, kind: kind, unit: unit, help: help, source: .output(read))
  }
}
