// The stage of the burst in which plugins see a packet: for each one that still wants this flow, one direct call.
import CIntrinsics
import Wire

/// The hooks of `FlowPlugin` that see a packet.
enum Hook {
  case create
  case beforeUpdate
  case update
}

/// What plugins ask for together after they saw a packet.
struct Wishes: BitwiseCopyable {
  // Not `[]`: the array literal behind it costs a call to `swift_release` for each packet.
  var verdict = Verdict(rawValue: 0)
  /// The plugins (bit = slot) that want to see the rest of the packet in a new record.
  var again: UInt64 = 0

  @inline(__always)
  mutating func add(_ verdict: Verdict, slot: UInt8) {
    self.verdict.formUnion(verdict)
    if verdict.contains(.nextRecord) { again |= 1 &<< UInt64(slot) }
  }

  @inline(__always)
  mutating func add(_ other: Wishes) {
    verdict.formUnion(other.verdict)
    again |= other.again
  }
}

/// Calls hooks of the plugins in a mask and gathers what they ask for.
struct PluginStage<Registry: PluginRegistry> {
  let slots: UnsafeMutablePointer<PluginSlot<Registry>>
  /// The slots by their bits of interest, which flows' further packets are for.
  let takers: UnsafeMutablePointer<PluginSlot<Registry>>
  /// The bit of interest of slot 32.
  let lent: UInt32
  let states: PluginStates
  /// What each slot's plugin keeps for the worker.
  let contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
  /// Where in the packet each slot's plugin wants to go on.
  let positions: UnsafeMutablePointer<Int>

  /// Calls `hook` for each plugin in `mask`, in order; returns what they ask for together. `done` takes a plugin out of the
  /// record's interest. The mask of `create` has a bit for each slot, that of the other hooks is one of interest.
  @inline(__always)
  func run(
    _ hook: Hook, mask: UInt64, _ packet: PacketView, _ blocks: FlowBlocks, isContinued: Bool = false
  ) -> Wishes {
    var wishes = Wishes()
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      let slot = hook == .create ? slots[number] : takers[number]
      martlet_trace_slot(UInt32(slot.index) &+ 1)
      var call = HookCall<Registry>(
        hook: hook, slot: slot, packet: packet, blocks: blocks, stage: self,
        position: isContinued ? positions[number] : 0)
      slot.registration.visit(&call)
      if hook == .create, number == 32 {
        settleLast(call.verdict, blocks.record)
      } else if call.verdict.contains(.done) {
        blocks.record.pointee.interest &= ~(1 &<< UInt32(truncatingIfNeeded: number))
      }
      if call.verdict.contains(.nextRecord) { positions[Int(slot.index)] = call.position }
      wishes.add(call.verdict, slot: slot.index)
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return wishes
  }

  /// Notes whether the plugin of slot 32 wants further packets. Its bit's lender was asked before it, and wants none.
  @inline(never)
  private func settleLast(_ verdict: Verdict, _ record: UnsafeMutablePointer<FlowRecord>) {
    if verdict.contains(.done) { record.pointee.interest &= ~lent } else { record.pointee.interest |= lent }
  }

  /// Calls `finish` of each plugin in `mask`; returns those that have something to export.
  @inline(__always)
  func finish(mask: UInt64, _ blocks: FlowBlocks) -> UInt64 {
    var present: UInt64 = 0
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      // A plugin that reads records asks which fields there are; it is the last one.
      blocks.record.pointee.lowPresence = UInt32(truncatingIfNeeded: present)
      if slots[number].finish(blocks, states, contexts) {
        present |= 1 &<< UInt64(truncatingIfNeeded: number)
      }
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return present
  }

  /// Whether one of the readers in `mask` knows for sure that `bytes` begin something of its own.
  @inline(never)
  func recognise(_ bytes: Bytes, mask: UInt32) -> Bool {
    var rest = mask
    while rest != 0 {
      let slot = slots[rest.trailingZeroBitCount]
      martlet_trace_slot(UInt32(truncatingIfNeeded: rest.trailingZeroBitCount &+ 1))
      var call = RecogniseCall<Registry>(slot: slot, bytes: bytes)
      slot.registration.visit(&call)
      if call.recognition == .yes { break }
      rest &= rest &- 1
    }
    martlet_trace_slot(0)
    return rest != 0
  }

  /// Shows `stream` to the reader in slot `number`; again, where the packet `isContinued`.
  @inline(__always)
  func read(
    _ stream: StreamBytes, number: Int, _ packet: PacketView, _ blocks: FlowBlocks, isContinued: Bool
  ) -> Reading {
    let slot = slots[number]
    martlet_trace_slot(UInt32(truncatingIfNeeded: number &+ 1))
    var call = ReadCall<Registry>(
      slot: slot, stream: stream, packet: packet, blocks: blocks, stage: self,
      position: isContinued ? positions[number] : 0)
    slot.registration.visit(&call)
    martlet_trace_slot(0)
    if call.reading.verdict.rawValue & Verdict.continues != 0 { positions[number] = call.position }
    return call.reading
  }
}

/// One call of one hook.
private struct HookCall<Registry: PluginRegistry>: PluginVisitor {
  let hook: Hook
  let slot: PluginSlot<Registry>
  let packet: PacketView
  let blocks: FlowBlocks
  let stage: PluginStage<Registry>
  var position: Int
  var verdict = Verdict(rawValue: 0)

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let state = slot.state(type, blocks.record)
    var flow = slot.flow(type, blocks, stage.states, stage.contexts)
    flow.position = position
    switch hook {
    case .create: verdict = slot.value(type).pointee.create(&state.pointee, packet, &flow)
    case .beforeUpdate: verdict = slot.value(type).pointee.beforeUpdate(&state.pointee, packet, &flow)
    case .update: verdict = slot.value(type).pointee.update(&state.pointee, packet, &flow)
    }
    position = flow.position
  }
}

/// One call of `recognise`.
private struct RecogniseCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  let bytes: Bytes
  var recognition = Recognition.no

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    if P.readsStreams { recognition = slot.value(type).pointee.recognise(bytes) }
  }
}

/// One call of `read`.
private struct ReadCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>
  let stream: StreamBytes
  let packet: PacketView
  let blocks: FlowBlocks
  let stage: PluginStage<Registry>
  var position: Int
  var reading = Reading.done

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.readsStreams else { return }
    var flow = slot.flow(type, blocks, stage.states, stage.contexts)
    flow.position = position
    defer { position = flow.position }
    reading = slot.value(type).pointee.read(&slot.state(type, blocks.record).pointee, stream, packet, &flow)
  }
}
