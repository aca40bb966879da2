// What a run is to do, as a plain value: the command line fills it, and no part of the program knows where it came from.
import FlowCore
import IPFIX
import Rendering

/// Everything that the user can choose; the values here are the defaults.
struct RunConfiguration: Sendable {
  /// Plugins in the order of their fields.
  var plugins: [PluginSelection] = []
  /// Where the settings came from; nil where no file has any.
  var source: SettingsSource?
  /// Lines to say at the start: what was chosen, and what to do about it.
  var notes: [String] = []
  /// What to say there that is not as it should be.
  var warnings: [String] = []
  /// The captures to read in this order, "-" is standard input; none live.
  var captures: [String] = []
  /// Which packets are looked at, in pcap's words; nil for all.
  var filter: String?
  /// Which of these make flows.
  var sampling = Sampling.all
  /// Where records go, as `ExportURL` reads it.
  var exports: [String] = []
  /// What several collectors get.
  var exportMode = ExportMode.mirror
  /// How many lcores export, live.
  var exportLcores = 1
  /// After how long a flow that goes on is exported.
  var activeTimeout = Seconds(nanoseconds: 300_000_000_000)
  /// After how long without packets a flow ends.
  var inactiveTimeout = Seconds(nanoseconds: 30_000_000_000)
  /// Flow records per worker lcore; nil for what is usual offline or live.
  var flows: Int?
  /// RX queues per port; nil for as many as there are worker lcores.
  var queues: Int?
  /// Which worker lcore polls which queue; nil for a queue each.
  var queueMap: QueueMap?
  /// The IPFIX observation domain.
  var observationDomain: UInt32 = 1
  /// The largest IPFIX message in bytes, 512 to 65535.
  var largestMessage = 1458
  /// UDP: after how long templates are sent again.
  var templateRefresh = Seconds(nanoseconds: 600_000_000_000)
  /// UDP: after how many messages templates are sent again, whatever the time; 0 for never.
  var templateRefreshMessages = 10_000
  /// The enterprise number of Martlet's own elements.
  var ownEnterpriseNumber = EnterpriseNumber.documentation
  /// Databases that say where addresses are, and whose.
  var addressDatabases: [String] = []
  /// What becomes of addresses; nil where they stay.
  var anonymisation: Anonymisation?
  /// Which flowStart and flowEnd elements IPFIX carries.
  var timestamps: TimestampPrecision = [.milliseconds, .microseconds]
  /// The kinds of tunnels that are opened, whose identifiers tell flows apart; nil for those of the flow contract, which do not.
  var tunnels: TunnelKinds?
  /// Which packet makes the flow, where one carries another.
  var tunnelRecords = TunnelRecords.inner
  /// What RSS spreads packets by.
  var rss = RSSFields.ports
  /// A record for each direction of a flow.
  var isUniflow = false
  /// The numbers of ports' interfaces; the last one that is about a port counts.
  var ingressInterfaces: [IngressInterface] = []
  /// What is escaped in CSV.
  var csvEscape = CSVEscape.formulas
  /// From one line of counters to the next, 0 for never; nil for what is usual.
  var stats: Seconds?
  /// In which form counters are shown; nil for what standard error is for.
  var statsFormat: StatsFormat?
  /// The table of text on standard output has all columns.
  var isWide = false
  /// How the columns of CSV are named, and what there are.
  var csvNames = CSVNames.full
  /// How long the outputs get at the end.
  var drainTimeout = Seconds(nanoseconds: 10_000_000_000)
  /// Where records wait for collectors that are away; nil for memory alone.
  var spool: SpoolSettings?
  /// The folder for what a killed process leaves; nil for nowhere.
  var crashFolder: String?
  /// As whom the process goes on when all is open; nil for who started it.
  var user: UserName?
  /// Whether system calls are filtered then; nil for what is usual with or without `user`.
  var systemCalls: SystemCallPolicy?
  /// What becomes of what the program says.
  var log = LogSettings()
  /// Where metrics are asked for over HTTP; nil for nowhere.
  var metrics: ListenAddress?
  /// Whose clock packets are timed by, live.
  var clock = ClockChoice.auto
  /// What only benchmarks and tests ask for.
  var benchmarks = Benchmarks()

  /// The folders, besides those of exports, in which files are made while the process runs, each with its option.
  var folders: [(purpose: String, path: String)] {
    [("--crash-dir", crashFolder), ("--spool", spool?.directory)].compactMap { option, path in
      path.map { ("\(option) \($0)", $0) }
    }
  }

  /// What only benchmarks and tests ask for.
  struct Benchmarks: Sendable {
    /// Packets are received, counted and freed without a look at them.
    var receivesOnly = false
    /// The cycles of each pass over a burst are taken.
    var takesCycles = false
    /// The run ends after this, as if interrupted.
    var duration: Seconds?
  }
}

/// What several collectors get of the records. Files get all of them in any case.
enum ExportMode: String, CaseIterable, Sendable {
  /// Each gets all.
  case mirror
  /// The first in the order given that can be reached gets all.
  case failover
  /// Each flow's records go to one of those that can be reached.
  case distribute
}

/// What is escaped in CSV beyond what the format itself asks for.
enum CSVEscape: String, Sendable {
  /// Text that begins with `=`, `+`, `-`, `@`, a tab or a line end.
  case formulas
  /// Nothing.
  case none
}

/// What `--rss` asks for: which fields of a packet choose its queue.
enum RSSFields: String, CaseIterable, Sendable {
  /// Addresses and, where there are some, ports.
  case ports
  /// Addresses alone.
  case addresses
}

/// What `--clock` asks for.
enum ClockChoice: String, CaseIterable, Sendable {
  /// The device's times where it gives any; a replay has the time of its replay.
  case auto
  /// The device's times, also those of a replayed file.
  case device
  /// The CPU's time stamp counter.
  case tsc
}
