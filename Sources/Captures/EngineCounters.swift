// What an engine counts, declared once: for the exporter's table of counters and for the library.
import FlowCore
import IPFIX
import Wire

/// The counters of engines, in the order of a packet's way.
public enum EngineCounters {
  public static let all: [EngineCounter] =
    choices + [
      engine("fragments", .packets, "fragments among the packets") { $0.fragments }
    ] + tunnels + DiscardReason.allCases.map(discard) + flows + FlowEndReason.allCases.compactMap(ended)
    + losses

  /// What nobody wanted to see.
  private static let choices = [
    engine("not sampled", .packets, "packets that --sample left out") { $0.notSampled },
    engine("not sampled bytes", .bytes, "their bytes on the wire") { $0.notSampledBytes },
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
  ]
}

extension EngineCounters {
  /// The counter of frames that belong to no flow for `reason`: each reason has one, or this does not compile.
  private static func discard(_ reason: DiscardReason) -> EngineCounter {
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
  private static func ended(_ reason: FlowEndReason) -> EngineCounter? {
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
  private static func sum(_ faults: ParserFaultCounts) -> UInt64 {
    faults.indices.reduce(0) { $0 &+ faults[$1] }
  }

  private static func engine(
    _ name: String, _ unit: EngineCounter.Unit, kind: EngineCounter.Kind = .counter, _ help: String,
    _ read: @escaping @Sendable (WorkerCounters) -> UInt64
  ) -> EngineCounter {
    EngineCounter(name: name, kind: kind, unit: unit, help: help, read: read)
  }
}
