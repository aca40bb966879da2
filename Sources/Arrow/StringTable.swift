// A column's dictionary: each text once, found again by its hash. Texts come from the wire, so the hash has a key that nobody
// outside knows (Swift's Hasher), and nobody can send names that all meet in one place.
import Glibc

/// The texts of one column in one batch.
struct StringTable {
  /// How many texts there are.
  private(set) var count = 0
  /// Where each text begins, and at the end where the last one does; nil before there is one.
  private(set) var offsets = RawColumn()
  private(set) var octets = RawColumn()
  /// 1 + a text's number, and its hash above; 0 where there is none. Room for twice as many as there are texts.
  private var slots: UnsafeMutablePointer<UInt64>?
  private var mask = 0

  /// A text's number; nil where there is no memory for a new one.
  mutating func number(of text: UnsafeRawBufferPointer) -> Int32? {
    var hasher = Hasher()
    hasher.combine(bytes: text)
    let hash = UInt64(truncatingIfNeeded: hasher.finalize()) << 32
    if count &* 2 >= mask { guard grow() else { return nil } }
    guard let slots else { return nil }
    var slot = Int(truncatingIfNeeded: hash >> 32) & mask
    while slots[slot] != 0 {
      let entry = slots[slot]
      if entry & ~0xFFFF_FFFF == hash {
        let number = Int(truncatingIfNeeded: entry & 0xFFFF_FFFF) &- 1
        if isText(number, text) { return Int32(truncatingIfNeeded: number) }
      }
      slot = (slot &+ 1) & mask
    }
    guard append(text) else { return nil }
    slots[slot] = hash | UInt64(truncatingIfNeeded: count)
    return Int32(truncatingIfNeeded: count &- 1)
  }

  private func isText(_ number: Int, _ text: UnsafeRawBufferPointer) -> Bool {
    let start = offsets.offset(number)
    let length = offsets.offset(number &+ 1) &- start
    guard length == text.count else { return false }
    guard length > 0, let octets = octets.base, let base = text.baseAddress else { return true }
    return memcmp(octets + start, base, length) == 0
  }

  private mutating func append(_ text: UnsafeRawBufferPointer) -> Bool {
    let start = octets.count
    guard offsets.reserve(8), octets.append(text) else { return false }
    if count == 0 { offsets.appendOffset(0) }
    offsets.appendOffset(start &+ text.count)
    count &+= 1
    return true
  }

  /// Doubles the room of the slots.
  private mutating func grow() -> Bool {
    let room = max(64, (mask &+ 1) &* 2)
    // Safe: as many words of zero, which is no text.
    guard let larger = calloc(room, 8)?.bindMemory(to: UInt64.self, capacity: room) else { return false }
    if let slots {
      var index = 0
      while index <= mask {
        defer { index &+= 1 }
        guard slots[index] != 0 else { continue }
        var slot = Int(truncatingIfNeeded: slots[index] >> 32) & (room &- 1)
        while larger[slot] != 0 { slot = (slot &+ 1) & (room &- 1) }
        larger[slot] = slots[index]
      }
      free(slots)
    }
    slots = larger
    mask = room &- 1
    return true
  }

  /// The offsets, which belong to the caller from here on: at least one.
  mutating func takeOffsets() -> UnsafeMutableRawPointer? { offsets.take() }

  /// The texts' octets, which belong to the caller from here on.
  mutating func takeOctets() -> UnsafeMutableRawPointer? { octets.take() }

  /// Forgets all texts, whose memory has another owner now.
  mutating func reset() {
    if count > 0, let slots { memset(slots, 0, (mask &+ 1) &* 8) }
    count = 0
    offsets.destroy()
    octets.destroy()
  }

  /// Frees everything.
  mutating func destroy() {
    free(slots)
    offsets.destroy()
    octets.destroy()
    self = StringTable()
  }
}
