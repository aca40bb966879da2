// Exports made-up flows of one plugin, to see that each has the same fields. Flows that occur would not do: a field may
// depend on what no test's traffic has.
import IPFIX
import Wire

/// A slab with one block that is given out, for the references in made-up states.
final class DryRunSlab {
  let slab: UnsafeMutablePointer<Slab>
  /// The first unit of the block, its size class and its bytes: more than any plugin of Martlet's keeps in one that it
  /// exports from, and little to fill a few hundred times.
  static let unit: UInt32 = 1
  private static let sizeClass = 2
  private static let size = Slab.size(sizeClass)
  /// What the block is filled with; nil where `finish` may have changed it.
  private var filling: UInt8?

  init() throws(FlowSetupError) {
    slab = .allocate(capacity: 1)
    do throws(FlowSetupError) {
      // The unit that stands for no block, the block, and room for what `finish` may take.
      slab.initialize(to: try Slab(bytes: 64 + 2 * Slab.size(Slab.classCount - 1), memory: PlainMemory()))
    } catch {
      slab.deallocate()
      throw error
    }
  }

  /// Takes back what `finish` took; it may have written to the block too.
  func recover(_ blocks: inout UInt32) {
    slab.pointee.giveBack(&blocks)
    filling = nil
  }

  deinit {
    slab.deinitialize(count: 1)
    slab.deallocate()
  }

  /// Makes the block one of its size, with `filling` in each byte of its contents.
  func fill(_ filling: UInt8) {
    guard self.filling != filling else { return }
    self.filling = filling
    let block = slab.pointee.reader.arena + Int(Self.unit) * 64
    // Safe: the slab has two of the largest blocks behind its first unit, and this one is not larger; its first eight bytes
    // are the header.
    block.initializeMemory(as: UInt8.self, repeating: filling, count: Self.size)
    block.storeBytes(of: 0, as: UInt32.self)
    block.storeBytes(of: UInt32(Self.sizeClass), toByteOffset: 4, as: UInt32.self)
  }
}

/// One plugin with its options, about to export flows that never were.
///
/// A flow here is a record head, a state and what trails it. Every member of the state is a value of its type, so nothing
/// is undefined; but members need not fit each other, so `finish` and `export` have to be total, as on the packet path.
struct DryRun<P: FlowPlugin> {
  let plugin: P
  let slab: DryRunSlab

  /// What is written into the members of a state.
  private struct Filling {
    /// For whole numbers, as far as they hold it.
    var number: UInt16
    /// For each byte of everything else, and of what trails the state and of blocks: 0 or 1.
    var byte: UInt8
  }

  private static var fillings: [Filling] {
    [
      Filling(number: 1, byte: 1), Filling(number: 100, byte: 1), Filling(number: 30_000, byte: 1),
      Filling(number: 0, byte: 1), Filling(number: 100, byte: 0),
    ]
  }

  /// The fields of a flow of which nothing is known.
  func fieldsOfNothing() -> FieldSequence {
    withFlow(Self.heads[0], members: [], Filling(number: 0, byte: 0), finished: false)
  }

  /// The name of a field that not all flows have; nil where all have the same.
  func fieldThatComesAndGoes() -> String? {
    let usual = fieldsOfNothing()
    let members = P.State.members()
    for head in Self.heads {
      for finished in [false, true] {
        // Nothing, then all members, then each by itself.
        var tries: [([StateMember], Filling)] = [([], Filling(number: 0, byte: 0))]
        tries += Self.fillings.map { (members, $0) }
        tries += members.map { ([$0], Filling(number: 100, byte: 1)) }
        for (members, filling) in tries {
          let fields = withFlow(head, members: members, filling, finished: finished)
          if let name = usual.difference(fields) { return name }
        }
      }
    }
    return nil
  }

