// A list of small values on the way out: finished messages, templates, what waits in a queue. Array stops the program at a
// wrong index, and so does much of what it does inside; this is total.
import CIntrinsics

/// Values of one kind, in order, that grow at the end; its owner frees them.
///
/// An index outside gives an element whose bytes are all zero, or changes nothing, and is counted as a fault (`noteFault`).
/// `Element` must be valid with all its bytes zero, and no longer than `MARTLET_ZEROS`.
@frozen
public struct GrowableList<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline var memory: OwnedBytes
  /// How many there are.
  public private(set) var count = 0

  /// An empty list with room for `capacity` elements.
  public init(capacity: Int = 16) {
    memory = OwnedBytes(count: min(max(capacity, 1), 1 << 32) &* MemoryLayout<Element>.stride)
  }

  /// A list of `count` times the same element.
  public init(repeating element: Element, count: Int) {
    self.init(capacity: count)
    while self.count < count { append(element) }
  }

  /// True when there are none.
  @inlinable @inline(__always)
  public var isEmpty: Bool { count == 0 }

  /// The element at `index`; outside zeros are read, nothing is written, and either is a fault.
  @inlinable @inline(__always)
  public subscript(index: Int) -> Element {
    get { elements[index] }
    set {
      guard UInt(bitPattern: index) < UInt(bitPattern: count) else { return noteFault() }
      // Safe: the line above checked the index, and `append` made room for `count` elements.
      let place = memory.base + index &* MemoryLayout<Element>.stride
      place.storeBytes(of: newValue, as: Element.self)
    }
  }

  /// All elements, valid until the list is changed.
  @inlinable @inline(__always)
  public var elements: ListView<Element> { ListView(memory.base, count: count) }

  /// Adds an element behind the last one. Amortised O(1).
  @inlinable @inline(__always)
  public mutating func append(_ element: Element) {
    let end = count &* MemoryLayout<Element>.stride
    if _slowPath(!memory.contains(end, MemoryLayout<Element>.stride)) {
      memory.grow(to: memory.count &* 2 &+ MemoryLayout<Element>.stride, keeping: end)
    }
    guard memory.contains(end, MemoryLayout<Element>.stride) else { return noteFault() }
    // Safe: the line above checked that there is room.
    memory.base.storeBytes(of: element, toByteOffset: end, as: Element.self)
    setCount(count &+ 1)
  }

  /// Forgets all elements and keeps the memory.
  @inlinable @inline(__always)
  public mutating func removeAll() { setCount(0) }

  /// Forgets the first `removed` elements, all if there are not so many. O(count).
  public mutating func removeFirst(_ removed: Int) {
    let stride = MemoryLayout<Element>.stride
    let removed = min(max(removed, 0), count)
    memory.move(from: removed &* stride, to: 0, count: (count &- removed) &* stride)
    setCount(count &- removed)
  }

  /// Forgets the elements from `newCount` on.
  public mutating func truncate(to newCount: Int) { setCount(min(count, max(newCount, 0))) }

  @usableFromInline @inline(__always)
  mutating func setCount(_ newCount: Int) { count = newCount }
}

/// A borrowed look at values that lie one after the other: valid as long as who owns them says.
///
/// An index outside gives an element whose bytes are all zero, and is counted as a fault.
@frozen
public struct ListView<Element: BitwiseCopyable>: RandomAccessCollection {
  @usableFromInline let base: UnsafeRawPointer
  public let count: Int

  /// The `count` values at `base`.
  @inlinable @inline(__always)
  public init(_ base: UnsafeRawPointer, count: Int) {
    self.base = base
    self.count = Swift.max(0, count)
  }

  /// The values of a buffer.
  public init(_ buffer: UnsafeBufferPointer<Element>) {
    base = buffer.baseAddress.map { UnsafeRawPointer($0) } ?? martlet_zeros()
    count = buffer.count
  }

  @inlinable @inline(__always)
  public var startIndex: Int { 0 }
  @inlinable @inline(__always)
  public var endIndex: Int { count }
  @inlinable @inline(__always)
  public var isEmpty: Bool { count == 0 }

  @inlinable @inline(__always)
  public subscript(index: Int) -> Element {
    guard UInt(bitPattern: index) < UInt(bitPattern: count) else {
      noteFault()
      // Safe: the next line, decided when `Element` is known.
      precondition(MemoryLayout<Element>.size <= MARTLET_ZEROS)
      return martlet_zeros().loadUnaligned(as: Element.self)
    }
    // Safe: the line above checked the index.
    return base.loadUnaligned(fromByteOffset: index &* MemoryLayout<Element>.stride, as: Element.self)
  }
}
