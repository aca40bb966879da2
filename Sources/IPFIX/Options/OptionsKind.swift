// Which options records there are (RFC 7011 section 3.4.2): what a stream says about itself, besides flows.

/// A kind of options record; each has one options template.
public enum OptionsKind: UInt8, CaseIterable, Sendable {
  /// Name, type, semantics and units of an enterprise's element (RFC 5610).
  case elementType = 1
  /// Which fields of a template's records make up the flow key (RFC 7011 section 4.4).
  case flowKeys
  /// What was exported (RFC 7011 section 4.1).
  case exportStatistics
  /// Packets that no flow counts (RFC 7011 section 4.2).
  case meteringReliability
  /// Flow records that were not sent (RFC 7011 section 4.3).
  case exportingReliability
  /// Packets that an RX queue gave.
  case receiveQueue
  /// Packets that a port's device dropped.
  case port
  /// When flows end.
  case timeouts
  /// Which packets are sampled, by their count (RFC 5477 section 8.2.1): one of these three in a stream.
  case systematicSelector
  /// Which are by chance (RFC 5477 section 8.2.3).
  case randomSelector
  /// Which flows are (RFC 7014 section 5.1).
  case flowSelector
  /// Which packets pass the filter (RFC 5477 section 8.2.5).
  case filter
  /// The name of an interface.
  case interface
  /// An interface's device, in the form in which nfcapd reads it.
  case interfaceDescription

  /// How many of the fields, from the first on, say what the others are about.
  public var scopeCount: Int {
    switch self {
    case .elementType, .exportStatistics, .meteringReliability, .receiveQueue: 2
    case .flowKeys, .exportingReliability, .port, .timeouts, .systematicSelector, .randomSelector,
      .flowSelector, .filter,
      .interface, .interfaceDescription:
      1
    }
  }

  /// Whether each record is a set of its own; see `OptionsRecord.elementType`.
  var isAloneInSet: Bool { self == .elementType }
}
