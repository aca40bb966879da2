// A flow as plugins see it: while its packets come, and on its way out.
import Wire

/// What a hook of `Plugin` may see and take of the flow that it works on.
public struct FlowContext<Plugin: FlowPlugin> {
  /// The flow's memory, for the parsers that a plugin shares with others.
  var blocks: FlowBlocks
  let context: UnsafeMutablePointer<Plugin.WorkerContext>
  /// Where in the record the plugin's bytes behind its state lie, and how many there are.
  let trailingOffset: UInt32
  let trailingSize: UInt32
  /// Where a plugin that returns `.nextRecord` wants to go on in this packet, or in the bytes of a stream; it finds the same
  /// number when it is called for the next record. 0 at first.
  public var position = 0

  @inline(__always) var record: UnsafeMutablePointer<FlowRecord> { blocks.record }

  /// The plugin's bytes behind its state, as `trailingBytes` asked. They are not zeroed.
  @inline(__always)
  public var trailing: MutableBytes {
    // Safe: the layout put as many bytes there in each record.
    MutableBytes(UnsafeMutableRawPointer(record) + Int(trailingOffset), count: Int(trailingSize))
  }

  /// What the plugin keeps for the worker.
  @inline(__always)
  public var worker: Plugin.WorkerContext {
    // Safe: made for the worker's slot before its first packet, and there as long as the worker.
    get { context.pointee }
    nonmutating set { context.pointee = newValue }
  }

  /// The packets counted so far.
  @inline(__always) public var forwardPackets: UInt32 { record.pointee.forwardPackets }
  @inline(__always) public var reversePackets: UInt32 { record.pointee.reversePackets }
  @inline(__always) public var packets: UInt64 { UInt64(forwardPackets) &+ UInt64(reversePackets) }
  /// The union of the TCP flags of both directions.
  @inline(__always) public var tcpFlags: UInt8 { record.pointee.forwardFlags | record.pointee.reverseFlags }
  /// When the flow began, nanoseconds since 1970.
  @inline(__always) public var first: UInt64 { record.pointee.first }
  /// When the last counted packet was received.
  @inline(__always) public var last: UInt64 { record.pointee.last }

  /// Says at which offset of `trailing`, a multiple of 8, the flow's next packet will be noted: where that begins a cache line
  /// the line is prefetched for the packet. Where several plugins say so the last one is heard.
  @inline(__always)
  public func expectNext(at offset: Int) {
    let address = UnsafeRawPointer(trailing.base) + offset
    // Records begin at a line's start. Safe: only the distance of two addresses of one record is taken.
    guard Int(bitPattern: address) & 0x38 == 0 else { return }
    record.pointee.expectedLine = max(0, address - UnsafeRawPointer(record)) &>> 6
  }

  /// A block with room for `length` bytes that the flow keeps until it was exported; nil, and counted, when the worker
  /// has none left. The contents are not zeroed. For bytes that are exported see `store`.
  public mutating func takeBlock(_ length: Int) -> BlockReference? { blocks.take(length) }

  /// A block's contents.
  @inline(__always)
  public func contents(_ block: BlockReference) -> MutableBytes { blocks.contents(block) }

  /// What another plugin knows of the flow; nil where it is not enabled. It is complete in `finish` for plugins that stand
  /// before this one on the command line.
  @inline(__always)
  public func state<Other: FlowPlugin>(of plugin: Other.Type) -> Other.State? {
    blocks.worker.pointee.states.state(of: plugin, UnsafePointer(record))
  }
}

/// A flow on its way out, as `export` sees it.
public struct FinishedFlow {
  let record: UnsafePointer<FlowRecord>
  let slab: SlabReader
  let states: PluginStates
  /// The tunnels of the flow, where they are part of its key.
  var tunnels: UnsafePointer<FlowTunnels>?
  /// The plugin's bytes behind its state.
  public internal(set) var trailing: MutableBytes

  /// When the flow began, nanoseconds since 1970.
  @inline(__always) public var first: UInt64 { record.pointee.first }
  /// The flow's packets in both directions.
  @inline(__always) public var packets: UInt64 {
    UInt64(record.pointee.forwardPackets) &+ UInt64(record.pointee.reversePackets)
  }
  /// The outermost VLAN id, 0 when untagged.
  @inline(__always) public var vlan: UInt16 { record.pointee.key.vlan }

  /// The hash of the flow's key, the same for both directions.
  public func hash(_ hashing: FlowHash) -> UInt64 {
    let hash = record.pointee.hash(hashing)
    return tunnels.map { hashing.hash(hash, in: $0.pointee.forward) } ?? hash
  }

  /// The first `length` bytes of a block; empty for no block.
  @inline(__always)
  public func bytes(_ block: BlockReference, _ length: Int) -> Bytes { slab.contents(block).prefix(length) }

  /// The bytes stored; empty where there are none.
  @inline(__always)
  public func bytes(_ stored: StoredBytes) -> Bytes { slab.contents(stored.block).prefix(Int(stored.length)) }

  /// What another plugin knows of the flow, after its `finish`; nil where it is not enabled.
  @inline(__always)
  public func state<Other: FlowPlugin>(of plugin: Other.Type) -> Other.State? {
    states.state(of: plugin, record)
  }
}

extension PluginStates {
  /// The state of a plugin in a record; nil where it is not enabled.
  @inline(__always)
  func state<P: FlowPlugin>(of plugin: P.Type, _ record: UnsafePointer<FlowRecord>) -> P.State? {
    guard let offset = offset(of: ObjectIdentifier(plugin)) else { return nil }
    // Safe: the layout put a state of the plugin's type where its entry says.
    return (UnsafeRawPointer(record) + offset).assumingMemoryBound(to: P.State.self).pointee
  }
}
