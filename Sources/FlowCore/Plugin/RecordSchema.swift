// How finished records are read: the one place that knows which fields a record has and in which order. Every output
// goes through it.
import CIntrinsics
import IPFIX
import Synchronization
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
  private let workers = Mutex<Set<Int>>([])
  /// How many columns of a table belong to each plugin.
  let columnCounts: UnsafeMutablePointer<Int>
  /// The exported number of each port.
  let interfaces = InterfaceNumbers()
  /// Whether each direction of a flow is a record of its own; see `RecordSchema+Uniflow.swift`.
  public let isUniflow: Bool
  /// Gives the two uniflows of a flow their flowId.
  let flowHash = FlowHash.ofIdentifiers
  /// The plugins (bit = slot) that have fields of the reverse direction.
  private(set) var reverseSlots: UInt32 = 0
  /// The plugins (bit = slot) whose states hold addresses.
  private(set) var addressSlots: UInt32 = 0
  /// How addresses in records are made unrecognisable; nil where they are not. Set before there are records.
  public var masking: AddressMasking?

  /// The schema for `plugins` in this order.
  public init(
    plugins: [PluginSelection], timestamps: TimestampPrecision = .microseconds, isUniflow: Bool = false
  ) throws(FlowSetupError) {
    self.isUniflow = isUniflow
    layout = try StateLayout(plugins)
    try layout.checkDeclarations()
    slots = layout.slots.baseAddress ?? .allocate(capacity: 1)
    states = layout.states
    storedBytes = layout.storedBytes
    precision = timestamps
    readers = .allocate(capacity: Self.maximumWorkers)
    readers.initialize(repeating: nil, count: Self.maximumWorkers)
    columnCounts = .allocate(capacity: StateLayout<Registry>.maximumPlugins)
    columnCounts.initialize(repeating: 0, count: StateLayout<Registry>.maximumPlugins)
    Truncated.prepare()
    // At start, because several threads read them.
    reverseSlots = slotsWithReverseFields()
    addressSlots = slotsWithAddresses()
    for (slot, count) in columnsAndCounts().counts.enumerated() { columnCounts[slot] = count }
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
    return UInt64(record.pointee.presence) << 1 | (record.pointee.key.isVersion6 ? 1 : 0)
  }

  /// The number of the flow's key that flowId is, the same for both directions, on all lcores and in every run.
  @inline(__always)
  public func flowIdentifier(_ record: UnsafeMutableRawPointer) -> UInt64 {
    UnsafePointer(record.flowRecord).pointee.hash(flowHash)
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
    // What a plugin reads outside of its bytes is counted as its mistake.
    martlet_trace_slot(UInt32(slot.index) &+ 1)
    withUnsafeMutablePointer(to: &writer) { writer in
      var call = ExportCall(
        slot: slot, record: record,
        flow: FinishedFlow(
          record: UnsafePointer(record.flowRecord), slab: slab, states: states,
          trailing: MutableBytes(record + Int(slot.trailingOffset), count: Int(slot.trailingSize))),
        writer: writer)
      slot.registration.visit(&call)
    }
    martlet_trace_slot(0)
  }
}

/// One plugin's fields of one record.
private struct ExportCall<Registry: PluginRegistry, Writer: FieldWriter & ~Copyable>: PluginVisitor, ~Copyable
{
  let slot: PluginSlot<Registry>
  let record: UnsafeMutableRawPointer
  let flow: FinishedFlow
  let writer: UnsafeMutablePointer<Writer>

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let state = slot.state(type, record.flowRecord)
    slot.value(type).pointee.export(state.pointee, flow, into: &writer.pointee)
  }
}
