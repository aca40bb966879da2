// How a flow takes memory of its worker's slab: what byte streams and plugins keep of variable length.
import Wire

/// The slab as one flow sees it. Blocks taken stay the flow's until its record was exported.
public struct FlowBlocks {
  let record: UnsafeMutablePointer<FlowRecord>
  let worker: UnsafePointer<WorkerMemory>

  @inline(__always) var slab: UnsafeMutablePointer<Slab> { worker.pointee.slab }
  @inline(__always) var shortfalls: UnsafeMutablePointer<PluginShortfalls> { worker.pointee.shortfalls }

  /// A block with room for `length` bytes; nil, and counted, when the worker has none left. The contents are not zeroed.
  mutating func take(_ length: Int) -> BlockReference? {
    guard let block = slab.pointee.take(length, for: &record.pointee.blocks) else {
      shortfalls.pointee.slabFull &+= 1
      return nil
    }
    return block
  }

  /// Counts a hello that costs too much for its fingerprint.
  func noteFingerprintLeftOut() { shortfalls.pointee.fingerprintsLeftOut &+= 1 }

  /// A block's contents; empty for no block.
  @inline(__always)
  func contents(_ block: BlockReference) -> MutableBytes { slab.pointee.reader.contents(block) }
}

/// What plugins left out, counted by themselves through their `FlowContext`.
public struct PluginShortfalls: BitwiseCopyable, Sendable {
  public var slabFull: UInt64 = 0
  public var fingerprintsLeftOut: UInt64 = 0
  public var scoresUnusable: UInt64 = 0
}
