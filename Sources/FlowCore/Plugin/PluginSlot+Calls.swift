// Calls of a slot's plugin that are made from several places: by workers when a flow ends, by outputs, and by plugins that read
// records.
import CIntrinsics
import IPFIX
import Wire

extension PluginSlot {
  /// What the hooks of the slot's plugin get of a flow.
  @inline(__always)
  func flow<P: FlowPlugin>(
    _ type: P.Type, _ blocks: FlowBlocks, _ states: PluginStates,
    _ contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
  ) -> FlowContext<P> {
    FlowContext(
      blocks: blocks, states: states, contexts: contexts,
      // Safe: made of this type for the slot, and there as long as the worker.
      context: contexts[Int(index)].assumingMemoryBound(to: P.WorkerContext.self),
      trailing: MutableBytes(
        UnsafeMutableRawPointer(blocks.record) + Int(trailingOffset), count: Int(trailingSize)))
  }

  /// Calls `finish`; whether the plugin has something to export.
  @inline(__always)
  func finish(
    _ blocks: FlowBlocks, _ states: PluginStates, _ contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
  ) -> Bool {
    martlet_trace_slot(UInt32(index) &+ 1)
    var call = FinishCall<Registry>(slot: self, blocks: blocks, states: states, contexts: contexts)
    registration.visit(&call)
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
  let slot: PluginSlot<Registry>
  let blocks: FlowBlocks
  let states: PluginStates
  let contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
  var hasFields = false

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    var flow = slot.flow(type, blocks, states, contexts)
    hasFields = slot.value(type).pointee.finish(&slot.state(type, blocks.record).pointee, &flow)
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
