// Where each enabled plugin's state lies behind the record's head: computed once at start, used by workers and export.
import IPFIX

/// A plugin by name with its options, as the command line asks for it.
public struct PluginSelection: Sendable {
  public var name: String
  public var options: String
  /// The options of each further time that a plugin is named which may be.
  var further: [String] = []

  /// Parses `NAME[:key=value[,…]]`.
  public init(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    name = parts[0]
    options = parts.count > 1 ? parts[1] : ""
  }
}

/// One enabled plugin: bit `slot` of a record's masks stands for it.
struct PluginSlot<Registry: PluginRegistry>: BitwiseCopyable {
  /// The slot's own number.
  var index: UInt8 = 0
  /// The plugin's type.
  var registration: Registry
  /// Where its state begins, from the record's start.
  var stateOffset: UInt32
  var stateSize: UInt32
  /// Where its trailing bytes begin, and how many there are.
  var trailingOffset: UInt32
  var trailingSize: UInt32
  /// Where its positions in the two byte streams lie, from the record's start; 0 where it reads none.
  var positionsOffset: UInt32 = 0
  /// The slots (bit = slot) whose plugins are left nothing of a connection that this one claims.
  var excludes: UInt32 = 0
  /// The plugin's own value: its options.
  var plugin: UnsafeMutableRawPointer
}

extension PluginSlot {
  /// The plugin's state in a record.
  @inline(__always)
  func state<P: FlowPlugin>(_ type: P.Type, _ record: UnsafeMutablePointer<FlowRecord>)
    -> UnsafeMutablePointer<P.State>
  {
    // Safe: the layout gave each slot its own bytes behind the record's head, of the plugin's own types.
    (UnsafeMutableRawPointer(record) + Int(stateOffset)).assumingMemoryBound(to: P.State.self)
  }

  /// The plugin itself.
  @inline(__always)
  func value<P: FlowPlugin>(_ type: P.Type) -> UnsafeMutablePointer<P> {
    // Safe: the layout made it of this type, and it lives as long as the layout.
    plugin.assumingMemoryBound(to: P.self)
  }
}

/// The enabled plugins in the order given, and the size of a record with all their states.
///
/// Workers and the export lcore read it through `slots` without counting references: each engine and each schema keeps it.
///
///     record head 128 | byte streams, positions | state | state … | trailing bytes | … [tunnels 64]
///
/// Safe between threads: nothing changes after `init`, neither the slots nor the plugins.
final class StateLayout<Registry: PluginRegistry>: @unchecked Sendable {
  /// A record has 32 bits of interest. One more plugin fits that reads records, which stands in the last slot: it borrows the bit
  /// of a plugin that is shown no packets (`seesPackets`), so that a packet costs no more for it.
  static var maximumPlugins: Int { 33 }
  private static var interestBits: Int { 32 }
  let slots: UnsafeMutableBufferPointer<PluginSlot<Registry>>
  /// The slots by their bits of interest: `slots`, but that the plugin of slot 32 stands where its bit's lender does.
  let takers: UnsafeMutablePointer<PluginSlot<Registry>>
  /// The bit of interest of slot 32; 0 where there is none.
  let lent: UInt32
  /// Bytes from one record to the next.
  let stride: Int
  /// Cache lines behind the record's head that hold streams and states, at most eight.
  let stateLines: Int
  /// The slots (bit = slot) whose plugin looks before an update, those whose plugin reads byte streams, those whose plugin is
  /// shown packets at all, those that every record has fields of, and those whose plugin reads records.
  let looksBeforeUpdate: UInt32
  let readsStreams: UInt32
  let seesPackets: UInt64
  let alwaysPresent: UInt64
  let readsRecords: UInt64
  /// The slots that flows of each protocol concern.
  let slotsByProtocol: ProtocolSlots
  /// Bytes of streams and positions, 0 where no plugin reads them, and bytes of these and of all states.
  let streamsSize: Int
  let statesSize: Int
  /// Where in a record its `StoredBytes` lie, slot by slot.
  let storedBytes: StoredMembers
  /// Where each plugin's state lies, by its type.
  let states: PluginStates
  /// What is done with tunnels, and where in a record its `FlowTunnels` lie; 0 where tunnels are no part of keys.
  let tunnels: TunnelSettings
  let tunnelsOffset: Int

