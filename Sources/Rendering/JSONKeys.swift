// Keys of JSON, each made once: a record has dozens of them, and they are most of a line.
import IPFIX
import Wire

/// The keys of the elements that were asked for, as they stand in a line: `,"owner:name":`, or `,"owner@reverse:name":`.
///
/// Records have their fields in one order, and leave some out: so the key behind the last one is tried first.
struct JSONKeys: ~Copyable {
  /// One element's key.
  private struct Key: BitwiseCopyable {
    /// The element's code; none has that of the last key, which stands for no element.
    var code = UInt32.max
    /// Where it lies.
    var start: UInt32 = 0
    var length = 0
  }

  /// All keys in the order in which they were asked for first, and one that is no element's.
  private var keys = GrowableList<Key>(repeating: Key(), count: 1)
  /// Which of them is an element's, by its code.
  private var numbers = KeyTable(bits: 10)
  /// Which of them is expected next.
  private var next = 0
  /// The keys, one behind the other.
  private var text = OutputBuffer(capacity: 1 << 12)
  /// A copy of them, and behind it as much as is read with the last one.
  private var memory = OwnedBytes(count: 1)

  /// A line begins.
  @inline(__always)
  mutating func restart() { next = 0 }

  /// An element's key with `OutputBuffer.slack` bytes behind it, valid until the next call. O(1) expected.
  @inline(__always)
  mutating func key(of element: InformationElement) -> Bytes {
    let code = element.code
    var key = keys[next]
    if _slowPath(key.code != code) { key = find(element) }
    next &+= 1
    return memory.view(Int(key.start), key.length &+ OutputBuffer.slack)
  }

  /// Looks the element's key up, or makes it; `next` is its number then.
  @inline(never)
  private mutating func find(_ element: InformationElement) -> Key {
    next = numbers.find(UInt64(element.code))
    if next < 0 { add(element) }
    return keys[next]
  }

  private mutating func add(_ element: InformationElement) {
    let start = text.count
    text.append(",\"")
    text.append(element.owner.name)
    text.append(element.isReverse ? "@reverse:" : ":")
    text.append(element.name)
    text.append("\":")
    next = keys.count &- 1
    numbers.insert(UInt64(element.code), next)
    keys[next] = Key(
      code: element.code, start: UInt32(truncatingIfNeeded: start), length: text.count &- start)
    keys.append(Key())
    if text.count &+ OutputBuffer.slack > memory.count {
      memory.grow(to: text.count &* 2 &+ OutputBuffer.slack, keeping: start)
    }
    memory.copy(text.contents.dropFirst(start), to: start)
  }
}