  /// Both IP versions, several protocols, one direction and both, with and without flags.
  private static var heads: [FlowRecord] {
    func head(_ protocolNumber: UInt8, _ version6: Bool, _ forward: UInt32, _ reverse: UInt32, _ flags: UInt8)
      -> FlowRecord
    {
      let isEmpty = forward == 0
      var head = FlowRecord(
        key: Key(
          addresses: isEmpty ? 0 : 0x0A00_0001_0A00_0002, sourcePort: isEmpty ? 0 : 40_000,
          destinationPort: isEmpty ? 0 : 443, protocolNumber: protocolNumber, vlan: isEmpty ? 0 : 7,
          isVersion6: version6))
      (head.forwardPackets, head.reversePackets) = (forward, reverse)
      (head.forwardOctets, head.reverseOctets) = (UInt64(forward) * 100, UInt64(reverse) * 100)
      (head.forwardFlags, head.reverseFlags) = (flags, reverse > 0 ? flags : 0)
      if !isEmpty {
        head.first = 1_700_000_000_000_000_000
        head.last = head.first + UInt64(forward + reverse) * 1_000_000_000
        head.endReason = .idleTimeout
        (head.sourceHigh, head.destinationHigh) = (0xFD77 << 48, 0xFD77 << 48)
        (head.sourceLow, head.destinationLow) = (1, 2)
      }
      return head
    }
    return [
      head(0, false, 0, 0, 0), head(6, false, 1, 0, 0x02), head(6, true, 60, 50, 0x1B),
      head(17, false, 5, 3, 0), head(17, true, 2, 0, 0), head(1, false, 1, 1, 0),
    ]
  }

  /// The fields of the flow with this head, in whose otherwise zero state the members are filled; after `finish` if it is
  /// `finished`.
  private func withFlow(_ head: FlowRecord, members: [StateMember], _ filling: Filling, finished: Bool)
    -> FieldSequence
  {
    let stateOffset = FlowRecord.size
    let trailingOffset = stateOffset + (MemoryLayout<P.State>.size + 63) / 64 * 64
    let size = trailingOffset + plugin.trailingBytes
    let record = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    defer { record.deallocate() }
    // Safe: `size` bytes were allocated, and head, state and trailing bytes lie in them one behind the other.
    record.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    (record + trailingOffset).initializeMemory(
      as: UInt8.self, repeating: filling.byte, count: size - trailingOffset)
    record.storeBytes(of: head, as: FlowRecord.self)
    slab.fill(filling.byte)
    for member in members { write(filling, into: member, of: record + stateOffset) }

    let trailing = MutableBytes(record + trailingOffset, count: plugin.trailingBytes)
    // Safe: the state is there as above, and each of its members was made a value of its type.
    let state = (record + stateOffset).assumingMemoryBound(to: P.State.self)
    let head = record.flowRecord
    if finished {
      guard var context = try? plugin.makeWorkerContext() else { return FieldSequence() }
      defer { plugin.freeWorkerContext(context) }
      var shortfalls = PluginShortfalls()
      withUnsafeMutablePointers(&shortfalls, &context) { shortfalls, context in
        var place = UnsafeMutableRawPointer(context)
        withUnsafeMutablePointer(to: &place) { contexts in
          var memory = WorkerMemory(
            slab: slab.slab, shortfalls: shortfalls, states: PluginStates(), contexts: contexts)
          withUnsafePointer(to: &memory) { memory in
            var flow = FlowContext<P>(
              blocks: FlowBlocks(record: head, worker: memory), context: context,
              trailingOffset: UInt32(trailingOffset), trailingSize: UInt32(plugin.trailingBytes))
            _ = plugin.finish(&state.pointee, &flow)
          }
        }
      }
      slab.recover(&head.pointee.blocks)
    }
    var fields = FieldSequence()
    plugin.export(
      state.pointee,
      FinishedFlow(
        record: UnsafePointer(head), slab: slab.slab.pointee.reader, states: PluginStates(),
        trailing: trailing),
      into: &fields)
    return fields
  }

  private func write(_ filling: Filling, into member: StateMember, of state: UnsafeMutableRawPointer) {
    let place = MutableBytes(state + member.offset, count: member.size)
    switch member.kind {
    case .block:
      place.store(filling.number == 0 ? 0 : DryRunSlab.unit, at: 0)
    case .stored:
      let length = filling.byte == 0 ? 0 : min(filling.number, 100)
      let block = BlockReference(dryRun: length == 0 ? 0 : DryRunSlab.unit)
      place.store(StoredBytes(block, length: Int(length)), at: 0)
    case .number(let isSigned):
      let largest: UInt16 = member.size > 1 ? .max : isSigned ? 127 : 255
      var value = min(filling.number, largest)
      for offset in 0..<member.size {
        place.store(UInt8(truncatingIfNeeded: value), at: offset)
        value >>= 8
      }
    case .other:
      for offset in 0..<member.size { place.store(filling.byte, at: offset) }
    }
  }
}

/// Calls `body` with the places of two values.
private func withUnsafeMutablePointers<First, Second>(
  _ first: inout First, _ second: inout Second,
  _ body: (UnsafeMutablePointer<First>, UnsafeMutablePointer<Second>) -> Void
) {
  withUnsafeMutablePointer(to: &first) { first in withUnsafeMutablePointer(to: &second) { body(first, $0) } }
}
