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

/// What tells the fragments of one datagram from all others (RFC 791 section 3.2, RFC 8200 section 4.5).
struct Datagram: BitwiseCopyable {
  /// IPv4: both in the first word, the others zero.
  private let addresses: (UInt64, UInt64, UInt64, UInt64)
  /// The key's VLAN and version bits.
  private let tag: UInt64
  private let identification: UInt32

  /// The datagram with the number `identification` between the addresses of `key`, which `source6` and `destination6`
  /// complete for IPv6.
  @inline(__always)
  init(
    _ key: Key, source6: (high: UInt64, low: UInt64), destination6: (high: UInt64, low: UInt64),
    identification: UInt32
  ) {
    addresses =
      key.isVersion6
      ? (source6.high, source6.low, destination6.high, destination6.low) : (key.addresses, 0, 0, 0)
    tag = key.rest & (Key.version6 | 0xFFF << 16)
    self.identification = identification
  }

  /// Never 0. The tag is left out: equal datagrams on two VLANs are rare enough to share a set.
  @inline(__always)
  func hash(_ hashing: FlowHash) -> UInt64 { hashing.hash(addresses, UInt64(identification)) | 1 }

  @inline(__always)
  static func == (one: Datagram, other: Datagram) -> Bool {
    one.addresses == other.addresses && one.tag == other.tag && one.identification == other.identification
  }
}

/// The ports of recent first fragments: sets of four entries, the oldest of a set is overwritten.
///
/// A set's head is one cache line, and an entry is read only when its hash is the right one. The size is fixed, so a flood
/// of fragments only shortens the memory; the seeded hash keeps a sender from choosing a set.
struct FragmentTable: ~Copyable {
  /// The hashes of a set's datagrams, 0 for none, and when they were seen: on the worker's clock, which never goes back,
  /// else entries from before a jump back would never grow old.
  private struct Head: BitwiseCopyable {
    var hashes = InlineArray<4, UInt64>(repeating: 0)
    var times = InlineArray<4, UInt64>(repeating: 0)
  }

  private struct Entry: BitwiseCopyable {
    var datagram: Datagram
    var ports: UInt32
  }

  /// How long after its first fragment a later one still gets the ports.
  static let lifetime: UInt64 = 3_000_000_000
  private static let ways = 4
  private let heads: UnsafeMutableBufferPointer<Head>
  /// Written before the head names them.
  private let entries: UnsafeMutableBufferPointer<Entry>

  /// A table for `4 * sets` datagrams under way at once, 72 bytes each.
  init(sets: Int) {
    // Safe: what is bound here is given back as the same by `deinit`; heads begin cache lines.
    heads = UnsafeMutableRawBufferPointer.allocate(byteCount: sets * MemoryLayout<Head>.stride, alignment: 64)
      .bindMemory(to: Head.self)
    heads.initialize(repeating: Head())
    entries = .allocate(capacity: sets * FragmentTable.ways)
  }

  deinit {
    heads.deallocate()
    entries.deallocate()
  }

  /// Remembers the ports of a datagram's first fragment, received at `clock`, for the later ones.
  @inline(__always)
  func note(_ datagram: Datagram, ports: UInt32, clock: UInt64, hashing: FlowHash) {
    let hash = datagram.hash(hashing)
    let set = self.set(hash)
    // A datagram that is there already keeps its place: the newest is the one seen last, also where time goes back.
    let way = self.way(of: datagram, hash, in: set) ?? oldest(in: set)
    entries[set &* FragmentTable.ways &+ way] = Entry(datagram: datagram, ports: ports)
    heads[set].hashes[way] = hash
    heads[set].times[way] = clock
  }

  /// The ports of the last first fragment of a datagram, if that was seen in the three seconds before `clock`.
  @inline(__always)
  func ports(of datagram: Datagram, clock: UInt64, hashing: FlowHash) -> UInt32? {
    let hash = datagram.hash(hashing)
    let set = self.set(hash)
    guard let way = way(of: datagram, hash, in: set),
      clock <= heads[set].times[way] &+ FragmentTable.lifetime
    else { return nil }
    return entries[set &* FragmentTable.ways &+ way].ports
  }

  @inline(__always)
  private func set(_ hash: UInt64) -> Int { Int((hash >> 32 &* UInt64(heads.count)) >> 32) }

  @inline(__always)
  private func oldest(in set: Int) -> Int {
    var oldest = 0
    for way in 1..<FragmentTable.ways where heads[set].times[way] < heads[set].times[oldest] { oldest = way }
    return oldest
  }

  @inline(__always)
  private func way(of datagram: Datagram, _ hash: UInt64, in set: Int) -> Int? {
    for way in 0..<FragmentTable.ways
    where heads[set].hashes[way] == hash && entries[set &* FragmentTable.ways &+ way].datagram == datagram {
      return way
    }
    return nil
  }
}
