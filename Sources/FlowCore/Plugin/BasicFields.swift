// The fields that every record has, declared in the order of the template.
import IPFIX

/// Which flowStart/flowEnd elements IPFIX carries (`--timestamps`): one precision or several.
public struct TimestampPrecision: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let milliseconds = TimestampPrecision(rawValue: 1)
  public static let microseconds = TimestampPrecision(rawValue: 2)
  public static let nanoseconds = TimestampPrecision(rawValue: 4)

  /// The words of `--timestamps`, in the order in which the elements stand in a record.
  public static let words: [(word: String, precision: TimestampPrecision)] = [
    ("ms", .milliseconds), ("us", .microseconds), ("ns", .nanoseconds),
  ]

  /// The precisions that a list of words, joined by commas, names; nil where one is unknown or named twice.
  public init?(words: String) {
    var all = TimestampPrecision(rawValue: 0)
    for word in words.split(separator: ",", omittingEmptySubsequences: false) {
      guard let known = TimestampPrecision.words.first(where: { $0.word == word }),
        all.insert(known.precision).inserted
      else { return nil }
    }
    self = all
  }

  /// The words, joined by commas.
  public var description: String {
    TimestampPrecision.words.filter { contains($0.precision) }.map(\.word).joined(separator: ",")
  }
}

