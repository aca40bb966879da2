// One options record as plain values: they are rare, so that nothing here needs to be fast, and each kind is a function that
// says which fields it has.
import Wire

/// One field of an options record.
struct OptionsField: Sendable {
  /// What a field holds.
  enum Value: Sendable {
    /// A number, or milliseconds since 1970, of which as many octets as the field has are written.
    case number(UInt64)
    /// Octets, as many as the field has, or any number of them, at most 255, in one of variable length.
    case octets(SharedBytes)
    /// Zeros.
    case zeros
  }

  /// What it is.
  let element: InformationElement
  /// Octets on the wire, `FieldSpecifier.variableLength` for those of the value.
  let length: UInt16
  let value: Value

  /// A number, or milliseconds since 1970, as long as the element's type.
  static func number(_ element: InformationElement, _ value: UInt64) -> OptionsField {
    let length: UInt16 =
      switch element.type {
      case .unsigned8: 1
      case .unsigned16: 2
      case .unsigned32: 4
      default: 8
      }
    return OptionsField(element: element, length: length, value: .number(value))
  }

  /// Text of any length up to 255 octets.
  static func text(_ element: InformationElement, _ text: String) -> OptionsField {
    OptionsField(
      element: element, length: FieldSpecifier.variableLength, value: .octets(octets(of: text, atMost: 255)))
  }

  /// Text in a field of `length` octets, filled up with zeros.
  static func text(_ element: InformationElement, _ text: String, length: UInt16) -> OptionsField {
    OptionsField(
      element: element, length: length,
      value: .octets(octets(of: text, atMost: Int(length), filledUp: true)))
  }

  /// So many zeros.
  static func padding(_ length: UInt16) -> OptionsField {
    OptionsField(element: OptionsElements.padding, length: length, value: .zeros)
  }

  /// As many characters of `text` as at most `length` octets of UTF-8 hold, and zeros up to `length` if it is to be filled up.
  private static func octets(of text: String, atMost length: Int, filledUp: Bool = false) -> SharedBytes {
    var memory = OwnedBytes(count: length)
    var count = 0
    for character in text {
      let end = count &+ character.utf8.count
      if end > length { break }
      for octet in character.utf8 {
        memory.store(octet, at: count)
        count &+= 1
      }
    }
    return SharedBytes(memory, count: filledUp ? length : count)
  }

  /// The octets that the field takes in a record.
  var size: Int {
    guard length == FieldSpecifier.variableLength else { return Int(length) }
    guard case .octets(let octets) = value else { return 1 }
    return octets.count &+ (octets.count < 255 ? 1 : 3)
  }

  /// Writes the field at `start`, where `size` octets are free.
  func write(to memory: inout OwnedBytes, at start: Int) {
    switch value {
    case .zeros: break
    case .number(let number):
      var index = 0
      while index < Int(length) {
        let shift = UInt64(truncatingIfNeeded: 8 &* (Int(length) &- 1 &- index))
        memory.store(UInt8(truncatingIfNeeded: number &>> shift), at: start &+ index)
        index &+= 1
      }
    case .octets(let octets):
      var place = start
      if length == FieldSpecifier.variableLength {
        // 255 octets need the long form of the length (RFC 7011 section 7).
        if octets.count < 255 {
          memory.store(UInt8(truncatingIfNeeded: octets.count), at: place)
        } else {
          memory.store(255 as UInt8, at: place)
          memory.store(UInt16(clamping: octets.count), at: place &+ 1)
        }
        place &+= octets.count < 255 ? 1 : 3
      }
      octets.withBytes { memory.copy($0, to: place) }
    }
  }
}

/// One options record (RFC 7011 section 3.4.2): its first fields are the scope, which says what the others are about.
public struct OptionsRecord: Sendable {
  /// Which options template it has.
  public let kind: OptionsKind
  /// The fields in the template's order, as many and as long as in all records of the kind.
  let fields: [OptionsField]

