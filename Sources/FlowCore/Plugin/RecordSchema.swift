// How finished records are read: the one place that knows which fields a record has and in which order. Every output
// goes through it.
import CIntrinsics
import IPFIX
import Wire

/// The enabled plugins' fields and the slabs that finished records refer to. Shared by all workers and the export lcore.
///
/// Safe between threads: after `init` only `workers` changes, which has a lock, and a worker's place in `readers`, which is set
/// before the worker has records and read with those that came through its ring.
public final class RecordSchema<Registry: PluginRegistry>: @unchecked Sendable {
  let layout: StateLayout<Registry>
  let states: PluginStates
  let storedBytes: StoredMembers
  let readers: UnsafeMutablePointer<SlabReader?>
  let slots: UnsafeMutablePointer<PluginSlot<Registry>>
  let precision: TimestampPrecision
  /// As many as DPDK has lcores at most.
  private static var maximumWorkers: Int { 1024 }
  /// The numbers of the workers that exist.
  private let workers = Guarded<Set<Int>>([])
  /// How many columns of a table belong to each plugin.
  let columnCounts: UnsafeMutablePointer<Int>
  /// The exported number of each port.
  let interfaces = InterfaceNumbers()
  let tunnelNames = TunnelNames.all
  /// Whether each direction of a flow is a record of its own; see `RecordSchema+Uniflow.swift`.
  public let isUniflow: Bool
  /// Whether records have what databases know of both sides.
  public let enriches: Bool
  /// What records say of where they come from, and whether that is anything.
  let origin: RecordOrigin
  private let tellsOrigin: Bool
  /// Where the facts are that a worker's records refer to: those of its export lcore, which sets this.
  private let factBases: UnsafeMutablePointer<UnsafePointer<FactCache.Entry>?>
  /// Gives the two uniflows of a flow their flowId.
  let flowHash = FlowHash.ofIdentifiers
  /// The plugins (bit = slot) that have fields of the reverse direction.
  private(set) var reverseSlots: UInt64 = 0
  /// The plugins (bit = slot) whose states hold addresses.
  private(set) var addressSlots: UInt64 = 0
  /// How addresses in records are made unrecognisable; nil where they are not. Set before there are records.
  public var masking: AddressMasking?

  /// The schema for `plugins` in this order.
  public init(
    plugins: [PluginSelection], timestamps: TimestampPrecision = .microseconds, isUniflow: Bool = false,
    enriches: Bool = false, origin: RecordOrigin = RecordOrigin(), tunnels: TunnelSettings = .usual
  ) throws(FlowSetupError) {
    self.isUniflow = isUniflow
    self.origin = origin
    tellsOrigin = !origin.isEmpty
    self.enriches = enriches
    layout = try StateLayout(plugins, tunnels: tunnels)
    try layout.checkDeclarations()
    slots = layout.slots.baseAddress ?? .allocate(capacity: 1)
    states = layout.states
    storedBytes = layout.storedBytes
    precision = timestamps
    readers = .allocate(capacity: Self.maximumWorkers)
    readers.initialize(repeating: nil, count: Self.maximumWorkers)
    factBases = .allocate(capacity: Self.maximumWorkers)
    factBases.initialize(repeating: nil, count: Self.maximumWorkers)
    columnCounts = .allocate(capacity: StateLayout<Registry>.maximumPlugins)
    columnCounts.initialize(repeating: 0, count: StateLayout<Registry>.maximumPlugins)
    Truncated.prepare()
    // At start, because several threads read them.
    reverseSlots = slotsWithReverseFields()
    addressSlots = slotsWithAddresses()
    for (slot, count) in columnsAndCounts().counts.enumerated() { columnCounts[slot] = count }
  }

  deinit {
    readers.deallocate()
    factBases.deallocate()
    columnCounts.deallocate()
  }

  /// Has the blocks of this worker's records read from `reader`'s slab.
  ///
  /// - Throws: a worker that exists has the number, or there is no such number.
  func register(_ reader: SlabReader, worker: Int) throws(FlowSetupError) {
    guard worker >= 0, worker < Self.maximumWorkers,
      workers.withLock({ $0.insert(worker).inserted })
    else { throw .workerNumber(worker, most: Self.maximumWorkers) }
    readers[worker] = reader
  }

  /// As `register`, for a worker that is registered.
  func replace(_ reader: SlabReader, worker: Int) { readers[worker] = reader }

  /// The worker's records are no longer read.
  func unregister(worker: Int) {
    readers[worker] = nil
    workers.withLock { _ = $0.remove(worker) }
  }

  /// Exports `number` as the ingressInterface of flows whose first packet came from this port. Only before the first
  /// record; the number of a port is its own plus 1 until then, because 0 is no interface (RFC 2863, ifIndex).
  public func setInterface(_ number: UInt32, ofPort port: UInt16) { interfaces[Int(port)] = number }
  /// The number under which collectors know the port.
  public func interface(ofPort port: UInt16) -> UInt32 { interfaces[Int(port)] }

  /// Bytes of memory for one flow: its record with the plugins' states, and its share of the table.
  public var bytesPerFlow: Int { layout.stride + FlowTable.bucketSize / 2 }

