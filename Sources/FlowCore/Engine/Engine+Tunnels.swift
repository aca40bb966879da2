// Flows inside of tunnels: found by more than their key, and made of a frame that may hold two packets of flows.
import CIntrinsics
import Wire

extension Engine {
  /// The tunnels of a record, whose key says that it has some.
  @inline(__always)
  func tunnels(of record: UnsafeMutablePointer<FlowRecord>) -> UnsafeMutablePointer<FlowTunnels> {
    // Safe: the dissector marks keys only where tunnels are part of them, and then each record has a line there.
    (UnsafeMutableRawPointer(record) + tunnelsOffset).assumingMemoryBound(to: FlowTunnels.self)
  }

  /// As `search`, for a packet in tunnels. A flow with the packet's own tunnels comes first. Where the ends of a tunnel number it
  /// each for itself, nothing in a packet says which number is the other direction's: there the first packet of a direction that
  /// a flow has not seen yet tells, as long as no flow has its numbers.
  @inline(never)
  func searchTunnelled(_ packet: UnsafeMutablePointer<Packet>) -> (UnsafeMutablePointer<FlowRecord>, Int)? {
    let hash = packet.pointee.hash
    let home = table.bucket(table.bucketIndex(hash))
    var unanswered: UnsafeMutablePointer<FlowRecord>?
    if let found = searchTunnelled(packet, in: home, &unanswered) { return found }
    if home.guests != 0 {
      var step: UInt64 = 0
      while step < UInt64(FlowTable.groupSize) {
        let bucket = table.guestBucket(hash, step: step)
        if let found = searchTunnelled(packet, in: bucket, &unanswered) { return found }
        step &+= 1
      }
    }
    // It has not ended, so the packet is counted in it.
    guard let record = unanswered else { return nil }
    tunnels(of: record).pointee.reverse = packet.pointee.tunnels
    return (record, 1)
  }

  /// The packet's flow, when it is in `bucket`, and the packet's direction; `unanswered` becomes the first flow of which this may be
  /// the first packet of the other direction.
  @inline(__always)
  private func searchTunnelled(
    _ packet: UnsafeMutablePointer<Packet>, in bucket: Bucket,
    _ unanswered: inout UnsafeMutablePointer<FlowRecord>?
  ) -> (UnsafeMutablePointer<FlowRecord>, Int)? {
    var lanes = bucket.lanes(matching: FlowTable.signature(packet.pointee.hash))
    while lanes != 0 {
      let record = table.record(bucket.recordIndex(lanes.trailingZeroBitCount))
      lanes &= lanes &- 1
      guard var direction = Optional(record.direction(packet.pointee.key)), direction >= 0 else { continue }
      if packet.pointee.key.isVersion6 {
        guard let direction6 = direction6(of: packet, in: record, direction) else { continue }
        direction = direction6
      }
      let known = tunnels(of: record)
      if direction == 0 {
        if known.pointee.forward.difference(packet.pointee.tunnels) == 0 { return (record, 0) }
      } else if known.pointee.reverse.isEmpty {
        if unanswered == nil, packet.pointee.tunnels.canBeReverse(of: known.pointee.forward),
          !timeouts.hasExpired(record.pointee, time: packet.pointee.time, clock: packet.pointee.clock)
        {
          unanswered = record
        }
      } else if known.pointee.reverse.difference(packet.pointee.tunnels) == 0 {
        return (record, 1)
      }
    }
    return nil
  }

  /// Notes the tunnels of a new flow's first packet.
  @inline(__always)
  func noteTunnels(_ packet: UnsafeMutablePointer<Packet>, _ record: UnsafeMutablePointer<FlowRecord>) {
    guard packet.pointee.key.isTunnelled else { return }
    tunnels(of: record).pointee = FlowTunnels(forward: packet.pointee.tunnels)
  }

  /// Takes over the tunnels of `other`, a record of the same flow.
  @inline(__always)
  func copyTunnels(
    from other: UnsafeMutablePointer<FlowRecord>, to record: UnsafeMutablePointer<FlowRecord>
  ) {
    guard record.pointee.key.isTunnelled else { return }
    tunnels(of: record).pointee = tunnels(of: other).pointee
  }

  /// The hash of a flow in the table.
  func hash(of record: UnsafeMutablePointer<FlowRecord>) -> UInt64 {
    let hash = record.pointee.hash(dissector.hashing)
    guard record.pointee.key.isTunnelled else { return hash }
    return dissector.hashing.hash(hash, in: tunnels(of: record).pointee.forward)
  }

  /// Adds, behind the packets up to `end`, those that carry one of them, where both make flows. Returns the end of all.
  @inline(never)
  mutating func addOutside(to end: UnsafeMutablePointer<Packet>) -> UnsafeMutablePointer<Packet> {
    var (inner, outside) = (packets, end)
    while inner != end {
      // There is room for twice as many packets as frames, and a frame adds one at most.
      if inner.pointee.tunnelCount != 0,
        dissector.dissectOutside(of: inner.pointee, into: &outside.pointee)
      {
        counters.pointee.tunnelsOutside &+= 1
        table.bucket(table.bucketIndex(outside.pointee.hash)).prefetch()
        outside += 1
      }
      inner += 1
    }
    return outside
  }
}
