// Martlet's own options, as the design's contract lists them; EAL's are EAL's business. The rest of the program sees the
// `RunConfiguration` that they make.
import ArgumentParser
import Captures
import FlowCore
import Rendering

/// The options after `--`, or all of them offline.
struct Options: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Exports IP flows as IPFIX, with the fields that machine learning on encrypted traffic needs.",
    usage: """
      martlet [options] FILE [FILE …]
      martlet [options] -i INTERFACE
      martlet [EAL options] -- [options]
      martlet top [--help]
      """,
    discussion: """
      EAL options choose cores and ports: -l 0-3, --lcores '0@0,1@0,2@1', -a 0000:03:00.0, \
      --vdev=net_pcap0,rx_pcap=FILE. The first lcore controls, the second exports, the others receive, one RX \
      queue each. A capture needs no EAL options, no hugepages and no root; -i chooses EAL options and prints them.
      """,
    version: "martlet \(Product.version)")

  @Option(
    name: [.customLong("plugins"), .customLong("plugin")],
    help: ArgumentHelp(
      "Plugins in this order: a,b,c or NAME:key=value,key=value, or all; repeatable (none).",
      valueName: "NAME[:key=value[,…]]"), completion: .list(["all"] + PluginCatalogue.all.map(\.name)),
    transform: PluginCatalogue.parse)
  var plugins: [[PluginSelection]] = []

  @Option(
    help: ArgumentHelp(
      "A set of plugins besides those of --plugins, repeatable: see --list-plugins (none).",
      valueName: PluginPreset.allCases.map(\.rawValue).joined(separator: "|")))
  var preset: [PluginPreset] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Read captures (pcap or pcapng) in this order instead of ports; - is standard input.", valueName: "FILE"
    ), completion: .file())
  var pcap: [String] = []

  @Argument(help: ArgumentHelp("Captures, as with --pcap.", valueName: "FILE"))
  var files: [String] = []

  @Option(
    name: [.customShort("i"), .customLong("interface")],
    help: ArgumentHelp(
      """
      Watch an interface as tcpdump does, repeatable; any: all that are up but the loopback; af_xdp:NAME: take its packets \
      from the kernel, which is faster.
      """, valueName: "NAME"))
  var interface: [String] = []

  @Option(
    help: ArgumentHelp(
      "Look only at packets that match, in tcpdump's words (man pcap-filter), as 'tcp port 443' (all).",
      valueName: "EXPR"))
  var filter: String?

  @Option(
    help: ArgumentHelp(
      "Look only at the first of each N packets, at a random one of each N, or at one of N flows (1/1).",
      valueName: "[random:|flow:]1/N"), transform: Sampling.init)
  var sample = Self.defaults.sampling

  @Option(
    help: ArgumentHelp(
      """
      Where records go, repeatable: \(ExportScheme.allCases.map(\.form).joined(separator: ", ")), each with \
      ?NAME=VALUE[&…] behind it (--list-exports); FILE - is standard output, unix:PATH a socket that somebody listens on.
      """, valueName: "URL"))
  var export: [String] = []

  @Option(
    help: ArgumentHelp(
      "What several collectors get: each all records, the first that is there all, or each a share of the flows (mirror).",
      valueName: ExportMode.allCases.map(\.rawValue).joined(separator: "|")))
  var exportMode = Self.defaults.exportMode

  @Option(
    help: ArgumentHelp(
      "How many lcores export; the worker lcores are shared among them (1).", valueName: "N"),
    transform: { try Bounded.parse($0, in: 1...64) })
  var exportLcores = Self.defaults.exportLcores

  @Option(
    help: ArgumentHelp("A flow that goes on is exported after S seconds (300).", valueName: "S"),
    transform: Seconds.init)
  var activeTimeout = Self.defaults.activeTimeout

  @Option(
    help: ArgumentHelp("A flow without packets ends after S seconds (30).", valueName: "S"),
    transform: Seconds.init)
  var inactiveTimeout = Self.defaults.inactiveTimeout

  @Option(
    help: ArgumentHelp("Flow records per worker lcore (131072 offline, 1048576 live).", valueName: "N"),
    transform: MeteringSettings.flows)
  var flows: Int?

  @Option(
    help: ArgumentHelp("RX queues per port (all worker lcores spread over the ports).", valueName: "N"),
    transform: { try Bounded.parse($0, in: 1...1024) })
  var queues: Int?

  @Option(
    help: ArgumentHelp("An explicit map of queues to worker lcores.", valueName: "(port,queue,lcore),…"),
    transform: QueueMap.init)
  var config: QueueMap?

  @Option(
    help: ArgumentHelp("IPFIX observation domain (1).", valueName: "N"),
    transform: { UInt32(try Bounded.parse($0, in: 0...Int(UInt32.max))) })
  var odid = Self.defaults.observationDomain

  @Option(
    help: ArgumentHelp("Largest IPFIX message in bytes (1458).", valueName: "N"),
    transform: { try Bounded.parse($0, in: 512...65535) })
  var mtu = Self.defaults.largestMessage

  @Option(
    help: ArgumentHelp("UDP: templates are sent again after S seconds (600).", valueName: "S"),
    transform: Seconds.init)
  var templateRefresh = Self.defaults.templateRefresh

  @Option(
    help: ArgumentHelp(
      "UDP: templates are sent again after N messages, too; 0 for never (10000).", valueName: "N"),
    transform: { try Bounded.parse($0, in: 0...Int(UInt32.max)) })
  var templateRefreshMessages = Self.defaults.templateRefreshMessages

  @Option(
    help: ArgumentHelp(
      "Enterprise number of Martlet's own elements (the default is RFC 5612's, for documentation).",
      valueName: "N"),
    transform: OwnEnterprise.parse)
  var privateEnterpriseNumber = Self.defaults.ownEnterpriseNumber

  @Option(
    help: ArgumentHelp(
      "Which flowStart and flowEnd elements IPFIX carries; ms is what nfdump 1.7 and pmacct read.",
      valueName: "ms|us|ns[,…]"))
  var timestamps = Self.defaults.timestamps

  @Option(
    help: ArgumentHelp(
      """
      Which tunnels are opened: all, none, or some of \(TunnelKind.names(TunnelKind.allCases)); kind and number (VNI, TEID, key …) \
      are then part of a flow's key and record (\(TunnelKind.names(TunnelKind.allCases.filter(\.isUsual))), without that).
      """, valueName: "all|none|NAME[,…]"), transform: TunnelKinds.parse)
  var tunnels: TunnelKinds?

  @Option(
    help: ArgumentHelp(
      "Which packet makes the flow, where one carries another: the one inside, the outermost, or each (inner).",
      valueName: TunnelRecords.allCases.map(\.rawValue).joined(separator: "|")))
  var tunnelRecords = Self.defaults.tunnelRecords

  @Option(
    help: ArgumentHelp(
      "What RSS spreads packets over the queues by: addresses and ports, or addresses alone, which keeps fragments with their flow (ports).",
      valueName: RSSFields.allCases.map(\.rawValue).joined(separator: "|")))
  var rss = Self.defaults.rss

  @Option(
    help: ArgumentHelp(
      "A MaxMind database, repeatable: country, AS number and its operator for both sides of each flow (none).",
      valueName: "FILE"))
  var mmdb: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Other addresses in records: prefixes stay together under a key (cryptopan), or all but the first bits are 0 (truncate); \
      MAC addresses are 0 unless keep-macs; plugins that export payload or names run only by force (none).
      """, valueName: "cryptopan:KEYFILE|truncate:24,64[,keep-macs][,force]"), transform: Anonymisation.init)
  var anonymise: Anonymisation?

  @Flag(
    help: """
      A record for each direction of a flow, joined by flowId and flowStart, for collectors that do not know biflows (RFC 5103).
      """)
  var uniflow = false

  @Option(
    help: ArgumentHelp(
      "ingressInterface of all flows, or of those from one port; repeatable (the device's ifIndex, else the port's number + 1).",
      valueName: "N|PORT=N"), transform: IngressInterface.init)
  var ingressInterface: [IngressInterface] = []

  @Flag(help: "interfaceName in all records: the name that belongs to ingressInterface.")
  var interfaceNames = false

  @Option(
    help: ArgumentHelp(
      "exporterIPv4Address or exporterIPv6Address in all records, for tables that several probes fill (none).",
      valueName: "IP"), transform: IPAddress.init(exporter:))
  var exporterAddress: IPAddress?

  @Option(
    help: ArgumentHelp(
      "CSV: what becomes of text from the wire that a spreadsheet would run: an apostrophe before it, or nothing.",
      valueName: "formulas|none"))
  var csvEscape = Self.defaults.csvEscape

  @Option(
    help: ArgumentHelp(
      """
      CSV: columns by their names everywhere, or by the elements' alone, then with duration, source_file and JA3 in \
      plain hexadecimal.
      """, valueName: CSVNames.allCases.map(\.rawValue).joined(separator: "|")))
  var csvNames = Self.defaults.csvNames

  @Flag(help: "All columns in the table on standard output, which else fits 120 (files have them always).")
  var wide = false

  @Option(
    help: ArgumentHelp(
      "A line of counters on standard error every S seconds, 0 never (1 live on a terminal, else 0).",
      valueName: "S"), transform: Seconds.init)
  var stats: Seconds?

  @Option(
    help: ArgumentHelp(
      "Counters as rates in 100 columns and totals without zeros, all of them, or JSON (line on a terminal, else full).",
      valueName: StatsFormat.allCases.map(\.rawValue).joined(separator: "|")))
  var statsFormat: StatsFormat?

  @Option(
    help: ArgumentHelp(
      "After SIGINT or SIGTERM the outputs get S seconds to take what is left (10).", valueName: "S"),
    transform: Seconds.init)
  var drainTimeout = Self.defaults.drainTimeout

  @Option(
    help: ArgumentHelp(
      """
      Records for a TCP or TLS collector that is away wait in this directory, SIZE (as 1G) for each, also until the next \
      run (in memory alone).
      """, valueName: "DIR,SIZE"), transform: SpoolSettings.init)
  var spool: SpoolSettings?

  @Option(
    help: ArgumentHelp(
      "Where a killed process leaves a capture of its last burst (nowhere).", valueName: "FOLDER"),
    completion: .directory)
  var crashDir: String?

  @Option(
    help: ArgumentHelp(
      "Live: serve metrics for Prometheus over HTTP, /metrics, /healthz and /readyz; 127.0.0.1 where no address is given (none).",
      valueName: "[ADDR:]PORT"), transform: ListenAddress.init)
  var metrics: ListenAddress?

  @Option(
    help: ArgumentHelp(
      "What is less urgent than this is not said (info).",
      valueName: LogLevel.allCases.map(\.rawValue).joined(separator: "|")))
  var logLevel = Self.defaults.log.level

  @Option(
    help: ArgumentHelp(
      "How messages are written; json has an object with time, level and message for each (text).",
      valueName: LogFormat.allCases.map(\.rawValue).joined(separator: "|")))
  var logFormat = Self.defaults.log.format

  @Option(
    help: ArgumentHelp(
      "Where messages go (stderr).", valueName: LogDestination.allCases.map(\.rawValue).joined(separator: "|")
    ))
  var logTo = Self.defaults.log.destination

  @Option(
    help: ArgumentHelp(
      """
      Packets' times live: the device's where it gives any (auto), the device's or none, also a replayed file's \
      (device), or always the lcore's time stamp counter (tsc).
      """, valueName: "auto|device|tsc"))
  var clock = Self.defaults.clock

  @Option(
    help: ArgumentHelp(
      """
      When all is open the process goes on as this user, with no way back to root and with --seccomp on (as who started it).
      """, valueName: "NAME[:GROUP]"), transform: UserName.init)
  var user: UserName?

  @Option(
    help: ArgumentHelp(
      "When all is open, system calls other than those of --list-system-calls fail (on with --user, else off).",
      valueName: SystemCallPolicy.allCases.map(\.rawValue).joined(separator: "|")))
  var seccomp: SystemCallPolicy?

  @Option(
    help: ArgumentHelp(
      "Options from a YAML file, by their long names, EAL's below eal:; the command line wins.",
      valueName: "FILE"))
  var settings: String?

  @Option(help: ArgumentHelp("Say what is wrong in a settings file, line by line.", valueName: "FILE"))
  var check: String?

  @Flag(help: "Print the options in effect as a settings file.")
  var printSettings = false

  @Flag(help: "List the plugins with their options, fields and bytes per flow, and the presets.")
  var listPlugins = false

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "List what models are and want to know of a flow, and whether their objects match.",
      valueName: "NAME.model"),
    completion: .file())
  var listModels: [String] = []

  @Flag(help: "List where records may go, and the parameters of each kind of export.")
  var listExports = false

  @Flag(help: "List the tunnels that can be opened, where each is found, and what its number is.")
  var listTunnels = false

  @Flag(help: "List the counters with their kind, unit and meaning.")
  var listCounters = false

  @Flag(help: "List the system calls that --seccomp on leaves, and what they are for.")
  var listSystemCalls = false

  @Flag(help: "List the metrics of --metrics with their type, labels and meaning.")
  var listMetrics = false

  @Option(
    help: ArgumentHelp(
      "Print the elements of all plugins, or of those of --plugins, as a collector reads them.",
      valueName: ElementFile.allCases.map(\.rawValue).joined(separator: "|")))
  var printElements: ElementFile?

  @Option(
    help: ArgumentHelp(
      """
      Print a declaration of the JSON records with the plugins given: tables of ClickHouse, a StructType of Spark, or a \
      JSON Schema; or a JSON Schema of settings files.
      """, valueName: PrintedSchema.names.joined(separator: "|")))
  var printSchema: PrintedSchema?

  @OptionGroup(title: "Benchmarks")
  var benchmarks: BenchmarkOptions
}

/// Options that benchmarks and tests use.
struct BenchmarkOptions: ParsableArguments {
  @Flag(help: "Receive, count and free packets without looking at them: what the device alone costs.")
  var receiveOnly = false

  @Flag(help: "Take the cycles of each pass over a burst and print them with the totals.")
  var cycles = false

  @Option(
    help: ArgumentHelp("End as if interrupted after S seconds.", valueName: "S"), transform: Seconds.init)
  var duration: Seconds?
}