  init(_ selections: [PluginSelection], tunnels: TunnelSettings = .usual) throws(FlowSetupError) {
    var slots: [PluginSlot<Registry>] = []
    var isComplete = false
    defer { if !isComplete { Self.free(slots) } }
    var looksBeforeUpdate: UInt32 = 0
    var readsStreams: UInt32 = 0
    var (seesPackets, alwaysPresent, readsRecords): (UInt64, UInt64, UInt64) = (0, 0, 0)
    var protocols: [FlowProtocols] = []
    var stored: [[UInt32]] = []
    var states: [PluginStates.Entry] = []
    var claims: [StreamClaim] = []
    let selections = Self.inOrder(selections)
    guard selections.count <= Self.maximumPlugins else { throw Self.tooMany }
    let readers = Self.readers(selections)
    streamsSize = FlowStreams.size(readers: readers)
    var offset = FlowRecord.size + streamsSize
    for selection in selections {
      var finder = PluginFinder<Registry>(selection: selection, offset: offset)
      for plugin in Registry.allCases {
        finder.registration = plugin
        plugin.visit(&finder)
      }
      if let error = finder.error { throw error }
      guard var slot = finder.slot else {
        var names = PluginNames()
        Registry.visitAll(&names)
        throw .plugin(
          "there is no plugin '\(selection.name)'; there are \(names.names.sorted().joined(separator: ", "))")
      }
      guard !slots.contains(where: { $0.registration == slot.registration }) else {
        Self.free([slot])
        throw .plugin("plugin \(selection.name) is named twice")
      }
      if finder.looksBeforeUpdate { looksBeforeUpdate |= 1 << slots.count }
      if finder.seesPackets { seesPackets |= 1 << slots.count }
      if finder.isAlwaysPresent { alwaysPresent |= 1 << slots.count }
      if finder.readsRecords { readsRecords |= 1 << slots.count }
      protocols.append(finder.protocols)
      if finder.readsStreams {
        slot.positionsOffset = UInt32(FlowStreams.positions(ofReader: readsStreams.nonzeroBitCount))
        readsStreams |= 1 << slots.count
      }
      stored.append(finder.stored.map { slot.stateOffset + $0 })
      claims.append(finder.claim)
      states += finder.state
      offset = Int(slot.stateOffset + slot.stateSize)
      slots.append(slot)
    }
    let lender = try Self.lender(count: slots.count, seesPackets: seesPackets, readsRecords: readsRecords)
    for (slot, claim) in claims.enumerated() where claim > .none {
      for (other, its) in claims.enumerated() where other != slot && its > .none && its <= claim {
        slots[slot].excludes |= 1 << other
      }
    }
    statesSize = offset - FlowRecord.size
    stateLines = min(8, (offset - FlowRecord.size + 63) / 64)
    // The states first, so that those of all plugins share few cache lines; a packet touches little of what trails.
    for index in slots.indices {
      slots[index].index = UInt8(index)
      offset = (offset + 7) / 8 * 8
      slots[index].trailingOffset = UInt32(offset)
      offset += Int(slots[index].trailingSize)
    }
    self.slots = .allocate(capacity: slots.count)
    _ = self.slots.initialize(from: slots)
    takers = .allocate(capacity: Self.interestBits)
    takers.initialize(
      from: Array(slots.prefix(Self.interestBits)), count: min(slots.count, Self.interestBits))
    if let lender { takers[lender] = slots[Self.interestBits] }
    lent = lender.map { 1 << $0 } ?? 0
    offset = (offset + 63) / 64 * 64
    self.tunnels = tunnels
    tunnelsOffset = tunnels.areKeys ? offset : 0
    stride = offset + (tunnels.areKeys ? FlowTunnels.size : 0)
    self.looksBeforeUpdate = looksBeforeUpdate
    self.readsStreams = readsStreams
    self.seesPackets = seesPackets
    self.alwaysPresent = alwaysPresent
    self.readsRecords = readsRecords
    slotsByProtocol = ProtocolSlots(protocols)
    storedBytes = StoredMembers(stored)
    self.states = PluginStates(states)
    isComplete = true
  }