/// IANA's information elements of a biflow (RFC 7012, RFC 5103).
enum BasicElements {
  static let flowEndReason = InformationElement(
    .iana, 136, "flowEndReason", .unsigned8, semantics: .identifier)
  static let octets = InformationElement(
    .iana, 1, "octetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .octets)
  static let reverseOctets = InformationElement(
    .iana, 1, "octetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .octets, isReverse: true)
  static let packets = InformationElement(
    .iana, 2, "packetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .packets)
  static let reversePackets = InformationElement(
    .iana, 2, "packetDeltaCount", .unsigned64, semantics: .deltaCounter, units: .packets, isReverse: true)
  static let startMilliseconds = InformationElement(
    .iana, 152, "flowStartMilliseconds", .dateTimeMilliseconds)
  static let endMilliseconds = InformationElement(.iana, 153, "flowEndMilliseconds", .dateTimeMilliseconds)
  static let startMicroseconds = InformationElement(
    .iana, 154, "flowStartMicroseconds", .dateTimeMicroseconds)
  static let endMicroseconds = InformationElement(.iana, 155, "flowEndMicroseconds", .dateTimeMicroseconds)
  static let startNanoseconds = InformationElement(.iana, 156, "flowStartNanoseconds", .dateTimeNanoseconds)
  static let endNanoseconds = InformationElement(.iana, 157, "flowEndNanoseconds", .dateTimeNanoseconds)
  static let ipVersion = InformationElement(.iana, 60, "ipVersion", .unsigned8, semantics: .identifier)
  static let protocolIdentifier = InformationElement(
    .iana, 4, "protocolIdentifier", .unsigned8, semantics: .identifier)
  static let tcpControlBits = InformationElement(.iana, 6, "tcpControlBits", .unsigned16, semantics: .flags)
  static let reverseTCPControlBits = InformationElement(
    .iana, 6, "tcpControlBits", .unsigned16, semantics: .flags, isReverse: true)
  static let sourcePort = InformationElement(
    .iana, 7, "sourceTransportPort", .unsigned16, semantics: .identifier)
  static let destinationPort = InformationElement(
    .iana, 11, "destinationTransportPort", .unsigned16, semantics: .identifier)
  static let ingressInterface = InformationElement(
    .iana, 10, "ingressInterface", .unsigned32, semantics: .identifier)
  static let sourceIPv4 = InformationElement(.iana, 8, "sourceIPv4Address", .ipv4Address)
  static let destinationIPv4 = InformationElement(.iana, 12, "destinationIPv4Address", .ipv4Address)
  static let sourceIPv6 = InformationElement(.iana, 27, "sourceIPv6Address", .ipv6Address)
  static let destinationIPv6 = InformationElement(.iana, 28, "destinationIPv6Address", .ipv6Address)
  static let sourceMAC = InformationElement(.iana, 56, "sourceMacAddress", .macAddress)
  static let destinationMAC = InformationElement(.iana, 80, "destinationMacAddress", .macAddress)
  static let vlan = InformationElement(.iana, 58, "vlanId", .unsigned16, semantics: .identifier)
}

extension RecordSchema {
  /// The elements by which flows are told apart, where a record has them (RFC 7011 section 4.4): the VLAN only with a plugin,
  /// tunnels only with `--tunnels`.
  public static var flowKeys: [InformationElement] {
    [
      BasicElements.ipVersion, BasicElements.protocolIdentifier, BasicElements.sourcePort,
      BasicElements.destinationPort, BasicElements.sourceIPv4, BasicElements.destinationIPv4,
      BasicElements.sourceIPv6, BasicElements.destinationIPv6, BasicElements.vlan, TunnelElements.type,
      TunnelElements.identifier, TunnelElements.segment, TunnelElements.serviceInstance, TunnelElements.teid,
    ]
  }
}

extension FlowRecord {
  /// Writes the basic fields of a finished record; `interface` is the number of where its first packet came in.
  @inline(__always)
  func exportBasicFields<Writer: FieldWriter & ~Copyable>(
    _ precision: TimestampPrecision, interface: UInt32, into writer: inout Writer
  ) {
    writer.unsigned8(BasicElements.flowEndReason, endReason.rawValue)
    writer.unsigned64(BasicElements.octets, forwardOctets)
    writer.unsigned64(BasicElements.reverseOctets, reverseOctets)
    writer.unsigned64(BasicElements.packets, UInt64(forwardPackets))
    writer.unsigned64(BasicElements.reversePackets, UInt64(reversePackets))
    // Milliseconds first: collectors that read only these take the first times that they know.
    if precision.rawValue & TimestampPrecision.milliseconds.rawValue != 0 {
      writer.time(BasicElements.startMilliseconds, nanoseconds: first)
      writer.time(BasicElements.endMilliseconds, nanoseconds: last)
    }
    if precision.rawValue & TimestampPrecision.microseconds.rawValue != 0 {
      writer.time(BasicElements.startMicroseconds, nanoseconds: first)
      writer.time(BasicElements.endMicroseconds, nanoseconds: last)
    }
    if precision.rawValue & TimestampPrecision.nanoseconds.rawValue != 0 {
      writer.time(BasicElements.startNanoseconds, nanoseconds: first)
      writer.time(BasicElements.endNanoseconds, nanoseconds: last)
    }
    writer.unsigned8(BasicElements.ipVersion, key.isVersion6 ? 6 : 4)
    writer.unsigned8(BasicElements.protocolIdentifier, key.protocolNumber)
    writer.unsigned8(BasicElements.tcpControlBits, forwardFlags)
    writer.unsigned8(BasicElements.reverseTCPControlBits, reverseFlags)
    writer.unsigned16(BasicElements.sourcePort, key.sourcePort)
    writer.unsigned16(BasicElements.destinationPort, key.destinationPort)
    writer.unsigned32(BasicElements.ingressInterface, interface)
    if key.isVersion6 {
      writer.ipv6Address(BasicElements.sourceIPv6, high: sourceHigh, low: sourceLow)
      writer.ipv6Address(BasicElements.destinationIPv6, high: destinationHigh, low: destinationLow)
    } else {
      writer.ipv4Address(BasicElements.sourceIPv4, UInt32(truncatingIfNeeded: key.addresses >> 32))
      writer.ipv4Address(BasicElements.destinationIPv4, UInt32(truncatingIfNeeded: key.addresses))
    }
    writer.macAddress(BasicElements.sourceMAC, sourceMAC)
    writer.macAddress(BasicElements.destinationMAC, destinationMAC)
  }
}

extension InformationElement {
  /// The number that joins records of one flow: of uniflows, and the field of plugin flowhash.
  static let flowIdentifier = InformationElement(.iana, 148, "flowId", .unsigned64, semantics: .identifier)
}
