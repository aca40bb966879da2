// The stage of the burst in which plugins see a packet: for each one that still wants this flow, one direct call.
import CIntrinsics

/// The hooks of `FlowPlugin` that the engine calls on the packet path.
enum Hook {
  case create
  case beforeUpdate
  case update
  case finish
}

/// Calls one hook of the plugins in a mask and gathers what they ask for.
struct PluginStage<Registry: PluginRegistry> {
  let slots: UnsafeMutablePointer<PluginSlot>

  /// Calls `hook` for each plugin in `mask`, in slot order; returns what they ask for together. `done` takes a plugin
  /// out of the record's interest.
  @inline(__always)
  func run(
    _ hook: Hook, mask: UInt32, _ record: UnsafeMutablePointer<FlowRecord>, _ packet: PacketView,
    slab: UnsafeMutablePointer<Slab>, shortfalls: UnsafeMutablePointer<PluginShortfalls>
  ) -> Verdict {
    // Not `[]`: the array literal behind it costs a call to `swift_release` for each packet.
    var verdicts = Verdict(rawValue: 0)
    var rest = mask
    martlet_trace_flow(packet.packet, record)
    while rest != 0 {
      let bit = rest & (0 &- rest)
      let number = rest.trailingZeroBitCount
      let slot = slots[number]
      martlet_trace_slot(UInt32(truncatingIfNeeded: number &+ 1))
      var call = HookCall(
        hook: hook, slot: slot, record: record, packet: packet, slab: slab, shortfalls: shortfalls)
      Registry.visit(slot.number, &call)
      if call.verdict.contains(.done) { record.pointee.interest &= ~bit }
      verdicts.formUnion(call.verdict)
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return verdicts
  }
}

/// One call of one hook.
private struct HookCall: PluginVisitor {
  let hook: Hook
  let slot: PluginSlot
  let record: UnsafeMutablePointer<FlowRecord>
  let packet: PacketView
  let slab: UnsafeMutablePointer<Slab>
  let shortfalls: UnsafeMutablePointer<PluginShortfalls>
  var verdict = Verdict(rawValue: 0)

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let base = UnsafeMutableRawPointer(record)
    // Safe: the layout gave each slot its own bytes behind the record's head, of the plugin's own types.
    let state = (base + Int(slot.stateOffset)).assumingMemoryBound(to: P.State.self)
    let plugin = slot.plugin.assumingMemoryBound(to: P.self)
    var flow = FlowContext(
      record: record, slab: slab, shortfalls: shortfalls,
      trailing: MutableBytes(base + Int(slot.trailingOffset), count: Int(slot.trailingSize)))
    switch hook {
    case .create: verdict = plugin.pointee.create(&state.pointee, packet, &flow)
    case .beforeUpdate: verdict = plugin.pointee.beforeUpdate(&state.pointee, packet, &flow)
    case .update: verdict = plugin.pointee.update(&state.pointee, packet, &flow)
    case .finish: verdict = plugin.pointee.finish(&state.pointee, &flow) ? .done : .more
    }
  }
}
