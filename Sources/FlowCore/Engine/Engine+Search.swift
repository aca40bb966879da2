// Which flow a packet belongs to, where that is not the candidate that its signature led to.

extension Engine {
  /// The packet's flow, when it is in the table, and the packet's direction. It is asked for IPv6, whose full addresses
  /// are compared here, and when the candidate was not the flow: the signature matched only by chance or not at all, or
  /// the flow began or ended in this burst.
  @inline(never)
  func search(_ packet: UnsafeMutablePointer<Packet>) -> (UnsafeMutablePointer<FlowRecord>, Int)? {
    if packet.pointee.key.isTunnelled { return searchTunnelled(packet) }
    let hash = packet.pointee.hash
    let home = table.bucket(table.bucketIndex(hash))
    if let found = search(packet, in: home) { return found }
    guard home.guests != 0 else { return nil }
    var step: UInt64 = 0
    while step < UInt64(FlowTable.groupSize) {
      if let found = search(packet, in: table.guestBucket(hash, step: step)) { return found }
      step &+= 1
    }
    return nil
  }

  /// The packet's flow, when it is in `bucket`, and the packet's direction.
  @inline(__always)
  private func search(_ packet: UnsafeMutablePointer<Packet>, in bucket: Bucket) -> (
    UnsafeMutablePointer<FlowRecord>, Int
  )? {
    var lanes = bucket.lanes(matching: FlowTable.signature(packet.pointee.hash))
    while lanes != 0 {
      let record = table.record(bucket.recordIndex(lanes.trailingZeroBitCount))
      let direction = record.direction(packet.pointee.key)
      if direction >= 0 {
        if !packet.pointee.key.isVersion6 { return (record, direction) }
        if let direction = direction6(of: packet, in: record, direction) { return (record, direction) }
      }
      lanes &= lanes &- 1
    }
    return nil
  }

  /// The direction by full IPv6 addresses, where that of the keys, which hold only their last words, is `direction`.
  func direction6(
    of packet: UnsafeMutablePointer<Packet>, in record: UnsafeMutablePointer<FlowRecord>, _ direction: Int
  ) -> Int? {
    let source = packet.pointee.sourceAddress6
    let destination = packet.pointee.destinationAddress6
    func isRecord(_ first: (high: UInt64, low: UInt64), _ second: (high: UInt64, low: UInt64)) -> Bool {
      record.pointee.sourceHigh == first.high && record.pointee.sourceLow == first.low
        && record.pointee.destinationHigh == second.high && record.pointee.destinationLow == second.low
    }
    if direction == 0, isRecord(source, destination) { return 0 }
    // A key that is its own reverse says nothing about the direction.
    let mayBeReverse = direction == 1 || packet.pointee.key == packet.pointee.key.reversed
    return mayBeReverse && isRecord(destination, source) ? 1 : nil
  }
}
