// Text that a parser puts together from pieces of a packet, in memory that its worker lends it.

/// A text that grows at its end as far as its memory goes; what does not fit is left out.
package struct ScratchText: TextSink, BitwiseCopyable {
  private let memory: MutableBytes
  /// How many bytes there are.
  package private(set) var count = 0

  /// An empty text in `memory`, which holds its longest.
  @inline(__always)
  package init(_ memory: MutableBytes) { self.memory = memory }

  /// The most bytes that it can have.
  @inline(__always) package var limit: Int { memory.count }

  /// The text so far. Valid as long as the memory is lent.
  @inline(__always) package var bytes: Bytes { memory.prefix(count) }

  /// Cuts the text to its first `length` bytes.
  @inline(__always)
  package mutating func shorten(to length: Int) { count = min(count, max(0, length)) }

  /// Adds one byte.
  @inline(__always)
  package mutating func append(_ byte: UInt8) {
    guard count < memory.count else { return }
    memory.store(byte, at: count)
    count &+= 1
  }

  /// Adds as many of `bytes` as fit.
  @inline(__always)
  package mutating func append(_ bytes: Bytes) {
    let piece = bytes.prefix(memory.count &- count)
    memory.copy(piece, to: count)
    count &+= piece.count
  }

  /// Adds a number in decimal. A function of its own, which other modules call as it is: there the protocol's would be called
  /// through a table.
  @inline(never)
  package mutating func append(decimal number: UInt32) { append(decimal: number, digits: 1) }

  /// Adds the characters of `text`. Not for other modules: only where it is inlined the compiler sees that there are some.
  @inline(__always)
  mutating func append(_ text: StaticString) {
    guard text.hasPointerRepresentation else { return }
    append(Bytes(text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
