// What a packet changes in its record.

extension UnsafeMutablePointer<FlowRecord> {
  /// Adds a packet of the given direction, 0 forward or 1 reverse; returns how many that direction has then.
  ///
  /// The direction is an index, not a condition: directions alternate in ways that no branch predictor guesses.
  @inline(__always) @discardableResult
  func count(_ packet: UnsafePointer<Packet>, direction: Int) -> UInt32 {
    let base = UnsafeMutableRawPointer(self)
    // Safe: `FlowRecord.checkLayout` holds, and each pair is two fields of the same type, one behind the other.
    let packets = (base + FlowRecord.packetsOffset).assumingMemoryBound(to: UInt32.self)
    let octets = (base + FlowRecord.octetsOffset).assumingMemoryBound(to: UInt64.self)
    let flags = (base + FlowRecord.flagsOffset).assumingMemoryBound(to: UInt8.self)
    let counted = packets[direction & 1] &+ 1
    packets[direction & 1] = counted
    octets[direction & 1] &+= UInt64(packet.pointee.octets)
    flags[direction & 1] |= packet.pointee.tcpFlags
    pointee.last = packet.pointee.time
    return counted
  }

  /// The TCP flags seen in a direction.
  @inline(__always)
  func flags(_ direction: Int) -> UInt8 {
    (UnsafeMutableRawPointer(self) + FlowRecord.flagsOffset).load(
      fromByteOffset: direction & 1, as: UInt8.self)
  }

  /// 0 or 1 when `key` is the record's in forward or reverse direction, else -1. Without a branch on the direction.
  @inline(__always)
  func direction(_ key: Key) -> Int {
    let forward = pointee.key.difference(key)
    let reverse = pointee.key.difference(key.reversed)
    return Swift.min(forward, reverse) != 0 ? -1 : (forward == 0 ? 0 : 1)
  }
}

extension FlowRecord {
  static let packetsOffset = 32
  static let octetsOffset = 40
  static let flagsOffset = 56

  /// Stops the program where the layout is not what `count` takes it for; called once.
  static func checkLayout() {
    precondition(
      MemoryLayout<FlowRecord>.offset(of: \.forwardPackets) == packetsOffset
        && MemoryLayout<FlowRecord>.offset(of: \.reversePackets) == packetsOffset + 4
        && MemoryLayout<FlowRecord>.offset(of: \.forwardOctets) == octetsOffset
        && MemoryLayout<FlowRecord>.offset(of: \.reverseOctets) == octetsOffset + 8
        && MemoryLayout<FlowRecord>.offset(of: \.forwardFlags) == flagsOffset
        && MemoryLayout<FlowRecord>.offset(of: \.reverseFlags) == flagsOffset + 1)
  }

  /// By how much a packet's time is behind the worker's clock, in units of 2^29 ns rounded up.
  @inline(__always)
  static func lag(clock: UInt64, time: UInt64) -> UInt32 {
    let nanoseconds = clock > time ? clock &- time : 0
    return UInt32(clamping: (nanoseconds &+ 1 << 29 &- 1) >> 29)
  }

  /// Notes by how much the last packet's time is behind the worker's clock.
  @inline(__always)
  mutating func setLag(_ lag: UInt32) {
    self.lag = lag
    isLagging = lag != 0
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
