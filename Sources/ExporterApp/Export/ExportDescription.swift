// What an export says of itself, for collectors that have never heard of Martlet: which options records, and from which counters.
import FlowCore
import IPFIX

/// What the options records of one export lcore's IPFIX outputs say.
struct ExportDescription {
  /// What does not change while the run goes on.
  let constants: [OptionsRecord]
  /// Which packets are looked at, which may change.
  let selection: SelectionStatement
  /// Nanoseconds from one report of statistics to the next.
  let interval: UInt64
  private let domain: UInt32
  private let process: UInt32
  /// The exported number of a port.
  private let interface: (UInt16) -> UInt32
  /// The counters of what is exported here.
  private let metering: () -> CounterSnapshot

  /// When records were lost, in milliseconds since 1970; 0 as long as none was.
  struct Losses {
    var records: UInt64 = 0
    var first: UInt64 = 0
    var last: UInt64 = 0

    /// Notes that so many records are lost by now.
    mutating func note(_ records: UInt64, now: Moment) {
      guard records > self.records else { return }
      self.records = records
      last = UInt64(now.unixSeconds) &* 1000
      if first == 0 { first = last }
    }
  }

  /// What is said of a run.
  ///
  /// - Parameters:
  ///   - process: which of the export lcores it is, from 1; it and the workers that it serves are one metering process.
  ///   - ports: where packets come from.
  ///   - selection: which of them are looked at.
  ///   - metering: gives the counters of the workers that the lcore serves, of their queues, and of the ports.
  init(
    _ settings: RunConfiguration, schema: BuiltInSchema, process: UInt32, ports: [PortInterface],
    selection: SelectionStatement, metering: @escaping () -> CounterSnapshot
  ) {
    // Each export lcore has a domain of its own.
    domain = settings.observationDomain &+ (process &- 1)
    self.process = process
    interval = max(settings.templateRefresh.nanoseconds, 1_000_000_000)
    interface = { schema.interface(ofPort: $0) }
    self.selection = selection
    self.metering = metering
    var constants: [OptionsRecord] = []
    var described: Set<UInt32> = []
    for port in ports {
      let number = schema.interface(ofPort: port.port)
      guard described.insert(number).inserted else { continue }
      constants.append(.interface(number, name: port.name))
      constants.append(.interfaceDescription(domain: domain, number, port.description))
    }
    constants.append(
      .timeouts(
        process: process, active: settings.activeTimeout.wholeSeconds,
        idle: settings.inactiveTimeout.wholeSeconds))
    self.constants = constants
  }

  /// Hands over what was done so far.
  ///
  /// - Parameters:
  ///   - sent: the output's counters.
  ///   - losses: is told what was lost between the lcores, too.
  func reportStatistics(
    _ sent: OutputCounters, _ losses: inout Losses, now: Moment, to report: (OptionsRecord) -> Void
  ) {
    let counters = metering()
    var observed: UInt64 = 0
    var lost = sent.lostRecords
    var ignored = IgnoredPackets()
    var ignoredPackets: UInt64 = 0
    for worker in counters.workers {
      observed &+= worker.engine.flowsMade
      lost &+= worker.loop.ringFull
      ignoredPackets &+= worker.engine.ignoredPackets
      ignored.add(worker.engine.ignored)
    }
    losses.note(lost, now: now)
    report(
      .exportStatistics(
        domain: domain, process: process, observedFlows: observed, messages: sent.messages,
        flowRecords: sent.sentRecords, octets: sent.bytes))
    report(
      .meteringReliability(
        domain: domain, process: process, packets: ignoredPackets, octets: ignored.octets,
        first: ignored.first / 1_000_000, last: ignored.last / 1_000_000))
    report(
      .exportingReliability(
        process: process, flows: losses.records, first: losses.first, last: losses.last))
    for queue in counters.queues {
      report(.receiveQueue(interface: interface(queue.port), queue: queue.queue, packets: queue.received))
    }
    for port in counters.ports {
      let dropped = port.counters.missed &+ port.counters.noMbuf &+ port.counters.errors
      report(.port(interface: interface(port.port), dropped: dropped))
    }
  }
}
