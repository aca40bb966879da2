// A tiny hash table, because Dictionary costs tens of nanoseconds per look-up and this one is asked for every record
// whose combination of fields differs from the record before it.
import Wire

/// Maps 64-bit keys to small numbers: open addressing, linear probing, at most half full.
@usableFromInline
struct KeyTable: ~Copyable {
  /// A key and the value plus 1, eight octets each; 0 in the second marks a free slot.
  private var slots: OwnedBytes
  private var bits: Int
  private(set) var count = 0

  private static var slotLength: Int { 16 }

  /// An empty table of 2 to the power of `bits` slots, at least 16.
  init(bits: Int = 8) {
    self.bits = min(max(bits, 4), 30)
    slots = OwnedBytes(count: Self.slotLength &<< self.bits)
  }

  private var slotCount: Int { 1 &<< bits }

  /// Where the slot of `key` lies, or the free slot where it belongs; where the last one looked at lies if all are taken,
  /// which `insert` prevents. O(1) expected.
  private func place(of key: UInt64) -> Int {
    // Multiplying by 2^64 / golden ratio spreads keys that differ in few bits, such as sets of plugins.
    let hash = (key &* 0x9E37_79B9_7F4A_7C15) &>> UInt64(truncatingIfNeeded: 64 &- bits)
    var index = Int(truncatingIfNeeded: hash)
    var rest = slotCount
    while rest > 0, value(at: index &* Self.slotLength) >= 0, self.key(at: index &* Self.slotLength) != key {
      index = (index &+ 1) & (slotCount &- 1)
      rest &-= 1
    }
    return index &* Self.slotLength
  }

  private func key(at place: Int) -> UInt64 { slots.load(UInt64.self, at: place) }

  /// The value in a slot, -1 in a free one.
  private func value(at place: Int) -> Int {
    Int(truncatingIfNeeded: slots.load(UInt64.self, at: place &+ 8)) &- 1
  }

  private mutating func set(_ place: Int, _ key: UInt64, _ value: Int) {
    slots.store(key, at: place)
    slots.store(UInt64(truncatingIfNeeded: value &+ 1), at: place &+ 8)
  }

  /// The value stored for `key`, or -1.
  func find(_ key: UInt64) -> Int {
    let place = place(of: key)
    return self.key(at: place) == key ? value(at: place) : -1
  }

  /// Stores a value of at least 0 for a key that is not in the table yet.
  mutating func insert(_ key: UInt64, _ value: Int) {
    if count &* 2 >= slotCount { grow() }
    set(place(of: key), key, value)
    count &+= 1
  }

  private mutating func grow() {
    guard bits < 30 else { return }
    var larger = KeyTable(bits: bits &+ 1)
    var place = 0
    while place < slots.count {
      if value(at: place) >= 0 { larger.insert(key(at: place), value(at: place)) }
      place &+= Self.slotLength
    }
    swap(&self, &larger)
  }
}
