// Which collector gets a flow where not every collector gets all: the first that is there, or one by the flow's number.
import Wire

/// Chooses among collectors by their places in the order given, at most 64.
///
/// Flows are distributed by rendezvous hashing (Thaler and Ravishankar, 1998): each collector has a number for each flow, and
/// the highest one wins. So a collector that leaves has its own flows go to the others, and changes nothing for theirs; when it
/// is back it gets the same ones again, also from another process, whatever the order of the options.
struct CollectorChoice {
  /// A number for each collector, made of its name.
  private var seeds = InlineArray<64, UInt64>(repeating: 0)
  private let count: Int
  /// The collectors that can be reached (bit = place).
  private(set) var reachable: UInt64

  static let mostCollectors = 64

  /// A choice among collectors with these names; all count as there until told otherwise.
  init(names: [String]) {
    let names = names.prefix(Self.mostCollectors)
    count = names.count
    reachable = Self.all(names.count)
    for (place, name) in names.enumerated() { seeds[total: place] = Self.number(name) }
  }

  private static func all(_ count: Int) -> UInt64 {
    count >= 64 ? .max : (1 &<< UInt64(truncatingIfNeeded: count)) &- 1
  }

  /// Notes whether a collector can be reached; true when that is new.
  mutating func note(_ place: Int, isReachable: Bool) -> Bool {
    let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: place)
    let before = reachable
    reachable = isReachable ? reachable | bit : reachable & ~bit
    return reachable != before
  }

  /// Those to choose from: where none can be reached all wait for their share.
  private var candidates: UInt64 { reachable == 0 ? Self.all(count) : reachable }

  /// The first that can be reached.
  var first: Int { candidates.trailingZeroBitCount }

  /// The collector of the flow whose key has this number (`RecordSchema.flowIdentifier`).
  /// - Complexity: O(collectors)
  func collector(of flow: UInt64) -> Int {
    var rest = candidates
    var best = rest.trailingZeroBitCount
    var highest: UInt64 = 0
    while rest != 0 {
      let place = rest.trailingZeroBitCount
      rest &= rest &- 1
      let weight = Self.mixed(flow ^ seeds[total: place])
      if weight > highest { (best, highest) = (place, weight) }
    }
    return best
  }

  /// FNV-1a of a name: a number that is the same in every run.
  private static func number(_ name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// Each bit of the result depends on each of `value` (the last steps of MurmurHash3).
  private static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ value &>> 33) &* 0xFF51_AFD7_ED55_8CCD
    value = (value ^ value &>> 33) &* 0xC4CE_B9FE_1A85_EC53
    return value ^ value &>> 33
  }
}
