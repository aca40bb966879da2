// Calls of a slot's plugin that are made from several places: by workers when a flow ends, by outputs, and by plugins that read
// records.
import CIntrinsics
import IPFIX
import Wire

extension PluginSlot {
  /// What the hooks of the plugin at `slot` get of a flow.
  @inline(__always)
  static func flow<P: FlowPlugin>(
    _ slot: UnsafeMutablePointer<PluginSlot>, _ type: P.Type, _ blocks: FlowBlocks
  ) -> FlowContext<P> {
    FlowContext(
      blocks: blocks,
      // Safe: made of this type for the slot, and there as long as the worker.
      context: blocks.worker.pointee.contexts[Int(slot.pointee.index)]
        .assumingMemoryBound(to: P.WorkerContext.self),
      trailingOffset: slot.pointee.trailingOffset, trailingSize: slot.pointee.trailingSize)
  }

  /// Calls `finish` of the plugin at `slot`; whether that has something to export.
  @inline(__always)
  static func finish(_ slot: UnsafeMutablePointer<PluginSlot>, _ blocks: FlowBlocks) -> Bool {
    martlet_trace_slot(UInt32(slot.pointee.index) &+ 1)
    var call = FinishCall<Registry>(slot: slot, blocks: blocks)
    slot.pointee.registration.visit(&call)
    return call.hasFields
  }

  /// Writes the plugin's fields of a record.
  @inline(__always)
  func writeFields<Writer: FieldWriter & ~Copyable>(
    _ record: UnsafeMutableRawPointer, _ slab: SlabReader, _ states: PluginStates,
    tunnels: UnsafePointer<FlowTunnels>?, into writer: inout Writer
  ) {
    // What a plugin reads outside of its bytes is counted as its mistake.
    martlet_trace_slot(UInt32(index) &+ 1)
    withUnsafeMutablePointer(to: &writer) { writer in
      var call = ExportCall(
        slot: self, record: record,
        flow: FinishedFlow(
          record: UnsafePointer(record.flowRecord), slab: slab, states: states, tunnels: tunnels,
          trailing: MutableBytes(record + Int(trailingOffset), count: Int(trailingSize))),
        writer: writer)
      registration.visit(&call)
    }
    martlet_trace_slot(0)
  }
}

/// One call of `finish`.
private struct FinishCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: UnsafeMutablePointer<PluginSlot<Registry>>
  let blocks: FlowBlocks
  var hasFields = false

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let state = slot.pointee.state(type, blocks.record)
    var flow = PluginSlot.flow(slot, type, blocks)
    hasFields = slot.pointee.value(type).pointee.finish(&state.pointee, &flow)
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
