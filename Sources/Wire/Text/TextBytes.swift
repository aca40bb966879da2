// What parsers of protocols of lines do with bytes: they compare them and cut blanks off.

extension Bytes {
  /// The characters of `text`.
  // What takes a `StaticString` is inlined everywhere, for a compiler that sees a literal leaves its checks out.
  @inlinable @inline(__always)
  public init(_ text: StaticString) { self.init(text.utf8Start, count: text.utf8CodeUnitCount) }

  /// Whether both are the same bytes.
  /// - Complexity: O(count)
  package func isEqual(to other: Bytes) -> Bool {
    guard count == other.count else { return false }
    var index = 0
    while index < count {
      if self[index] != other[index] { return false }
      index &+= 1
    }
    return true
  }

  /// The bytes without blanks, tabs and returns at either end.
  /// - Complexity: O(count)
  package var withoutBlanks: Bytes {
    var start = 0
    var end = count
    while start < end, Bytes.isBlank(self[start]) { start &+= 1 }
    while end > start, Bytes.isBlank(self[end &- 1]) { end &-= 1 }
    return slice(start, end &- start)
  }

  /// A line without the return that may stand at its end.
  @inline(__always)
  package var withoutReturn: Bytes {
    count > 0 && self[count &- 1] == 0x0D ? prefix(count &- 1) : self
  }

  @inline(__always)
  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}
