// Where each enabled plugin's state lies behind the record's head: computed once at start, used by workers and export.
import IPFIX

/// A plugin by name with its options, as the command line asks for it.
public struct PluginSelection: Sendable {
  public var name: String
  public var options: String

  /// Parses `NAME[:key=value[,…]]`.
  public init(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    name = parts[0]
    options = parts.count > 1 ? parts[1] : ""
  }
}

/// One enabled plugin: bit `slot` of a record's masks stands for it.
struct PluginSlot: BitwiseCopyable {
  /// The slot's own number.
  var index: UInt8 = 0
  var number: UInt8
  /// Where its state begins, from the record's start.
  var stateOffset: UInt32
  var stateSize: UInt32
  /// Where its trailing bytes begin, and how many there are.
  var trailingOffset: UInt32
  var trailingSize: UInt32
  /// The plugin's own value: its options.
  var plugin: UnsafeMutableRawPointer
}

/// The enabled plugins in the order given, and the size of a record with all their states.
///
/// It lives as long as the process: workers and the export lcore read it through `slots` without counting references.
final class StateLayout<Registry: PluginRegistry>: @unchecked Sendable {
  static var maximumPlugins: Int { 32 }
  let slots: UnsafeMutableBufferPointer<PluginSlot>
  /// Bytes from one record to the next.
  let stride: Int
  /// Cache lines behind the record's head that hold states, at most eight.
  let stateLines: Int
  /// The slots (bit = slot) whose plugin looks before an update.
  let looksBeforeUpdate: UInt32
  /// The slots whose plugin exports blocks.
  let exportsBlocks: UInt32

  init(_ selections: [PluginSelection]) throws(FlowSetupError) {
    var slots: [PluginSlot] = []
    var offset = FlowRecord.size
    var looksBeforeUpdate: UInt32 = 0
    var exportsBlocks: UInt32 = 0
    guard selections.count <= Self.maximumPlugins else {
      throw .plugin("at most \(Self.maximumPlugins) plugins can be enabled at once")
    }
    for selection in selections {
      var finder = PluginFinder(selection: selection, offset: offset)
      for number in 0..<Registry.count {
        finder.number = UInt8(number)
        Registry.visit(UInt8(number), &finder)
      }
      if let error = finder.error { throw error }
      guard let slot = finder.slot else {
        var names = PluginNames()
        for number in 0..<Registry.count { Registry.visit(UInt8(number), &names) }
        throw .plugin(
          "there is no plugin '\(selection.name)'; there are \(names.names.sorted().joined(separator: ", "))")
      }
      guard !slots.contains(where: { $0.number == slot.number }) else {
        throw .plugin("plugin \(selection.name) is named twice")
      }
      if finder.looksBeforeUpdate { looksBeforeUpdate |= 1 << slots.count }
      if finder.exportsBlocks { exportsBlocks |= 1 << slots.count }
      offset = Int(slot.stateOffset + slot.stateSize)
      slots.append(slot)
    }
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
    stride = (offset + 63) / 64 * 64
    self.looksBeforeUpdate = looksBeforeUpdate
    self.exportsBlocks = exportsBlocks
  }

  /// All slots as a mask.
  var allSlots: UInt32 { UInt32(truncatingIfNeeded: (UInt64(1) << slots.count) - 1) }
}

/// Finds the plugin of a name and makes its slot.
private struct PluginFinder: PluginVisitor {
  let selection: PluginSelection
  let offset: Int
  var number: UInt8 = 0
  var slot: PluginSlot?
  var looksBeforeUpdate = false
  var exportsBlocks = false
  var error: FlowSetupError?

  init(selection: PluginSelection, offset: Int) {
    self.selection = selection
    self.offset = offset
  }

  mutating func visit<P: FlowPlugin>(_ type: P.Type) {
    guard P.name == selection.name else { return }
    do throws(FlowSetupError) {
      let options = try PluginOptions(selection.options, declared: P.options, plugin: P.name)
      let plugin = try P(options: options)
      let memory = UnsafeMutablePointer<P>.allocate(capacity: 1)
      memory.initialize(to: plugin)
      let alignment = max(8, MemoryLayout<P.State>.alignment)
      let stateOffset = (offset + alignment - 1) / alignment * alignment
      let stateSize = MemoryLayout<P.State>.size
      slot = PluginSlot(
        number: number, stateOffset: UInt32(stateOffset), stateSize: UInt32(stateSize), trailingOffset: 0,
        trailingSize: UInt32(plugin.trailingBytes),
        plugin: UnsafeMutableRawPointer(memory))
      looksBeforeUpdate = P.looksBeforeUpdate
      exportsBlocks = P.exportsBlocks
    } catch {
      self.error = error
    }
  }
}

private struct PluginNames: PluginVisitor {
  var names: [String] = []
  mutating func visit<P: FlowPlugin>(_ type: P.Type) { names.append(P.name) }
}
