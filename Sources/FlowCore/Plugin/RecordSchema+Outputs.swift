// How records reach the outputs, for any registry. They are inlined into entries without generics, as those of
// `BuiltInSchema+Outputs.swift`, in which the fields' code is compiled for each kind of output.
import CIntrinsics
import IPFIX
import Rendering

extension RecordSchema {
  /// Adds `count` records to a message stream. The lines of the records after the one at hand are prefetched meanwhile: another
  /// core has written them, and each would be waited for otherwise.
  @inline(__always)
  func appendAll(
    _ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int, to stream: inout MessageStream
  ) {
    let isWide = layout.stride > Self.octetsAhead
    var index = 0
    while index < min(Self.recordsAhead, count) {
      prefetch(records[index])
      if isWide, index < Self.statesAhead { prefetchStates(records[index]) }
      if index < Self.blocksAhead { prefetchBlocks(records[index]) }
      index &+= 1
    }
    index = 0
    while index < count {
      defer { index &+= 1 }
      if index &+ Self.recordsAhead < count { prefetch(records[index &+ Self.recordsAhead]) }
      if isWide, index &+ Self.statesAhead < count { prefetchStates(records[index &+ Self.statesAhead]) }
      if index &+ Self.blocksAhead < count { prefetchBlocks(records[index &+ Self.blocksAhead]) }
      guard let record = records[index] else { continue }
      if isUniflow {
        appendUniflows(record, to: &stream)
        continue
      }
      stream.append(
        key: key(record), describe: { write(record, precision, into: &$0) },
        encode: { write(record, precision, into: &$0) })
    }
  }

  /// How many records ahead their lines are prefetched, then those that only some records have, then the blocks to which all
  /// these refer.
  private static var recordsAhead: Int { 6 }
  private static var statesAhead: Int { 4 }
  private static var blocksAhead: Int { 3 }

  /// Octets of each record that are prefetched, whichever plugins have something to export.
  private static var octetsAhead: Int { 512 }

  /// Prefetches a record and the states of its plugins, up to eight lines.
  @inline(__always)
  private func prefetch(_ record: UnsafeMutableRawPointer?) {
    guard let record else { return }
    var offset = 0
    while offset < min(layout.stride, Self.octetsAhead) {
      martlet_prefetch(record + offset)
      offset &+= 64
    }
  }

  /// Prefetches what lies further behind in wide records, of plugins that have something to export.
  @inline(never)
  private func prefetchStates(_ record: UnsafeMutableRawPointer?) {
    guard let record else { return }
    var rest = UnsafePointer(record.flowRecord).pointee.presence
    while rest != 0 {
      let slot = slots[rest.trailingZeroBitCount]
      prefetch(record, Int(slot.stateOffset), Int(slot.stateSize))
      prefetch(record, Int(slot.trailingOffset), Int(slot.trailingSize))
      rest &= rest &- 1
    }
  }

  /// Prefetches at most four lines of a plugin's bytes behind the first ones of a record.
  @inline(__always)
  private func prefetch(_ record: UnsafeMutableRawPointer, _ start: Int, _ size: Int) {
    var offset = max(start & ~63, Self.octetsAhead)
    let end = min(start &+ size, offset &+ 256)
    while offset < end {
      martlet_prefetch(record + offset)
      offset &+= 64
    }
  }

  /// Prefetches the slab blocks that the record's plugins export.
  @inline(__always)
  private func prefetchBlocks(_ record: UnsafeMutableRawPointer?) {
    guard storedBytes.slots != 0, let record else { return }
    let head = UnsafePointer(record.flowRecord)
    var rest = head.pointee.lowPresence & storedBytes.slots
    guard rest != 0, let slab = readers[head.pointee.worker] else { return }
    while rest != 0 {
      storedBytes.prefetch(slot: rest.trailingZeroBitCount, of: record, slab)
      rest &= rest &- 1
    }
  }

  /// Writes the record's fields as a row of the table whose columns `columns()` gave; `isReverse` as in `writeUniflow`.
  @inline(__always)
  func renderRow<Writer: FieldWriter & ~Copyable>(
    _ record: UnsafeMutableRawPointer, isReverse: Bool, into writer: inout Writer
  ) {
    martlet_trace_record(record)
    let head = UnsafePointer(record.flowRecord)
    writeBasicsOfRow(head, isReverse: isReverse, into: &writer)
    if isUniflow {
      writeUniflowTunnels(head, isReverse: isReverse, into: &writer)
    } else {
      writeTunnels(head, into: &writer)
    }
    let presence = head.pointee.presence & (isReverse ? reverseSlots : .max)
    var slot = 0
    while slot < pluginCount, slot < StateLayout<Registry>.maximumPlugins {
      defer { slot &+= 1 }
      if presence >> UInt64(truncatingIfNeeded: slot) & 1 == 0 {
        writer.skip(columns: columnCounts[slot])
      } else if isUniflow {
        uniflow(isReverse, &writer) { writeFields(of: slots[slot], record, into: &$0) }
      } else {
        writeFields(of: slots[slot], record, into: &writer)
      }
    }
  }

