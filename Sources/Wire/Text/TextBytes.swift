// What parsers of protocols of lines ask of bytes: where a line ends, and words in any case.

extension Bytes {
  /// The characters of `text`.
  // What takes a `StaticString` is inlined everywhere, for a compiler that sees a literal leaves its checks out.
  @inlinable @inline(__always)
  public init(_ text: StaticString) { self.init(text.utf8Start, count: text.utf8CodeUnitCount) }

  /// Each byte of a word is a line feed.
  private static var lineFeeds: UInt64 { 0x0A0A_0A0A_0A0A_0A0A }

  /// The offset of the first line feed at or after `start`, or nil.
  /// - Complexity: O(count), eight bytes at a time
  package func lineFeed(from start: Int) -> Int? {
    var index = Swift.max(0, start)
    while count &- index >= 8 {
      // Only a byte that is zero here becomes one whose top bit is set, or comes behind one.
      let word = load(UInt64.self, at: index) ^ Bytes.lineFeeds
      if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
      index &+= 8
    }
    return firstIndex(of: 0x0A, from: index)
  }

  /// Whether the bytes are the characters of `word`, which is in lower case, in any case.
  /// - Complexity: O(`word`'s length)
  @inlinable @inline(__always)
  public func isWord(_ word: StaticString) -> Bool {
    count == word.utf8CodeUnitCount && startsWithWord(Bytes(word))
  }

  /// Whether the bytes begin with the characters of `word`, which is in lower case, in any case.
  /// - Complexity: O(`word`'s length)
  @inlinable @inline(__always)
  public func startsWithWord(_ word: StaticString) -> Bool { startsWithWord(Bytes(word)) }

  /// Whether the characters of `word`, which is in lower case, are somewhere in the bytes, in any case.
  /// - Complexity: O(count × `word`'s length)
  @inlinable @inline(__always)
  public func containsWord(_ word: StaticString) -> Bool { containsWord(Bytes(word)) }

  @usableFromInline
  func startsWithWord(_ word: Bytes) -> Bool {
    guard count >= word.count else { return false }
    var index = 0
    while index < word.count {
      if Bytes.lowercase(self[index]) != word[index] { return false }
      index &+= 1
    }
    return true
  }

  @usableFromInline
  func containsWord(_ word: Bytes) -> Bool {
    var index = 0
    while index < count {
      if dropFirst(index).startsWithWord(word) { return true }
      index &+= 1
    }
    return false
  }

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
  package var trimmed: Bytes {
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

  @inline(__always)
  private static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
