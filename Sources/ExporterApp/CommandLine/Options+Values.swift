// From the options' texts to the configuration that the rest of the program sees, and how the words of each option are read.
import ArgumentParser
import FlowCore
import Rendering

extension Options {
  /// All captures that are named.
  var captures: [String] { pcap + files }

  /// What the options ask for.
  var values: RunConfiguration {
    var values = RunConfiguration()
    values.plugins = PluginPreset.expand(preset, plugins.flatMap { $0 })
    values.captures = captures
    values.filter = filter
    values.sampling = sample
    values.exports = export
    values.exportMode = exportMode
    values.exportLcores = exportLcores
    values.activeTimeout = activeTimeout
    values.inactiveTimeout = inactiveTimeout
    values.flows = flows
    values.queues = queues
    values.queueMap = config
    values.observationDomain = odid
    values.largestMessage = mtu
    values.templateRefresh = templateRefresh
    values.templateRefreshMessages = templateRefreshMessages
    values.ownEnterpriseNumber = privateEnterpriseNumber
    values.addressDatabases = mmdb
    values.anonymisation = anonymise
    values.timestamps = timestamps
    values.tunnels = tunnels
    values.tunnelRecords = tunnelRecords
    values.rss = rss
    values.isUniflow = uniflow
    values.ingressInterfaces = ingressInterface
    values.origin.hasInterfaceName = interfaceNames
    values.origin.exporter = exporterAddress
    values.csvEscape = csvEscape
    values.stats = stats
    values.statsFormat = statsFormat
    values.isWide = wide
    values.csvNames = csvNames
    values.drainTimeout = drainTimeout
    values.spool = spool
    values.crashFolder = crashDir
    values.user = user
    values.systemCalls = seccomp
    values.metrics = metrics
    values.log = LogSettings(level: logLevel, format: logFormat, destination: logTo)
    values.clock = clock
    values.benchmarks.receivesOnly = benchmarks.receiveOnly
    values.benchmarks.takesCycles = benchmarks.cycles
    values.benchmarks.duration = benchmarks.duration
    return values
  }

  /// What holds where an option is not given.
  static var defaults: RunConfiguration { RunConfiguration() }
}

extension PluginPreset: ExpressibleByArgument {}
extension ExportMode: ExpressibleByArgument {}
extension ElementFile: ExpressibleByArgument {}
extension ClockChoice: ExpressibleByArgument {}
extension SystemCallPolicy: ExpressibleByArgument {}
extension LogLevel: ExpressibleByArgument {}
extension LogFormat: ExpressibleByArgument {}
extension LogDestination: ExpressibleByArgument {}
extension StatsFormat: ExpressibleByArgument {}
extension CSVNames: ExpressibleByArgument {}
extension CSVEscape: ExpressibleByArgument {}
extension TunnelRecords: ExpressibleByArgument {}
extension RSSFields: ExpressibleByArgument {}

extension TimestampPrecision: ExpressibleByArgument {
  public init?(argument: String) { self.init(words: argument) }
  public var defaultValueDescription: String { description }
}
