// A tiny hash table, because Dictionary costs tens of nanoseconds per look-up and this one is asked for every record
// whose combination of fields differs from the record before it.
import Wire

/// Maps 64-bit keys to small numbers: open addressing, linear probing, at most half full.
public struct KeyTable: ~Copyable {
  @usableFromInline
  struct Slot: BitwiseCopyable {
    @usableFromInline var key: UInt64
    /// The value plus 1; 0 marks a free slot.
    @usableFromInline var valuePlusOne: Int
  }

  /// All slots, as many as a power of two.
  @usableFromInline var slots: GrowableList<Slot>
  /// What is left of a hash of 64 bits when it is shifted so far is a slot's number.
  @usableFromInline var shift: UInt64
  /// How many keys there are.
  public private(set) var count = 0

  /// An empty table of 2 to the power of `bits` slots, at least 16.
  public init(bits: Int = 8) {
    let bits = min(max(bits, 4), 30)
    shift = UInt64(truncatingIfNeeded: 64 &- bits)
    slots = GrowableList(repeating: Slot(key: 0, valuePlusOne: 0), count: 1 &<< bits)
  }

  /// The index of the slot in which a key is looked for first.
  @inlinable @inline(__always)
  func firstIndex(of key: UInt64) -> Int {
    // Multiplying by 2^64 / golden ratio spreads keys that differ in few bits, such as sets of plugins.
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
  }

  /// The index of the slot of `key`, or of the free slot where it belongs; any if all are taken, which `insert` prevents.
  /// O(1) expected.
  private func index(of key: UInt64) -> (index: Int, slot: Slot) {
    var index = firstIndex(of: key)
    var slot = slots[index]
    var rest = slots.count
    while slot.valuePlusOne != 0, slot.key != key, rest > 0 {
      index = (index &+ 1) & (slots.count &- 1)
      slot = slots[index]
      rest &-= 1
    }
    return (index, slot)
  }

  /// The value stored for `key`, or -1.
  @inlinable @inline(__always)
  public func find(_ key: UInt64) -> Int {
    let slot = slots[firstIndex(of: key)]
    // A free slot may have the key 0, and the value -1.
    return _fastPath(slot.key == key) ? slot.valuePlusOne &- 1 : search(key)
  }

  /// The value of a key that is not in its first slot.
  @usableFromInline @inline(never)
  func search(_ key: UInt64) -> Int {
    let slot = index(of: key).slot
    return slot.key == key ? slot.valuePlusOne &- 1 : -1
  }

  /// Stores a value of at least 0 for a key that is not in the table yet.
  public mutating func insert(_ key: UInt64, _ value: Int) {
    if count &* 2 >= slots.count { grow() }
    slots[index(of: key).index] = Slot(key: key, valuePlusOne: value &+ 1)
    count &+= 1
  }

  private mutating func grow() {
    guard shift > 34 else { return }
    var larger = KeyTable(bits: Int(truncatingIfNeeded: 65 &- shift))
    var index = 0
    while index < slots.count {
      let slot = slots[index]
      if slot.valuePlusOne != 0 { larger.insert(slot.key, slot.valuePlusOne &- 1) }
      index &+= 1
    }
    swap(&self, &larger)
  }
}
