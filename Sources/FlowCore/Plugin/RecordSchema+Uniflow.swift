// A record for each direction of a flow (RFC 5103 section 3, "record adjacency"), for collectors that do not know biflows:
// they count the reverse direction as nothing, or read its fields as the forward direction's.
//
//     biflow     a → b  octets 11, reverse 12 │ plugins' fields │ plugins' reverse fields
//     forward    a → b  octets 11, flowDirection 0, flowId │ plugins' fields
//     reverse    b → a  octets 12, flowDirection 1, flowId │ plugins' reverse fields, as forward ones
//
// What a plugin says of the whole conversation (a server's name, the lists of pstats) is in the forward record, once. A
// flow without a reverse packet has no reverse record. Both have the times of the flow.
import CIntrinsics
import IPFIX

extension BasicElements {
  /// 0 for the direction of the flow's first packet, 1 for the other.
  static let flowDirection = InformationElement(
    .iana, 61, "flowDirection", .unsigned8, semantics: .identifier)
}

/// Hands on the fields of one direction, as fields of a flow that has no other.
struct UniflowWriter<Base: FieldWriter & ~Copyable>: FieldWriter, ~Copyable {
  private let base: UnsafeMutablePointer<Base>
  private let isReverse: Bool

  /// A writer into `base`, which must outlive it.
  @inline(__always)
  init(_ base: UnsafeMutablePointer<Base>, isReverse: Bool) {
    self.base = base
    self.isReverse = isReverse
  }

  /// The element under which a field is handed on; nil where it is the other direction's, or the flowId, which each
  /// uniflow has already.
  @inline(__always)
  private func own(_ element: InformationElement) -> InformationElement? {
    guard element.isReverse == isReverse else { return nil }
    if isReverse { return element.forward }
    let isIdentifier =
      element.owner == .iana && element.identifier == InformationElement.flowIdentifier.identifier
    return isIdentifier ? nil : element
  }

  @inline(__always)
  mutating func unsigned8(_ element: InformationElement, _ value: UInt8) {
    if let element = own(element) { base.pointee.unsigned8(element, value) }
  }
  @inline(__always)
  mutating func unsigned16(_ element: InformationElement, _ value: UInt16) {
    if let element = own(element) { base.pointee.unsigned16(element, value) }
  }
  @inline(__always)
  mutating func unsigned32(_ element: InformationElement, _ value: UInt32) {
    if let element = own(element) { base.pointee.unsigned32(element, value) }
  }
  @inline(__always)
  mutating func unsigned64(_ element: InformationElement, _ value: UInt64) {
    if let element = own(element) { base.pointee.unsigned64(element, value) }
  }
  @inline(__always)
  mutating func float32(_ element: InformationElement, _ value: Float) {
    if let element = own(element) { base.pointee.float32(element, value) }
  }
  @inline(__always)
  mutating func ipv4Address(_ element: InformationElement, _ address: UInt32) {
    if let element = own(element) { base.pointee.ipv4Address(element, address) }
  }
  @inline(__always)
  mutating func ipv6Address(_ element: InformationElement, high: UInt64, low: UInt64) {
    if let element = own(element) { base.pointee.ipv6Address(element, high: high, low: low) }
  }
  @inline(__always)
  mutating func macAddress(_ element: InformationElement, _ address: UInt64) {
    if let element = own(element) { base.pointee.macAddress(element, address) }
  }
  @inline(__always)
  mutating func time(_ element: InformationElement, nanoseconds: UInt64) {
    if let element = own(element) { base.pointee.time(element, nanoseconds: nanoseconds) }
  }
  @inline(__always)
  mutating func octets(_ element: InformationElement, _ bytes: RawSpan) {
    if let element = own(element) { base.pointee.octets(element, bytes) }
  }
  @inline(__always)
  mutating func string(_ element: InformationElement, _ bytes: RawSpan) {
    if let element = own(element) { base.pointee.string(element, bytes) }
  }
  @inline(__always)
  mutating func addressOctets(_ element: InformationElement, high: UInt64, low: UInt64, isVersion6: Bool) {
    if let element = own(element) {
      base.pointee.addressOctets(element, high: high, low: low, isVersion6: isVersion6)
    }
  }
  @inline(__always)
  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    if let element = own(element) { base.pointee.list(element, count: count, entry) }
  }
  @inline(__always)
  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    if let element = own(element) { base.pointee.times(element, count: count, nanoseconds: entry) }
  }
  @inline(__always)
  mutating func skip(columns: Int) { base.pointee.skip(columns: columns) }
}

extension RecordSchema {
  /// Whether the flow has a record for its reverse direction, too.
  @inline(__always)
  public func hasReverseRecord(_ record: UnsafeMutableRawPointer) -> Bool {
    isUniflow && record.flowRecord.pointee.reversePackets > 0
  }

