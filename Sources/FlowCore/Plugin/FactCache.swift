// What was looked up of addresses of late, so that a record costs two looks into memory and seldom one into a database.
import CIntrinsics
import Wire

/// The facts of the addresses in the records at hand, for one export lcore.
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

  /// Facts and whose they are.
  struct Entry: BitwiseCopyable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// The burst that used it last; 0 for none.
    var burst: UInt32 = 0
    var isVersion6 = false
    var facts = AddressFacts()
  }

  /// Addresses in the table, 5 MiB, in pairs: an address has either place of one. And those beyond: two for each record of a
  /// burst, of which there are 1024 at most.
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

  /// The first of the two places that the address can have.
  private func pair(_ address: IPAddress) -> Int {
    let mixed = (address.high &* 0x9E37_79B9_7F4A_7C15 ^ address.low) &* 0xBF58_476D_1CE4_E5B9
    return 1 &+ Int(truncatingIfNeeded: mixed &>> 49) &* 2
  }

  /// Fetches what `number` will look at.
  func prefetch(_ address: IPAddress) {
    let first = entries + pair(address)
    martlet_prefetch(first)
    martlet_prefetch(first + 1)
  }

  /// The number of what is known of the address; 0 where nothing is.
  func number(of address: IPAddress) -> UInt32 {
    // Safe: 15 bits of the hash number the pairs, and the places beyond are as many as addresses of a burst.
    let first = pair(address)
    var place = first
    while place < first &+ 2 {
      let entry = entries[place]
      if entry.burst != 0, entry.low == address.low, entry.high == address.high,
        entry.isVersion6 == address.isVersion6
      {
        entries[place].burst = burst
        return entry.facts.isEmpty ? 0 : UInt32(truncatingIfNeeded: place)
      }
      place &+= 1
    }
    // The one that was of use longer ago goes.
    place = entries[first].burst <= entries[first &+ 1].burst ? first : first &+ 1
    if entries[place].burst == burst {
      guard extra < Self.placesBeyond else { return 0 }
      place = 1 &+ Self.places &+ extra
      extra &+= 1
    }
    let facts = lookUp(address)
    entries[place] = Entry(
      high: address.high, low: address.low, burst: burst, isVersion6: address.isVersion6, facts: facts)
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
