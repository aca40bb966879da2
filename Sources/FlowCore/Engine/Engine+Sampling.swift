// What of a burst is looked at, where not all is: packets are chosen before they are dissected, flows by their hash behind that.

extension Engine {
  /// Copies the frames that are sampled to where `sampler` has them, and counts the others; returns how many are.
  @inline(never)
  mutating func select(
    _ frames: UnsafePointer<Frame>, _ count: Int, times: UnsafePointer<UInt64>, clocks: UnsafePointer<UInt64>
  ) -> Int {
    var left: UInt64 = 0
    let kept = sampler.select(frames, count: count, times: times, clocks: clocks, left: &left)
    note(UInt64(truncatingIfNeeded: count &- kept), bytes: left)
    // The others count as dissected packets do.
    counters.pointee.packets &+= UInt64(truncatingIfNeeded: count &- kept)
    counters.pointee.bytes &+= left
    return kept
  }

  /// Leaves the packets of flows that are sampled in front of `packets`, and counts the others; returns the end of them.
  @inline(never)
  func selectFlows(to end: UnsafeMutablePointer<Packet>) -> UnsafeMutablePointer<Packet> {
    var left: UInt64 = 0
    let kept = sampler.select(packets, to: end, left: &left)
    note(UInt64(truncatingIfNeeded: end - kept), bytes: left)
    return kept
  }

  /// Counts packets that are not sampled.
  private func note(_ packets: UInt64, bytes: UInt64) {
    counters.pointee.notSampled &+= packets
    counters.pointee.notSampledBytes &+= bytes
  }
}