  /// What an element of an enterprise means (RFC 5610 section 3.9). All fields of that section are there, because libfixbuf asks
  /// for all of them; a range from 0 to 0 is none.
  ///
  /// pmacct 1.7 finds out how many records a set has by dividing its length by that of the fixed fields, though a
  /// variable length stands for 65535 octets there. A record of its own set is one to it if what is variable is shorter than the
  /// rest, hence the padding; else it would report lost records.
  static func elementType(_ element: InformationElement, enterpriseNumber: UInt32) -> OptionsRecord {
    OptionsRecord(
      kind: .elementType,
      fields: [
        .number(OptionsElements.enterprise, UInt64(enterpriseNumber)),
        .number(OptionsElements.element, UInt64(element.identifier)),
        .number(OptionsElements.elementType, UInt64(element.type.rawValue)),
        .number(OptionsElements.elementSemantics, UInt64(element.semantics.rawValue)),
        .number(OptionsElements.elementUnits, UInt64(element.units.rawValue)),
        .padding(Self.typePadding),
        .number(OptionsElements.rangeBegin, 0),
        .number(OptionsElements.rangeEnd, 0),
        .text(OptionsElements.elementName, element.name.description),
        .text(OptionsElements.elementDescription, ""),
      ])
  }

  /// Octets of padding in a record of an element's type.
  static var typePadding: UInt16 { 26 }

  /// Which fields of the records of a template make up the flow key: bit n is field n, from 0 on.
  static func flowKeys(template: UInt16, indicator: UInt64) -> OptionsRecord {
    OptionsRecord(
      kind: .flowKeys,
      fields: [
        .number(OptionsElements.template, UInt64(template)),
        .number(OptionsElements.flowKeyIndicator, indicator),
      ])
  }

  /// What was exported so far, this record's message not included.
  public static func exportStatistics(
    domain: UInt32, process: UInt32, observedFlows: UInt64, messages: UInt64, flowRecords: UInt64,
    octets: UInt64
  ) -> OptionsRecord {
    OptionsRecord(
      kind: .exportStatistics,
      fields: [
        .number(OptionsElements.observationDomain, UInt64(domain)),
        .number(OptionsElements.meteringProcess, UInt64(process)),
        .number(OptionsElements.observedFlows, observedFlows),
        .number(OptionsElements.exportedMessages, messages),
        .number(OptionsElements.exportedFlowRecords, flowRecords),
        .number(OptionsElements.exportedOctets, octets),
      ])
  }

  /// Packets that no flow counts, with the times of the first and the last in milliseconds since 1970, 0 without any.
  public static func meteringReliability(
    domain: UInt32, process: UInt32, packets: UInt64, octets: UInt64, first: UInt64, last: UInt64
  ) -> OptionsRecord {
    OptionsRecord(
      kind: .meteringReliability,
      fields: [
        .number(OptionsElements.observationDomain, UInt64(domain)),
        .number(OptionsElements.meteringProcess, UInt64(process)),
        .number(OptionsElements.ignoredPackets, packets),
        .number(OptionsElements.ignoredOctets, octets),
        .number(OptionsElements.first, first),
        .number(OptionsElements.last, last),
      ])
  }

  /// Flow records that were not sent, with the times at which the first and the last were lost in milliseconds since 1970, 0
  /// without any.
  public static func exportingReliability(process: UInt32, flows: UInt64, first: UInt64, last: UInt64)
    -> OptionsRecord
  {
    OptionsRecord(
      kind: .exportingReliability,
      fields: [
        .number(OptionsElements.exportingProcess, UInt64(process)),
        .number(OptionsElements.notSentFlows, flows),
        .number(OptionsElements.first, first),
        .number(OptionsElements.last, last),
      ])
  }

  /// Packets that an RX queue gave.
  public static func receiveQueue(interface: UInt32, queue: UInt16, packets: UInt64) -> OptionsRecord {
    OptionsRecord(
      kind: .receiveQueue,
      fields: [
        .number(OptionsElements.ingressInterface, UInt64(interface)),
        .number(.receiveQueue, UInt64(queue)),
        .number(OptionsElements.packets, packets),
      ])
  }

  /// Packets that a port's device dropped.
  public static func port(interface: UInt32, dropped: UInt64) -> OptionsRecord {
    OptionsRecord(
      kind: .port,
      fields: [
        .number(OptionsElements.ingressInterface, UInt64(interface)),
        .number(OptionsElements.droppedPackets, dropped),
      ])
  }

