// A tiny hash table, because Dictionary costs tens of nanoseconds per look-up and this one is asked for every record
// whose combination of fields differs from the record before it.

/// Maps 64-bit keys to small numbers: open addressing, linear probing, at most half full.
@usableFromInline
struct KeyTable: ~Copyable {
  struct Slot {
    var key: UInt64
    /// The value plus 1; 0 marks a free slot.
    var valuePlusOne: Int
  }

  private var slots: UnsafeMutablePointer<Slot>
  private var bits: Int
  private(set) var count = 0

  init(bits: Int = 8) {
    self.bits = bits
    slots = .allocate(capacity: 1 << bits)
    slots.initialize(repeating: Slot(key: 0, valuePlusOne: 0), count: 1 << bits)
  }

  deinit { slots.deallocate() }

  /// The slot of `key`, or the free slot where it belongs. O(1) expected.
  private func slot(of key: UInt64) -> Int {
    // Multiplying by 2^64 / golden ratio spreads keys that differ in few bits, such as sets of plugins.
    var index = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - bits))
    while slots[index].valuePlusOne != 0 && slots[index].key != key {
      index = (index + 1) & ((1 << bits) - 1)
    }
    return index
  }

  /// The value stored for `key`, or -1.
  func find(_ key: UInt64) -> Int { slots[slot(of: key)].valuePlusOne - 1 }

  /// Stores a value of at least 0 for a key that is not in the table yet.
  mutating func insert(_ key: UInt64, _ value: Int) {
    if count * 2 >= 1 << bits { grow() }
    slots[slot(of: key)] = Slot(key: key, valuePlusOne: value + 1)
    count += 1
  }

  private mutating func grow() {
    let old = slots
    let oldCount = 1 << bits
    bits += 1
    slots = .allocate(capacity: 1 << bits)
    slots.initialize(repeating: Slot(key: 0, valuePlusOne: 0), count: 1 << bits)
    for index in 0..<oldCount where old[index].valuePlusOne != 0 {
      slots[slot(of: old[index].key)] = old[index]
    }
    old.deallocate()
  }
}
