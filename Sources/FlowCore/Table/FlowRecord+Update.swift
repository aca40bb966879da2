// What a packet changes in its record.

extension FlowRecord {
  /// Adds a packet of the given direction.
  @inline(__always)
  mutating func count(_ packet: borrowing Packet, isForward: Bool) {
    if isForward {
      forwardPackets &+= 1
      forwardOctets &+= UInt64(packet.octets)
      forwardFlags |= packet.tcpFlags
    } else {
      reversePackets &+= 1
      reverseOctets &+= UInt64(packet.octets)
      reverseFlags |= packet.tcpFlags
    }
    last = packet.time
  }

  /// Notes by how much the packet's time is behind the worker's clock; returns whether that changed.
  @inline(never)
  mutating func setLag(clock: UInt64, time: UInt64) -> Bool {
    let nanoseconds = clock > time ? clock &- time : 0
    let before = lag
    lag = UInt32(clamping: (nanoseconds &+ 1 << 29 &- 1) >> 29)
    isLagging = lag != 0
    return lag != before
  }

  /// Notes the addresses of the flow's first packet.
  mutating func noteAddresses(_ packet: Packet, worker: UInt64) {
    if key.isVersion6 {
      (sourceHigh, sourceLow) = packet.sourceAddress6
      (destinationHigh, destinationLow) = packet.destinationAddress6
    }
    let link = Bytes(packet.frame, count: Int(packet.captured)).dropFirst(Int(packet.linkOffset))
    func address(at offset: Int) -> UInt64 {
      UInt64(link.load(UInt32.self, at: offset)) << 16 | UInt64(link.load(UInt16.self, at: offset + 4))
    }
    sourceMACAndWorker = worker << 48
    switch packet.macAddresses {
    case .none: break
    case .ethernet:
      destinationMAC = address(at: 0)
      sourceMACAndWorker |= address(at: 6)
    case .sourceOnly:
      sourceMACAndWorker |= address(at: 0)
    }
  }
}
