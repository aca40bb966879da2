// What a packet changes in its record.
import Wire

extension UnsafeMutablePointer<FlowRecord> {
  // MARK: Beginning

  /// Makes the record with number `index` that of a flow of which nothing was counted yet.
  ///
  /// It is written where it lies: a value made elsewhere and copied would be read back in wider pieces than it was
  /// written in, which CPUs cannot forward from their store buffers.
  @inline(__always)
  func begin(_ key: Key, index: UInt32) {
    // Safe: a record is plain bytes, for which all zero is a value.
    UnsafeMutableRawPointer(self).initializeMemory(as: UInt8.self, repeating: 0, count: FlowRecord.size)
    pointee.key = key
    pointee.index = index
  }

  /// Notes the addresses of the flow's first packet, and who received it where.
  @inline(__always)
  func noteAddresses(_ packet: UnsafePointer<Packet>, worker: UInt64, port: UInt64) {
    if pointee.key.isVersion6 {
      (pointee.sourceHigh, pointee.sourceLow) = packet.pointee.sourceAddress6
      (pointee.destinationHigh, pointee.destinationLow) = packet.pointee.destinationAddress6
    }
    let frame = Bytes(packet.pointee.frame, count: Int(packet.pointee.captured))
    let link = Int(packet.pointee.linkOffset)
    var (source, destination): (UInt64, UInt64) = (0, 0)
    // Two octets more than an address are there in each case: the next address, the type, the field's padding.
    switch packet.pointee.macAddresses {
    case .none: break
    case .ethernet:
      destination = frame.load(UInt64.self, at: link) >> 16
      source = frame.load(UInt64.self, at: link &+ 6) >> 16
    case .sourceOnly:
      source = frame.load(UInt64.self, at: link) >> 16
    }
    pointee.sourceMACAndWorker = worker << 48 | source
    pointee.destinationMACAndPort = port << 48 | destination
  }

  /// Takes over whose flow `other` is.
  func copyAddresses(_ other: UnsafeMutablePointer<FlowRecord>) {
    pointee.sourceHigh = other.pointee.sourceHigh
    pointee.sourceLow = other.pointee.sourceLow
    pointee.destinationHigh = other.pointee.destinationHigh
    pointee.destinationLow = other.pointee.destinationLow
    pointee.sourceMACAndWorker = other.pointee.sourceMACAndWorker
    pointee.destinationMACAndPort = other.pointee.destinationMACAndPort
  }

  // MARK: Counting

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
    // Safe: `FlowRecord.checkLayout` holds: the two lie one behind the other.
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
    marks = marks & ~FlowRecord.lagging | (lag != 0 ? FlowRecord.lagging : 0)
  }
}
