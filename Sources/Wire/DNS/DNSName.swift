// Domain names as DNS messages have them: labels, and pointers to where the rest stands already.

/// Domain names in DNS messages (RFC 1035 section 3.1 and 4.1.4).
///
///     | 0 0, length 6 | … | a label           | 0 | the root: the name ends
///     | 1 1, offset 14 (from the message's start) | the rest is there: the name ends here
package enum DNSName {
  /// Where reading a name came to.
  package enum End: BitwiseCopyable {
    /// The name is well formed, and what follows it is at this offset.
    case at(Int)
    /// The message ends within the name.
    case cut
    /// No name looks so.
    case invalid
  }

  /// The longest name in wire format, its root included.
  private static let longest = 255
  /// The most labels and pointers of one name: as many as a name of one-byte labels has.
  private static let mostSteps = 128
  private static let pointerMark: UInt8 = 0xC0

  /// Adds the labels of the name at `start`, joined by dots, to `text`. What does not fit there is left out.
  ///
  /// A pointer leads to before the labels that it stands behind, so no two lead in a circle.
  package static func append(_ message: Bytes, at start: Int, to text: inout ScratchText) -> End {
    var offset = start
    // Where the labels in a row that are being read began, and where what follows the name is, once that is known.
    var runStart = start
    var end = -1
    var length = 1
    var steps = 0
    while steps < mostSteps {
      steps &+= 1
      guard offset >= 0, offset < message.count else { return .cut }
      let first = message[offset]
      if first == 0 { return .at(end < 0 ? offset &+ 1 : end) }
      if first < 64 {
        let label = message.dropFirst(offset &+ 1).prefix(Int(first))
        guard label.count == Int(first) else { return .cut }
        length &+= Int(first) &+ 1
        guard length <= longest else { return .invalid }
        if length &- Int(first) > 2 { text.append(UInt8(ascii: ".")) }
        text.append(label)
        offset &+= Int(first) &+ 1
      } else {
        guard first >= pointerMark else { return .invalid }
        guard message.count &- offset >= 2 else { return .cut }
        let target = Int(message.load(UInt16.self, at: offset) & 0x3FFF)
        guard target < runStart else { return .invalid }
        if end < 0 { end = offset &+ 2 }
        (offset, runStart) = (target, target)
      }
    }
    return .invalid
  }

  /// Moves past the name at `start` without following a pointer.
  package static func skip(_ message: Bytes, at start: Int) -> End {
    var offset = start
    var steps = 0
    while steps < mostSteps {
      steps &+= 1
      guard offset >= 0, offset < message.count else { return .cut }
      let first = message[offset]
      if first == 0 { return .at(offset &+ 1) }
      if first >= pointerMark { return message.count &- offset >= 2 ? .at(offset &+ 2) : .cut }
      guard first < 64 else { return .invalid }
      offset &+= Int(first) &+ 1
    }
    return .invalid
  }
}
