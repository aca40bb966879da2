// The stage of the burst in which plugins see a packet: for each one that still wants this flow, one direct call.
import CIntrinsics
import Wire

/// The hooks of `FlowPlugin` that see a packet.
enum Hook {
  case create
  case beforeUpdate
  case update
}

/// Calls hooks of the plugins in a mask and gathers what they ask for.
struct PluginStage<Registry: PluginRegistry> {
  let slots: UnsafeMutablePointer<PluginSlot>

  /// Calls `hook` for each plugin in `mask`, in slot order; returns what they ask for together. `done` takes a plugin
  /// out of the record's interest.
  @inline(__always)
  func run(_ hook: Hook, mask: UInt32, _ packet: PacketView, _ blocks: FlowBlocks) -> Verdict {
    // Not `[]`: the array literal behind it costs a call to `swift_release` for each packet.
    var verdicts = Verdict(rawValue: 0)
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      let slot = slots[number]
      martlet_trace_slot(UInt32(truncatingIfNeeded: number &+ 1))
      var call = HookCall(hook: hook, slot: slot, packet: packet, blocks: blocks)
      Registry.visit(slot.number, &call)
      if call.verdict.contains(.done) {
        blocks.record.pointee.interest &= ~(1 &<< UInt32(truncatingIfNeeded: number))
      }
      verdicts.formUnion(call.verdict)
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return verdicts
  }

  /// Calls `finish` of each plugin in `mask`; returns those that have something to export.
  @inline(__always)
  func finish(mask: UInt32, _ blocks: FlowBlocks) -> UInt32 {
    var present: UInt32 = 0
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      let slot = slots[number]
      martlet_trace_slot(UInt32(truncatingIfNeeded: number &+ 1))
      var call = FinishCall(slot: slot, blocks: blocks)
      Registry.visit(slot.number, &call)
      if call.hasFields { present |= 1 &<< UInt32(truncatingIfNeeded: number) }
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return present
  }
}

extension PluginSlot {
  /// The plugin's state in a record.
  @inline(__always)
  fileprivate func state<P: FlowPlugin>(_ type: P.Type, _ record: UnsafeMutablePointer<FlowRecord>)
    -> UnsafeMutablePointer<P.State>
  {
    // Safe: the layout gave each slot its own bytes behind the record's head, of the plugin's own types.
    (UnsafeMutableRawPointer(record) + Int(stateOffset)).assumingMemoryBound(to: P.State.self)
  }

  /// What the plugin's hooks get of the flow.
  @inline(__always)
  fileprivate func flow(_ blocks: FlowBlocks) -> FlowContext {
    FlowContext(
      blocks: blocks,
      trailing: MutableBytes(
        UnsafeMutableRawPointer(blocks.record) + Int(trailingOffset), count: Int(trailingSize)))
  }

  /// The plugin itself.
  @inline(__always)
  fileprivate func value<P: FlowPlugin>(_ type: P.Type) -> UnsafeMutablePointer<P> {
    // Safe: the layout made it of this type, and it lives as long as the process.
    plugin.assumingMemoryBound(to: P.self)
  }
}

/// One call of one hook.
private struct HookCall: PluginVisitor {
  let hook: Hook
  let slot: PluginSlot
  let packet: PacketView
  let blocks: FlowBlocks
  var verdict = Verdict(rawValue: 0)

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let state = slot.state(type, blocks.record)
    var flow = slot.flow(blocks)
    switch hook {
    case .create: verdict = slot.value(type).pointee.create(&state.pointee, packet, &flow)
    case .beforeUpdate: verdict = slot.value(type).pointee.beforeUpdate(&state.pointee, packet, &flow)
    case .update: verdict = slot.value(type).pointee.update(&state.pointee, packet, &flow)
    }
  }
}

/// One call of `finish`.
private struct FinishCall: PluginVisitor {
  let slot: PluginSlot
  let blocks: FlowBlocks
  var hasFields = false

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    var flow = slot.flow(blocks)
    hasFields = slot.value(type).pointee.finish(&slot.state(type, blocks.record).pointee, &flow)
  }
}