  /// Writes the basic fields of a table's row; `isReverse` as in `writeUniflow`.
  @inline(__always)
  private func writeBasicsOfRow<Writer: FieldWriter & ~Copyable>(
    _ head: UnsafePointer<FlowRecord>, isReverse: Bool, into writer: inout Writer
  ) {
    guard isUniflow else { return writeBasics(head, .microseconds, into: &writer) }
    writeUniflowBasics(head, isReverse: isReverse, .microseconds, into: &writer)
  }

  /// The columns of a table of records: the basic fields of both IP versions, then each plugin's.
  public func columns() -> [InformationElement] { tableColumns().map(\.element) }

  /// The same with what their values are.
  public func tableColumns() -> [TableColumn] { columnsAndCounts().columns }

  /// The columns, and how many of them belong to each plugin.
  func columnsAndCounts() -> (columns: [TableColumn], counts: [Int]) {
    var list = ColumnList()
    withEmptyFlows { flow in
      list.restartBlock()
      writeBasicsOfRow(flow, isReverse: false, into: &list)
    }
    list.endBlock()
    withTunnelForms { tunnels in
      list.restartBlock()
      exportExample(tunnels, into: &list)
    }
    list.endBlock()
    var counts: [Int] = []
    for slot in 0..<pluginCount {
      withEmptyRecord { record, slab in
        guard isUniflow else { return writeFields(of: slots[slot], record, slab, into: &list) }
        for isReverse in [false, true] {
          list.restartBlock()
          uniflow(isReverse, &list) { writeFields(of: slots[slot], record, slab, into: &$0) }
        }
      }
      counts.append(list.blockCount)
      list.endBlock()
    }
    return (list.columns, counts)
  }

  /// Calls `body` with an empty flow of each IP version, of which something or nothing is known: their basic fields differ.
  private func withEmptyFlows(_ body: (UnsafePointer<FlowRecord>) -> Void) {
    for isVersion6 in [false, true] {
      let key = Key(
        addresses: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 0, vlan: 0, isVersion6: isVersion6)
      var flow = FlowRecord(key: key)
      for facts: UInt32 in enriches ? [1, 0] : [0] {
        flow.sourceFacts = facts
        withUnsafePointer(to: flow, body)
      }
    }
  }

  /// Writes tunnel fields as a row or an object has them.
  private func exportExample<Writer: FieldWriter & ~Copyable>(
    _ tunnels: FlowTunnels, into writer: inout Writer
  ) {
    guard isUniflow else { return tunnels.export(tunnelNames, into: &writer) }
    uniflow(false, &writer) { tunnels.export(tunnelNames, into: &$0) }
  }

  /// The basic fields of both IP versions, each once.
  func basicFields() -> [PluginField] {
    var fields: [PluginField] = []
    withEmptyFlows { flow in
      var list = PluginFieldList()
      writeBasics(flow, precision, into: &list)
      fields += list.fields.filter { field in
        !fields.contains { $0.element.code == field.element.code }
      }
    }
    return fields
  }

  /// The keys of JSON records and what their values are.
  public func jsonFields() -> [JSONField] {
    var list = JSONFieldList()
    withEmptyFlows { flow in
      list.startForm()
      writeBasicsOfRow(flow, isReverse: false, into: &list)
    }
    list.endForms()
    withTunnelForms { exportExample($0, into: &list) }
    withEmptyRecord { record, slab in
      for slot in 0..<pluginCount {
        guard isUniflow else {
          writeFields(of: slots[slot], record, slab, into: &list)
          continue
        }
        for isReverse in [false, true] {
          uniflow(isReverse, &list) { writeFields(of: slots[slot], record, slab, into: &$0) }
        }
      }
    }
    return list.fields
  }

  /// The fields of the plugins, without the basic ones.
  func pluginFields() -> [PluginField] {
    var list = PluginFieldList()
    withEmptyRecord { record, slab in
      for slot in 0..<pluginCount { writeFields(of: slots[slot], record, slab, into: &list) }
    }
    return list.fields
  }

  /// The elements of tunnels, where they are exported, of the enabled plugins' fields, and of those that databases fill; of
  /// lists those of their entries.
  public func pluginElements() -> [InformationElement] {
    (tunnelFields() + pluginFields()).map(\.element) + (enriches ? basicFields().map(\.element) : [])
  }

  /// Calls `body` with a record whose states are all zero, to learn which fields there are.
  func withEmptyRecord(_ body: (UnsafeMutableRawPointer, SlabReader) -> Void) {
    let record = UnsafeMutableRawPointer.allocate(byteCount: layout.stride + 64, alignment: 64)
    defer { record.deallocate() }
    // Safe: as many bytes were allocated, for a record and one unit of a slab.
    record.initializeMemory(as: UInt8.self, repeating: 0, count: layout.stride + 64)
    body(record, SlabReader(arena: record + layout.stride, units: 1))
  }
}
