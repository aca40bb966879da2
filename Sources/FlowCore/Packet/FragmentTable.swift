// Later fragments carry no ports. This table remembers those of the first fragment for a few seconds, so that all
// fragments of a datagram count in one flow.

/// Where a packet stands in a fragmented datagram.
struct Fragment: BitwiseCopyable {
  var identification: UInt32
  /// In units of eight bytes.
  var offset: UInt16
  /// More fragments follow.
  var more: Bool

  /// A whole datagram.
  static let none = Fragment(identification: 0, offset: 0, more: false)
}

/// The ports of recent first fragments: sets of four entries, the oldest of a set is overwritten.
///
/// The size is fixed, so a flood of fragments only shortens the memory; the seeded hash keeps a sender from choosing a set.
struct FragmentTable: ~Copyable {
  /// One first fragment: one cache line.
  private struct Entry: BitwiseCopyable {
    var addresses: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    /// On the worker's clock, which never goes back: else entries from before a jump back would never grow old.
    var time: UInt64 = 0
    var identification: UInt32 = 0
    var ports: UInt32 = 0
    /// The key's VLAN and version bits, and bit 63 for an entry in use.
    var tag: UInt64 = 0
  }

  /// How long after its first fragment a later one still gets the ports.
  static let lifetime: UInt64 = 3_000_000_000
  private static let ways = 4
  private let entries: UnsafeMutableBufferPointer<Entry>
  private let setCount: UInt64

  /// A table for `4 * sets` datagrams under way at once, 64 bytes each.
  init(sets: Int) {
    setCount = UInt64(sets)
    entries = .allocate(capacity: sets * FragmentTable.ways)
    entries.initialize(repeating: Entry())
  }

  deinit { entries.deallocate() }

  private func addresses(_ packet: Packet) -> (UInt64, UInt64, UInt64, UInt64) {
    guard packet.key.isVersion6 else { return (packet.key.addresses, 0, 0, 0) }
    let (source, destination) = (packet.sourceAddress6, packet.destinationAddress6)
    return (source.high, source.low, destination.high, destination.low)
  }

  private func tag(_ packet: Packet) -> UInt64 {
    1 << 63 | packet.key.rest & (Key.version6 | 0xFFF << 16)
  }

  private func firstEntry(
    _ addresses: (UInt64, UInt64, UInt64, UInt64), _ identification: UInt32, _ hashing: FlowHash
  )
    -> Int
  {
    let hash = hashing.hash(addresses, UInt64(identification))
    return Int((hash >> 32 &* setCount) >> 32) * FragmentTable.ways
  }

  /// Remembers the ports in `packet`'s key for the later fragments of its datagram.
  func note(_ packet: Packet, identification: UInt32, hashing: FlowHash) {
    let wanted = addresses(packet)
    let first = firstEntry(wanted, identification, hashing)
    let tag = tag(packet)
    var place = first
    for index in first..<first + FragmentTable.ways {
      // A datagram that is there already keeps its place: the newest is the one seen last, also where time goes back.
      if isEntry(index, wanted, identification, tag) {
        place = index
        break
      }
      if entries[index].time < entries[place].time { place = index }
    }
    entries[place] = Entry(
      addresses: wanted, time: packet.clock, identification: identification,
      ports: UInt32(truncatingIfNeeded: packet.key.rest >> 32), tag: tag)
  }

  /// The ports of the last first fragment of `packet`'s datagram, if that was seen in the last three seconds.
  func ports(of packet: Packet, identification: UInt32, hashing: FlowHash) -> UInt32? {
    let wanted = addresses(packet)
    let first = firstEntry(wanted, identification, hashing)
    let tag = tag(packet)
    for index in first..<first + FragmentTable.ways where isEntry(index, wanted, identification, tag) {
      guard packet.clock <= entries[index].time &+ FragmentTable.lifetime else { return nil }
      return entries[index].ports
    }
    return nil
  }

  @inline(__always)
  private func isEntry(
    _ index: Int, _ addresses: (UInt64, UInt64, UInt64, UInt64), _ identification: UInt32, _ tag: UInt64
  ) -> Bool {
    entries[index].identification == identification && entries[index].tag == tag
      && entries[index].addresses == addresses
  }
}
