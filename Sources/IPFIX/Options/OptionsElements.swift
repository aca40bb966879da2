// The elements of options records.

/// IANA's elements of options records (RFC 5477, RFC 5610, RFC 7012), and Martlet's.
enum OptionsElements {
  static let ingressInterface = InformationElement(
    .iana, 10, "ingressInterface", .unsigned32, semantics: .identifier)
  static let flowActiveTimeout = InformationElement(
    .iana, 36, "flowActiveTimeout", .unsigned16, units: .seconds)
  static let flowIdleTimeout = InformationElement(.iana, 37, "flowIdleTimeout", .unsigned16, units: .seconds)
  static let exportedOctets = InformationElement(
    .iana, 40, "exportedOctetTotalCount", .unsigned64, semantics: .totalCounter, units: .octets)
  static let exportedMessages = InformationElement(
    .iana, 41, "exportedMessageTotalCount", .unsigned64, semantics: .totalCounter, units: .messages)
  static let exportedFlowRecords = InformationElement(
    .iana, 42, "exportedFlowRecordTotalCount", .unsigned64, semantics: .totalCounter, units: .flows)
  static let interfaceName = InformationElement(.iana, 82, "interfaceName", .string)
  static let interfaceDescription = InformationElement(.iana, 83, "interfaceDescription", .string)
  static let packets = InformationElement(
    .iana, 86, "packetTotalCount", .unsigned64, semantics: .totalCounter, units: .packets)
  static let droppedPackets = InformationElement(
    .iana, 135, "droppedPacketTotalCount", .unsigned64, semantics: .totalCounter, units: .packets)
  static let meteringProcess = InformationElement(
    .iana, 143, "meteringProcessId", .unsigned32, semantics: .identifier)
  static let exportingProcess = InformationElement(
    .iana, 144, "exportingProcessId", .unsigned32, semantics: .identifier)
  static let template = InformationElement(.iana, 145, "templateId", .unsigned16, semantics: .identifier)
  static let observationDomain = InformationElement(
    .iana, 149, "observationDomainId", .unsigned32, semantics: .identifier)
  static let first = InformationElement(.iana, 152, "flowStartMilliseconds", .dateTimeMilliseconds)
  static let last = InformationElement(.iana, 153, "flowEndMilliseconds", .dateTimeMilliseconds)
  static let observedFlows = InformationElement(
    .iana, 163, "observedFlowTotalCount", .unsigned64, semantics: .totalCounter, units: .flows)
  static let ignoredPackets = InformationElement(
    .iana, 164, "ignoredPacketTotalCount", .unsigned64, semantics: .totalCounter, units: .packets)
  static let ignoredOctets = InformationElement(
    .iana, 165, "ignoredOctetTotalCount", .unsigned64, semantics: .totalCounter, units: .octets)
  static let notSentFlows = InformationElement(
    .iana, 166, "notSentFlowTotalCount", .unsigned64, semantics: .totalCounter, units: .flows)
  static let flowKeyIndicator = InformationElement(
    .iana, 173, "flowKeyIndicator", .unsigned64, semantics: .flags)
  static let padding = InformationElement(.iana, 210, "paddingOctets", .octetArray)
  static let selector = InformationElement(.iana, 302, "selectorId", .unsigned64, semantics: .identifier)
  static let element = InformationElement(
    .iana, 303, "informationElementId", .unsigned16, semantics: .identifier)
  static let selectorAlgorithm = InformationElement(
    .iana, 304, "selectorAlgorithm", .unsigned16, semantics: .identifier)
  static let samplingInterval = InformationElement(
    .iana, 305, "samplingPacketInterval", .unsigned32, semantics: .quantity, units: .packets)
  static let samplingSpace = InformationElement(
    .iana, 306, "samplingPacketSpace", .unsigned32, semantics: .quantity, units: .packets)
  static let samplingSize = InformationElement(
    .iana, 309, "samplingSize", .unsigned32, semantics: .quantity, units: .packets)
  static let samplingPopulation = InformationElement(
    .iana, 310, "samplingPopulation", .unsigned32, semantics: .quantity, units: .packets)
  static let samplingProbability = InformationElement(
    .iana, 311, "samplingProbability", .float64, semantics: .quantity)
  static let flowSelectorAlgorithm = InformationElement(
    .iana, 390, "flowSelectorAlgorithm", .unsigned16, semantics: .identifier)
  static let elementType = InformationElement(.iana, 339, "informationElementDataType", .unsigned8)
  static let elementDescription = InformationElement(.iana, 340, "informationElementDescription", .string)
  static let elementName = InformationElement(.iana, 341, "informationElementName", .string)
  static let rangeBegin = InformationElement(
    .iana, 342, "informationElementRangeBegin", .unsigned64, semantics: .quantity)
  static let rangeEnd = InformationElement(
    .iana, 343, "informationElementRangeEnd", .unsigned64, semantics: .quantity)
  static let elementSemantics = InformationElement(.iana, 344, "informationElementSemantics", .unsigned8)
  static let elementUnits = InformationElement(.iana, 345, "informationElementUnits", .unsigned16)
  static let enterprise = InformationElement(
    .iana, 346, "privateEnterpriseNumber", .unsigned32, semantics: .identifier)
}

extension InformationElement {
  /// The number of an RX queue, which with its port's ingressInterface is an observation point.
  public static let receiveQueue = InformationElement(
    .martlet, 20, "receiveQueue", .unsigned16, semantics: .identifier)
  /// Which packets are looked at, in the words of pcap-filter(7); empty for all.
  public static let filterExpression = InformationElement(.martlet, 21, "filterExpression", .string)
}