  /// How many records `count` flows are: as many, and one more for each that has a reverse record.
  public func recordCount(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) -> UInt64 {
    var sum = UInt64(clamping: count)
    guard isUniflow else { return sum }
    var index = 0
    while index < count {
      if let record = records[index], hasReverseRecord(record) { sum &+= 1 }
      index &+= 1
    }
    return sum
  }

  /// Adds the flow's one or two records to a message stream.
  @inline(never)
  func appendUniflows(_ record: UnsafeMutableRawPointer, to stream: inout MessageStream) {
    let head = UnsafePointer(record.flowRecord)
    let shape = UInt64(tunnelForm(head).rawValue) << 41 | (head.pointee.key.isVersion6 ? 1 : 0)
    var isReverse = false
    while true {
      // Templates are shared by all records that have the same fields, so a plugin without reverse fields is not in the key.
      let presence = head.pointee.presence & (isReverse ? reverseSlots : .max)
      stream.append(
        // The basic fields are the same in both directions.
        key: (isReverse && presence != 0 ? 1 << 40 : 0) | presence << 1 | shape | factsKey(head),
        describe: { writeUniflow(record, isReverse: isReverse, precision, into: &$0) },
        encode: { writeUniflow(record, isReverse: isReverse, precision, into: &$0) })
      guard !isReverse, hasReverseRecord(record) else { return }
      isReverse = true
    }
  }

  /// Writes the fields of one direction: the basic ones, then those of each plugin that has something to export.
  @inline(__always)
  func writeUniflow<Writer: FieldWriter & ~Copyable>(
    _ record: UnsafeMutableRawPointer, isReverse: Bool, _ precision: TimestampPrecision = .microseconds,
    into writer: inout Writer
  ) {
    martlet_trace_record(record)
    let head = UnsafePointer(record.flowRecord)
    writeUniflowBasics(head, isReverse: isReverse, precision, into: &writer)
    writeUniflowTunnels(head, isReverse: isReverse, into: &writer)
    let presence = head.pointee.presence & (isReverse ? reverseSlots : .max)
    uniflow(isReverse, &writer) { writer in
      var rest = presence
      while rest != 0 {
        writeFields(of: slots[rest.trailingZeroBitCount], record, into: &writer)
        rest &= rest &- 1
      }
    }
  }

  /// Writes the basic fields of one direction, and what joins it with the other.
  @inline(__always)
  func writeUniflowBasics<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, isReverse: Bool, _ precision: TimestampPrecision,
    into writer: inout Writer
  ) {
    var side = isReverse ? head.pointee.mirrored : head.pointee
    withUnsafePointer(to: &side) { side in
      // The mirrored record's forward fields are the reverse direction's.
      uniflow(false, &writer) { writeBasics(side, precision, into: &$0) }
    }
    writer.unsigned8(BasicElements.flowDirection, isReverse ? 1 : 0)
    writer.unsigned64(InformationElement.flowIdentifier, hash(head))
  }

  /// Has `body` write into `writer` what belongs to one direction.
  @inline(__always)
  func uniflow<Writer: FieldWriter & ~Copyable>(
    _ isReverse: Bool, _ writer: inout Writer, _ body: (inout UniflowWriter<Writer>) -> Void
  ) {
    withUnsafeMutablePointer(to: &writer) {
      var uniflow = UniflowWriter($0, isReverse: isReverse)
      body(&uniflow)
    }
  }

  /// The plugins (bit = slot) that have fields of the reverse direction.
  func slotsWithReverseFields() -> UInt64 {
    var found: UInt64 = 0
    withEmptyRecord { record, slab in
      for slot in 0..<pluginCount {
        var listener = ReverseFieldListener()
        writeFields(of: slots[slot], record, slab, into: &listener)
        if listener.hasReverseField { found |= 1 << UInt64(slot) }
      }
    }
    return found
  }
}

/// Hears whether one of the fields is of the reverse direction.
private struct ReverseFieldListener: FieldListener {
  private(set) var hasReverseField = false
  mutating func field(_ element: InformationElement, length: UInt16) {
    if element.isReverse { hasReverseField = true }
  }
}

extension FlowRecord {
  /// The flow as its destination sees it.
  @inline(__always)
  var mirrored: FlowRecord {
    var other = self
    other.key = key.reversed
    (other.forwardPackets, other.reversePackets) = (reversePackets, forwardPackets)
    (other.forwardOctets, other.reverseOctets) = (reverseOctets, forwardOctets)
    (other.forwardFlags, other.reverseFlags) = (reverseFlags, forwardFlags)
    (other.sourceFacts, other.destinationFacts) = (destinationFacts, sourceFacts)
    (other.sourceHigh, other.sourceLow) = (destinationHigh, destinationLow)
    (other.destinationHigh, other.destinationLow) = (sourceHigh, sourceLow)
    other.sourceMACAndWorker = UInt64(truncatingIfNeeded: worker) << 48 | destinationMAC
    other.destinationMACAndPort = UInt64(truncatingIfNeeded: port) << 48 | sourceMAC
    return other
  }
}