  deinit {
    Self.free(Array(slots))
    slots.deallocate()
    takers.deallocate()
    storedBytes.free()
    states.free()
    slotsByProtocol.free()
  }

  /// Frees the plugins of slots.
  private static func free(_ slots: [PluginSlot<Registry>]) {
    for slot in slots {
      var call = FreePluginCall(slot: slot)
      slot.registration.visit(&call)
    }
  }

  /// The plugins in the order of their slots: one that reads records is named once, behind all others.
  private static func inOrder(_ selections: [PluginSelection]) -> [PluginSelection] {
    var names = RecordReaderNames()
    Registry.visitAll(&names)
    var ordered: [PluginSelection] = selections.filter { !names.names.contains($0.name) }
    let others = ordered.count
    for selection in selections where names.names.contains(selection.name) {
      if let known = ordered[others...].firstIndex(where: { $0.name == selection.name }) {
        ordered[known].further.append(selection.options)
      } else {
        ordered.append(selection)
      }
    }
    return ordered
  }

  private static var tooMany: FlowSetupError {
    .plugin("at most \(interestBits) plugins can be enabled at once")
  }

  /// The slot that lends slot 32 its bit of interest; nil where no slot needs one.
  private static func lender(count: Int, seesPackets: UInt64, readsRecords: UInt64) throws(FlowSetupError)
    -> Int?
  {
    guard count > interestBits else { return nil }
    let lender = (~seesPackets).trailingZeroBitCount
    guard readsRecords >> UInt64(interestBits) != 0, lender < interestBits else { throw tooMany }
    return lender
  }

  /// How many of the plugins read byte streams.
  private static func readers(_ selections: [PluginSelection]) -> Int {
    var counter = ReaderCounter(names: selections.map(\.name))
    Registry.visitAll(&counter)
    return counter.count
  }

  /// The tunnels of a record, where its key says that it has some; nil where it has none.
  @inline(__always)
  func tunnels(of record: UnsafeRawPointer, _ key: Key) -> UnsafePointer<FlowTunnels>? {
    FlowTunnels.of(record, key, offset: tunnelsOffset)
  }

  /// All slots as a mask.
  var allSlots: UInt64 { (1 << UInt64(slots.count)) - 1 }
}

extension FlowTunnels {
  /// The tunnels of a record, where its key says that it has some, which lie at `offset` of it unless that is 0.
  @inline(__always)
  static func of(_ record: UnsafeRawPointer, _ key: Key, offset: Int) -> UnsafePointer<FlowTunnels>? {
    guard key.isTunnelled, offset != 0 else { return nil }
    // Safe: where the offset is not 0, each record of the layout has a line for its tunnels there.
    return (record + offset).assumingMemoryBound(to: FlowTunnels.self)
  }
}

/// Where the members lie that refer to bytes which will be exported.
struct StoredMembers: BitwiseCopyable {
  private let offsets: UnsafeMutablePointer<UInt32>
  private let ends: UnsafeMutablePointer<UInt32>
  /// The slots (bit = slot) that have such members.
  let slots: UInt32

  /// `members` has for each slot the members' offsets from the record's start.
  init(_ members: [[UInt32]]) {
    offsets = .allocate(capacity: members.reduce(1) { $0 + $1.count })
    ends = .allocate(capacity: members.count + 1)
    var (count, slots) = (0, UInt32(0))
    ends.initialize(to: 0)
    for (slot, list) in members.enumerated() {
      for offset in list {
        (offsets + count).initialize(to: offset)
        count += 1
      }
      (ends + slot + 1).initialize(to: UInt32(count))
      if !list.isEmpty { slots |= 1 << slot }
    }
    self.slots = slots
  }

