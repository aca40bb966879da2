// What was looked up of addresses of late, so that a record costs two looks into memory and seldom one into a database.
import CIntrinsics
import Wire

/// The facts of the addresses in the records at hand, for one export lcore.
///
/// Databases know networks, not addresses: what is the same in all of a network of usual size (/24 of IPv4, /48 of IPv6) is
/// remembered once for it, everything else for its address.
///
/// Records refer to facts by number until they are written. So within a burst no facts are overwritten: an address that finds its
/// place taken by one of the same burst gets a place beyond the table, which is there for the burst.
public final class FactCache {
  /// Asks whoever knows; costs as long as it takes.
  private let lookUp: (IPAddress) -> AddressFacts
  private let entries: UnsafeMutablePointer<Entry>
  /// Places beyond the table that are taken in this burst.
  private var extra = 0
  private var burst: UInt32 = 1

  /// Whose facts: an address', or those of the network around it.
  struct Owner: BitwiseCopyable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var isVersion6 = false
    var isNetwork = false

    /// The address alone.
    init(_ address: IPAddress) { (high, low, isVersion6) = (address.high, address.low, address.isVersion6) }

    /// The network of usual size.
    init(networkOf address: IPAddress) {
      isNetwork = true
      isVersion6 = address.isVersion6
      if isVersion6 { high = address.high & ~0xFFFF } else { low = address.low & ~0xFF }
    }

    /// The bits of the address that are the network's.
    static func length(isVersion6: Bool) -> UInt8 { isVersion6 ? 48 : 24 }

    @inline(__always)
    static func == (one: Owner, other: Owner) -> Bool {
      one.low == other.low && one.high == other.high && one.isVersion6 == other.isVersion6
        && one.isNetwork == other.isNetwork
    }
  }

  /// Facts and whose they are.
  struct Entry: BitwiseCopyable {
    var owner = Owner(IPAddress(version4: 0))
    /// The burst that used it last; 0 for none.
    var burst: UInt32 = 0
    var facts = AddressFacts()
  }

  /// Owners in the table, 6 MiB, in pairs: each has either place of one. And those beyond: two for each record of a burst, of which
  /// there are 1024 at most.
  private static let places = 1 << 16
  private static let placesBeyond = 2048

  /// A cache of what `lookUp` answers.
  public init(lookUp: @escaping (IPAddress) -> AddressFacts) {
    self.lookUp = lookUp
    // Number 0 is nothing.
    entries = .allocate(capacity: 1 + Self.places + Self.placesBeyond)
    entries.initialize(repeating: Entry(), count: 1 + Self.places + Self.placesBeyond)
  }

  deinit { entries.deallocate() }

  /// Where `number` counts from.
  var base: UnsafePointer<Entry> { UnsafePointer(entries) }

  /// Forgets everything: who knows knows other things from here on.
  public func removeAll() {
    for index in 0...Self.places { entries[index] = Entry() }
  }

  /// What was numbered before is written.
  func beginBurst() {
    extra = 0
    burst &+= 1
    if burst == 0 {
      burst = 1
      removeAll()
    }
  }

  /// The first of the two places that the owner can have.
  private func pair(_ owner: Owner) -> Int {
    let mixed = (owner.high &* 0x9E37_79B9_7F4A_7C15 ^ owner.low) &* 0xBF58_476D_1CE4_E5B9
    return 1 &+ Int(truncatingIfNeeded: mixed &>> 49) &* 2
  }

  /// Fetches what `number` will look at first.
  func prefetch(_ address: IPAddress) {
    let first = entries + pair(Owner(networkOf: address))
    martlet_prefetch(first)
    martlet_prefetch(first + 1)
  }

  /// The number of what is known of the address; 0 where nothing is.
  func number(of address: IPAddress) -> UInt32 {
    let network = Owner(networkOf: address)
    let alone = Owner(address)
    guard let place = place(of: network) ?? place(of: alone) else {
      let facts = lookUp(address)
      let isNetworks = facts.networkLength <= Owner.length(isVersion6: address.isVersion6)
      return insert(facts, isNetworks ? network : alone)
    }
    entries[place].burst = burst
    return entries[place].facts.isEmpty ? 0 : UInt32(truncatingIfNeeded: place)
  }

  /// Where the owner's facts are; nil where they are not known.
  private func place(of owner: Owner) -> Int? {
    // Safe: 15 bits of the hash number the pairs.
    let first = pair(owner)
    for place in first..<first &+ 2 where entries[place].burst != 0 && entries[place].owner == owner {
      return place
    }
    return nil
  }

  /// Remembers facts in the place that was of use longer ago, or beyond the table; their number.
  private func insert(_ facts: AddressFacts, _ owner: Owner) -> UInt32 {
    // Safe: as above, and the places beyond are as many as addresses of a burst.
    let first = pair(owner)
    var place = entries[first].burst <= entries[first &+ 1].burst ? first : first &+ 1
    if entries[place].burst == burst {
      guard extra < Self.placesBeyond else { return 0 }
      place = 1 &+ Self.places &+ extra
      extra &+= 1
    }
    entries[place] = Entry(owner: owner, burst: burst, facts: facts)
    return facts.isEmpty ? 0 : UInt32(truncatingIfNeeded: place)
  }
}

extension FlowRecord {
  /// What is known of either side, as `FactCache` numbers it. They lie where `interest` and `lag` were, for which nobody asks
  /// after the end.
  @inline(__always) var sourceFacts: UInt32 {
    get { interest }
    set { interest = newValue }
  }
  @inline(__always) var destinationFacts: UInt32 {
    get { lag }
    set { lag = newValue }
  }
}