  /// How many plugins are enabled.
  public var pluginCount: Int { layout.slots.count }

  /// Whether a plugin exports what it keeps of variable length, as most of its flows have.
  public var exportsBlocks: Bool { layout.storedBytes.slots != 0 }

  /// Records with the same key have the same fields.
  @inline(__always)
  public func key(_ record: UnsafeMutableRawPointer) -> UInt64 {
    let record = record.flowRecord
    let form = record.pointee.key.isTunnelled ? tunnelForm(UnsafePointer(record)) : .none
    return UInt64(form.rawValue) << 41 | record.pointee.presence << 1
      | (record.pointee.key.isVersion6 ? 1 : 0) | factsKey(record)
  }

  /// The number of the port that the flow's first packet came from; offline its capture's, from 0.
  @inline(__always)
  public func port(of record: UnsafeMutableRawPointer) -> Int {
    UnsafePointer(record.flowRecord).pointee.port
  }

  /// The bit of `key` that is set where something is known of either side.
  @inline(__always)
  func factsKey(_ head: UnsafePointer<FlowRecord>) -> UInt64 {
    enriches && head.pointee.sourceFacts | head.pointee.destinationFacts != 0 ? 1 << 48 : 0
  }

  /// The number of the flow's key that flowId is, the same for both directions, on all lcores and in every run.
  @inline(__always)
  public func flowIdentifier(_ record: UnsafeMutableRawPointer) -> UInt64 {
    hash(UnsafePointer(record.flowRecord))
  }

  /// Writes the record's fields: the basic ones, then those of each plugin that has something to export.
  @inline(__always)
  func write<Writer: FieldWriter & ~Copyable>(
    _ record: UnsafeMutableRawPointer, _ precision: TimestampPrecision = .microseconds,
    into writer: inout Writer
  ) {
    martlet_trace_record(record)
    let head = UnsafePointer(record.flowRecord)
    writeBasics(head, precision, into: &writer)
    writeTunnels(head, into: &writer)
    var rest = head.pointee.presence
    while rest != 0 {
      writeFields(of: slots[rest.trailingZeroBitCount], record, into: &writer)
      rest &= rest &- 1
    }
  }

  /// Writes the basic fields.
  @inline(__always)
  func writeBasics<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, _ precision: TimestampPrecision, into writer: inout Writer
  ) {
    head.pointee.exportBasicFields(precision, interface: interfaces[head.pointee.port], into: &writer)
    if enriches { writeFacts(head, into: &writer) }
    if tellsOrigin { writeOrigin(head, into: &writer) }
  }

  /// Writes what is known of both sides; nothing where nothing is.
  @inline(never)
  private func writeFacts<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, into writer: inout Writer
  ) {
    guard factsKey(head) != 0 else { return }
    // Safe: a worker's records have numbers of its export lcore's cache; without a cache there are no facts.
    let base = factBases[head.pointee.worker & (Self.maximumWorkers &- 1)]
    let source = base?[Int(head.pointee.sourceFacts)].facts ?? AddressFacts()
    let destination = base?[Int(head.pointee.destinationFacts)].facts ?? AddressFacts()
    source.export(
      FactElements.sourceAS, FactElements.sourceCountry, FactElements.sourceOrganisation, into: &writer)
    destination.export(
      FactElements.destinationAS, FactElements.destinationCountry, FactElements.destinationOrganisation,
      into: &writer)
  }

  /// Notes in records that have left their tables what is known of their addresses, which are still the packets'. It holds until
  /// the next call with this cache.
  public func enrich(
    _ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int, from cache: FactCache
  ) {
    cache.beginBurst()
    var index = 0
    while index < count {
      // Safe: the caller has `count` records; numbers of workers are below the places.
      if index &+ 8 < count, let record = records[index &+ 8] {
        martlet_prefetch(record)
        martlet_prefetch(record + 64)
      }
      if index &+ 4 < count, let record = records[index &+ 4] {
        cache.prefetch(record.flowRecord.pointee.source)
        cache.prefetch(record.flowRecord.pointee.destination)
      }
      if let record = records[index] {
        martlet_trace_record(record)
        let head = record.flowRecord
        head.pointee.sourceFacts = cache.number(of: head.pointee.source)
        head.pointee.destinationFacts = cache.number(of: head.pointee.destination)
        factBases[head.pointee.worker & (Self.maximumWorkers &- 1)] = cache.base
      }
      index &+= 1
    }
    martlet_trace_record(nil)
  }

  @inline(__always)
  func writeFields<Writer: FieldWriter & ~Copyable>(
    of slot: PluginSlot<Registry>, _ record: UnsafeMutableRawPointer, into writer: inout Writer
  ) {
    let head = UnsafePointer(record.flowRecord)
    guard let slab = readers[head.pointee.worker] else { return }
    writeFields(of: slot, record, slab, into: &writer)
  }

  @inline(__always)
  func writeFields<Writer: FieldWriter & ~Copyable>(
    of slot: PluginSlot<Registry>, _ record: UnsafeMutableRawPointer, _ slab: SlabReader,
    into writer: inout Writer
  ) {
    slot.writeFields(
      record, slab, states, tunnels: layout.tunnels(of: record, record.flowRecord.pointee.key), into: &writer)
  }
}
