// Finished records go from the engine to the outputs and back as plain addresses, because rings carry nothing else: here they
// become records again.

extension UnsafeMutableRawPointer {
  /// The head of the flow record at this address.
  @inline(__always)
  var flowRecord: UnsafeMutablePointer<FlowRecord> {
    // Safe: `FlowTable.record` checks the number that it makes an address of; others have theirs from there, through packets,
    // outbox and rings, or have made a record of their own. Each is at least `FlowRecord.size` bytes, and lies on a line.
    assumingMemoryBound(to: FlowRecord.self)
  }
}
