// Every counter, declared once: the --stats line, the totals, `--list-counters` and docs/counters.md follow from this table.
import Captures
import FlowCore

/// All counters, in the order of a packet's way.
enum CounterTable {
  static let all: [Counter] =
    arrivals + ports + choices + EngineCounters.all.map(Counter.init) + rings + exports + deliveries

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

  /// What nobody wanted to see.
  private static let choices = [
    loop("filtered", .packets, "packets that --filter left out") { $0.filtered },
    loop("filtered bytes", .bytes, "their bytes on the wire") { $0.filteredBytes },
  ]

  /// What is lost on the way to the export lcore.
  private static let rings = [
    loop("ring full", .records, "records lost because the export lcore was too slow") { $0.ringFull }
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
  /// The sum of the parser faults of the engine and all plugins.
  private static func sum(_ faults: ParserFaultCounts) -> UInt64 {
    faults.indices.reduce(0) { $0 &+ faults[$1] }
  }

  private static func loop(
    _ name: String, _ unit: Counter.Unit, _ help: String,
    _ read: @escaping @Sendable (LcoreCounters) -> UInt64
  ) -> Counter {
    Counter(name: name, kind: .counter, unit: unit, help: help, source: .loop(read))
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
