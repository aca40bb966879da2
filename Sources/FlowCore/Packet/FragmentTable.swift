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

/// What tells the fragments of one datagram from all others (RFC 791 section 3.2, RFC 8200 section 4.5): two keyed hashes of
/// addresses, identification, IP version and VLAN.
///
/// 128 bits that nobody outside can compute stand for the 300 themselves, and are passed in registers. Flows are never
/// told apart by a hash; here the most that a collision could do is to lend a fragment another datagram's ports.
struct Datagram: BitwiseCopyable {
  /// Chooses the set; never 0.
  let hash: UInt64
  let check: UInt64

  /// The datagram with the number `identification` between the addresses of `key`, which `source6` and `destination6`
  /// complete for IPv6; `tunnels` is a hash of those around it that are part of keys, else 0.
  @inline(__always)
  init(
    _ key: Key, source6: (high: UInt64, low: UInt64), destination6: (high: UInt64, low: UInt64),
    identification: UInt32, tunnels: UInt64 = 0, hashing: FlowHash
  ) {
    let number = (UInt64(identification) << 32 | key.rest & (Key.version6 | 0xFFF << 16)) ^ tunnels
    (hash, check) =
      key.isVersion6
      ? hashing.hashes(source6, destination6, number) : hashing.hashes((key.addresses, 0), (0, 0), number)
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
    var check: UInt64
    var ports: UInt32
    /// The tunnel that was opened in the first fragment; `.none` for a packet that carries none.
    var opened: TunnelLevel
  }

  /// How long after its first fragment a later one still gets the ports.
  static let lifetime: UInt64 = 3_000_000_000
  private static let ways = 4
  private let heads: UnsafeMutableBufferPointer<Head>
  /// Written before the head names them.
  private let entries: UnsafeMutableBufferPointer<Entry>

  /// A table for `4 * sets` datagrams under way at once, 40 bytes each.
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

  /// Remembers the ports of a datagram's first fragment, received at `clock`, for the later ones, and the tunnel
  /// that was opened in it.
  func note(_ datagram: Datagram, ports: UInt32, clock: UInt64, opened: TunnelLevel = .none) {
    let set = set(of: datagram)
    // A datagram that is there already keeps its place: the newest is the one seen last, also where time goes back.
    let way = way(of: datagram, in: set) ?? oldest(in: set)
    entries[set &* FragmentTable.ways &+ way] = Entry(check: datagram.check, ports: ports, opened: opened)
    heads[set].hashes[way] = datagram.hash
    heads[set].times[way] = clock
  }

  /// The ports of the last first fragment of a datagram, if that was seen in the three seconds before `clock`.
  func ports(of datagram: Datagram, clock: UInt64) -> UInt32? {
    let set = set(of: datagram)
    guard let way = way(of: datagram, in: set), clock <= heads[set].times[way] &+ FragmentTable.lifetime
    else { return nil }
    return entries[set &* FragmentTable.ways &+ way].ports
  }

  /// The tunnel that was opened in the last first fragment of a datagram, if that was seen in the three seconds before `clock`.
  func opened(_ datagram: Datagram, clock: UInt64) -> TunnelLevel? {
    let set = set(of: datagram)
    guard let way = way(of: datagram, in: set), clock <= heads[set].times[way] &+ FragmentTable.lifetime
    else { return nil }
    let level = entries[set &* FragmentTable.ways &+ way].opened
    return level == .none ? nil : level
  }

  @inline(__always)
  private func set(of datagram: Datagram) -> Int {
    Int(truncatingIfNeeded: (datagram.hash >> 32 &* UInt64(truncatingIfNeeded: heads.count)) >> 32)
  }

  @inline(__always)
  private func oldest(in set: Int) -> Int {
    var oldest = 0
    for way in 1..<FragmentTable.ways where heads[set].times[way] < heads[set].times[oldest] { oldest = way }
    return oldest
  }

  @inline(__always)
  private func way(of datagram: Datagram, in set: Int) -> Int? {
    for way in 0..<FragmentTable.ways
    where heads[set].hashes[way] == datagram.hash
      && entries[set &* FragmentTable.ways &+ way].check == datagram.check
    {
      return way
    }
    return nil
  }
}
