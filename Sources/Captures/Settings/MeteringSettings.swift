// What flows are made of, and when they end: what the exporter and the library ask of an engine, as a plain value.
import FlowCore

/// What the user can choose about flows and their fields; the values here are the defaults.
public struct MeteringSettings: Sendable {
  /// Plugins in the order of their fields.
  public var plugins: [PluginSelection] = []
  /// Which packets are looked at, in pcap's words; nil for all.
  public var filter: String?
  /// Which of these make flows.
  public var sampling = Sampling.all
  /// After how long a flow that goes on is exported.
  public var activeTimeout = Seconds(nanoseconds: 300_000_000_000)
  /// After how long without packets a flow ends.
  public var inactiveTimeout = Seconds(nanoseconds: 30_000_000_000)
  /// Flow records per worker; nil for what is usual offline or live.
  public var flows: Int?
  /// What becomes of addresses; nil where they stay.
  public var anonymisation: Anonymisation?
  /// Which flowStart and flowEnd elements IPFIX carries.
  public var timestamps: TimestampPrecision = [.milliseconds, .microseconds]
  /// The kinds of tunnels that are opened, whose identifiers tell flows apart; nil for those of the flow contract, which do not.
  public var tunnels: TunnelKinds?
  /// Which packet makes the flow, where one carries another.
  public var tunnelRecords = TunnelRecords.inner
  /// A record for each direction of a flow.
  public var isUniflow = false

  /// The defaults.
  public init() {}

  /// What is done with tunnels.
  public var tunnelSettings: TunnelSettings { TunnelSettings(kinds: tunnels, records: tunnelRecords) }

  /// Flow records for each worker.
  public func flowLimit(live: Bool) -> Int { flows ?? (live ? 1 << 20 : 1 << 17) }

  /// Reads a number of flow records.
  public static func flows(_ text: String) throws -> Int { try Bounded.parse(text, in: 64...(1 << 30)) }
}