  /// When flows end, in seconds; longer ones than 65535 are 65535.
  public static func timeouts(process: UInt32, active: UInt64, idle: UInt64) -> OptionsRecord {
    OptionsRecord(
      kind: .timeouts,
      fields: [
        .number(OptionsElements.meteringProcess, UInt64(process)),
        .number(OptionsElements.flowActiveTimeout, min(active, 65535)),
        .number(OptionsElements.flowIdleTimeout, min(idle, 65535)),
      ])
  }

  /// Systematic count-based sampling (RFC 5477 section 8.2.1): of `interval` + `space` packets the first `interval` are looked at.
  public static func selector(_ identifier: UInt64, interval: UInt32, space: UInt32) -> OptionsRecord {
    OptionsRecord(
      kind: .systematicSelector,
      fields: [
        .number(OptionsElements.selector, identifier),
        // IANA "PSAMP Parameters": 1 is systematic count-based sampling.
        .number(OptionsElements.selectorAlgorithm, 1),
        .number(OptionsElements.samplingInterval, UInt64(interval)),
        .number(OptionsElements.samplingSpace, UInt64(space)),
      ])
  }

  /// Random n-out-of-N sampling (RFC 5477 section 8.2.3): of each `population` packets a random `size` are looked at.
  public static func selector(_ identifier: UInt64, size: UInt32, population: UInt32) -> OptionsRecord {
    OptionsRecord(
      kind: .randomSelector,
      fields: [
        .number(OptionsElements.selector, identifier),
        // IANA "PSAMP Parameters": 3 is random n-out-of-N sampling.
        .number(OptionsElements.selectorAlgorithm, 3),
        .number(OptionsElements.samplingSize, UInt64(size)),
        .number(OptionsElements.samplingPopulation, UInt64(population)),
      ])
  }

  /// Uniform probabilistic selection of flows (RFC 7014 section 5.1): all packets of a flow are looked at, or none.
  public static func flowSelector(_ identifier: UInt64, probability: Double) -> OptionsRecord {
    OptionsRecord(
      kind: .flowSelector,
      fields: [
        .number(OptionsElements.selector, identifier),
        // IANA "flowSelectorAlgorithm": 4 is uniform probabilistic sampling.
        .number(OptionsElements.flowSelectorAlgorithm, 4),
        .number(OptionsElements.samplingProbability, probability.bitPattern),
      ])
  }

  /// Property match filtering (RFC 5477 section 8.2.5): packets that match are looked at. What of a header has to be what is said in
  /// words, because an expression is more than RFC 5477's elements with values; one of more than 256 octets ends in "…". The
  /// length is fixed for pmacct's sake, see `elementType`.
  public static func filter(_ identifier: UInt64, expression: String) -> OptionsRecord {
    let mark = "…"
    let length = 256
    let shown =
      expression.utf8.count <= length
      ? expression
      : String(decoding: expression.utf8.prefix(length - mark.utf8.count), as: UTF8.self) + mark
    return OptionsRecord(
      kind: .filter,
      fields: [
        .number(OptionsElements.selector, identifier),
        // IANA "PSAMP Parameters": 5 is property match filtering.
        .number(OptionsElements.selectorAlgorithm, 5),
        .text(.filterExpression, shown, length: UInt16(length)),
      ])
  }

  /// The name of an interface, at most 64 octets of it.
  public static func interface(_ number: UInt32, name: String) -> OptionsRecord {
    OptionsRecord(
      kind: .interface,
      fields: [
        .number(OptionsElements.ingressInterface, UInt64(number)),
        .text(OptionsElements.interfaceName, name, length: 64),
      ])
  }

  /// What an interface is, at most 64 octets of it. Fields and lengths are what nfcapd 1.7 asks for: a scope of any kind, the
  /// number, and text of a fixed length.
  public static func interfaceDescription(domain: UInt32, _ number: UInt32, _ description: String)
    -> OptionsRecord
  {
    OptionsRecord(
      kind: .interfaceDescription,
      fields: [
        .number(OptionsElements.observationDomain, UInt64(domain)),
        .number(OptionsElements.ingressInterface, UInt64(number)),
        .text(OptionsElements.interfaceDescription, description, length: 64),
      ])
  }
}