  /// Frees the lists, which nobody reads any more.
  func free() {
    offsets.deallocate()
    ends.deallocate()
  }

  /// Prefetches what the members of one slot refer to.
  @inline(__always)
  func prefetch(slot: Int, of record: UnsafeMutableRawPointer, _ slab: SlabReader) {
    // Safe: `slot` is one of `slots`, and the offsets are those of members of its state.
    var index = Int(ends[slot])
    while index < Int(ends[slot &+ 1]) {
      let stored = (record + Int(offsets[index])).loadUnaligned(as: StoredBytes.self)
      slab.prefetch(stored.block, stored.count)
      index &+= 1
    }
  }
}

/// Finds the plugin of a name and makes its slot.
private struct PluginFinder<Registry: PluginRegistry>: PluginVisitor {
  let selection: PluginSelection
  let offset: Int
  var registration: Registry?
  var slot: PluginSlot<Registry>?
  var looksBeforeUpdate = false
  var readsStreams = false
  var seesPackets = false
  var isAlwaysPresent = false
  var readsRecords = false
  var protocols = FlowProtocols.all
  var claim = StreamClaim.none
  var stored: [UInt32] = []
  var state: [PluginStates.Entry] = []
  var error: FlowSetupError?

  init(selection: PluginSelection, offset: Int) {
    self.selection = selection
    self.offset = offset
  }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.name == selection.name, let registration else { return }
    do throws(FlowSetupError) {
      var options = try PluginOptions(selection.options, declared: P.options, plugin: P.name)
      for text in selection.further {
        options.further.append(try PluginOptions(text, declared: P.options, plugin: P.name))
      }
      let plugin = try P(options: options)
      let memory = UnsafeMutablePointer<P>.allocate(capacity: 1)
      memory.initialize(to: plugin)
      let alignment = max(8, MemoryLayout<P.State>.alignment)
      let stateOffset = (offset + alignment - 1) / alignment * alignment
      let stateSize = MemoryLayout<P.State>.size
      slot = PluginSlot(
        registration: registration, stateOffset: UInt32(stateOffset), stateSize: UInt32(stateSize),
        trailingOffset: 0, trailingSize: UInt32(plugin.trailingBytes),
        plugin: UnsafeMutableRawPointer(memory))
      looksBeforeUpdate = P.looksBeforeUpdate
      readsStreams = P.readsStreams
      seesPackets = P.seesPackets
      isAlwaysPresent = P.isAlwaysPresent
      readsRecords = P.readsRecords
      protocols = P.protocols
      claim = P.readsStreams ? P.streamClaim : .none
      stored = P.State.members().filter { $0.kind == .stored }.map { UInt32($0.offset) }
      state = [PluginStates.Entry(plugin: ObjectIdentifier(type), offset: stateOffset)]
    } catch {
      self.error = error
    }
  }
}

private struct FreePluginCall<Registry: PluginRegistry>: PluginVisitor {
  let slot: PluginSlot<Registry>

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    let plugin = slot.value(type)
    plugin.pointee.free()
    plugin.deinitialize(count: 1)
    plugin.deallocate()
  }
}

private struct ReaderCounter: PluginVisitor {
  let names: [String]
  var count = 0
  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    if P.readsStreams, names.contains(P.name) { count += 1 }
  }
}

private struct RecordReaderNames: PluginVisitor {
  var names: [String] = []
  mutating func visit<P: FlowPlugin>(_ type: P.Type) { if P.readsRecords { names.append(P.name) } }
}

private struct PluginNames: PluginVisitor {
  var names: [String] = []
  mutating func visit<P: FlowPlugin>(_ type: P.Type) { names.append(P.name) }
}
