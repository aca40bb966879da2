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
  /// Where in the packet each slot's plugin wants to go on.
  let positions: UnsafeMutablePointer<Int>
  /// The slots that every record has fields of, and those whose plugin reads records.
  let alwaysPresent: UInt64
  let readsRecords: UInt64

  /// Calls `hook` for each plugin in `mask`, in order; returns what they ask for together. `done` takes a plugin out of the
  /// record's interest. The mask of `create` has a bit for each slot, that of the other hooks is one of interest.
  @inline(__always)
  func run(
    _ hook: Hook, mask: UInt64, _ packet: PacketView, _ blocks: FlowBlocks, isContinued: Bool = false
  ) -> Wishes {
    var wishes = Wishes()
    var rest = mask
    while rest != 0 {
      let number = Int(martlet_lowest_bit(rest))
      rest &= rest &- 1
      // By its address: what a hook does not ask for is not read.
      let slot = (hook == .create ? slots : takers) + number
      martlet_trace_slot(UInt32(slot.pointee.index) &+ 1)
      var call = HookCall<Registry>(
        hook: hook, slot: slot, packet: packet, blocks: blocks, position: isContinued ? positions[number] : 0)
      slot.pointee.registration.visit(&call)
      if hook == .create, number == 32 { settleLast(call.verdict, blocks.record) }
      // Most packets make a plugin ask for nothing.
      guard call.verdict.rawValue != 0 else { continue }
      if call.verdict.contains(.done), number < 32 {
        blocks.record.pointee.interest &= ~(1 &<< UInt32(truncatingIfNeeded: number))
      }
      if call.verdict.contains(.nextRecord) { positions[Int(slot.pointee.index)] = call.position }
      wishes.add(call.verdict, slot: slot.pointee.index)
    }
    martlet_trace_slot(0)
    return wishes
  }

  /// Notes whether the plugin of slot 32 wants further packets. Its bit's lender is never shown any.
  @inline(never)
  private func settleLast(_ verdict: Verdict, _ record: UnsafeMutablePointer<FlowRecord>) {
    if verdict.contains(.done) { record.pointee.interest &= ~lent } else { record.pointee.interest |= lent }
  }

  /// Calls `finish` of each plugin in `mask`; returns those that have something to export.
  @inline(__always)
  func finish(mask: UInt64, _ blocks: FlowBlocks) -> UInt64 {
    var present = mask & alwaysPresent
    finish(mask & ~(alwaysPresent | readsRecords), blocks, &present)
    if mask & readsRecords != 0 {
      // They stand behind all others, and ask which fields there are.
      blocks.record.pointee.lowPresence = UInt32(truncatingIfNeeded: present)
      finish(mask & readsRecords, blocks, &present)
    }
    martlet_trace_slot(0)
    return present
  }

  /// Calls `finish` of the plugins in `mask`, and adds those to `present` that have something to export.
  @inline(__always)
  private func finish(_ mask: UInt64, _ blocks: FlowBlocks, _ present: inout UInt64) {
    var rest = mask
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      if PluginSlot.finish(slots + number, blocks) {
        present |= 1 &<< UInt64(truncatingIfNeeded: number)
      }
      rest &= rest &- 1
    }
  }

  /// Whether one of the readers in `mask` knows for sure that `bytes` begin something of its own.
  @inline(never)
  func recognise(_ bytes: Bytes, mask: UInt32) -> Bool {
    var rest = mask
    while rest != 0 {
      let slot = slots + rest.trailingZeroBitCount
      martlet_trace_slot(UInt32(truncatingIfNeeded: rest.trailingZeroBitCount &+ 1))
      var call = RecogniseCall<Registry>(slot: slot, bytes: bytes)
      slot.pointee.registration.visit(&call)
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
    let slot = slots + number
    martlet_trace_slot(UInt32(truncatingIfNeeded: number &+ 1))
    var call = ReadCall<Registry>(
      slot: slot, stream: stream, packet: packet, blocks: blocks,
      position: isContinued ? positions[number] : 0)
    slot.pointee.registration.visit(&call)
    martlet_trace_slot(0)
    if call.reading.verdict.rawValue & Verdict.continues != 0 { positions[number] = call.position }
    return call.reading
  }
}

/// One call of one hook.
private struct HookCall<Registry: PluginRegistry>: PluginVisitor {
  let hook: Hook
  let slot: UnsafeMutablePointer<PluginSlot<Registry>>
  let packet: PacketView
  let blocks: FlowBlocks
  var position: Int
  var verdict = Verdict(rawValue: 0)

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let state = slot.pointee.state(type, blocks.record)
    let plugin = slot.pointee.value(type)
    var flow = PluginSlot.flow(slot, type, blocks)
    flow.position = position
    switch hook {
    case .create: verdict = plugin.pointee.create(&state.pointee, packet, &flow)
    case .beforeUpdate: verdict = plugin.pointee.beforeUpdate(&state.pointee, packet, &flow)
    case .update: verdict = plugin.pointee.update(&state.pointee, packet, &flow)
    }
    position = flow.position
  }
}

/// One call of `recognise`.
private struct RecogniseCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: UnsafeMutablePointer<PluginSlot<Registry>>
  let bytes: Bytes
  var recognition = Recognition.no

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    if P.readsStreams { recognition = slot.pointee.value(type).pointee.recognise(bytes) }
  }
}

/// One call of `read`.
private struct ReadCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: UnsafeMutablePointer<PluginSlot<Registry>>
  let stream: StreamBytes
  let packet: PacketView
  let blocks: FlowBlocks
  var position: Int
  var reading = Reading.done

  @inline(__always)
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.readsStreams else { return }
    let state = slot.pointee.state(type, blocks.record)
    var flow = PluginSlot.flow(slot, type, blocks)
    flow.position = position
    defer { position = flow.position }
    reading = slot.pointee.value(type).pointee.read(&state.pointee, stream, packet, &flow)
  }
}
