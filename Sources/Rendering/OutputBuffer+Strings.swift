// Strings from the wire as valid text: hosts put anything into an SNI, and the output must still parse, and do nothing to
// the terminal or the spreadsheet that shows it.
import IPFIX
import Wire

extension OutputBuffer {
  /// Puts quotes around what `write` appends.
  @inlinable @inline(__always)
  mutating func quote(_ write: (inout OutputBuffer) -> Void) {
    append(UInt8(ascii: "\""))
    write(&self)
    append(UInt8(ascii: "\""))
  }

  /// How a string's special characters are escaped.
  enum Escaping {
    /// JSON (RFC 8259 section 7): quote, backslash, control characters, and what `isInvisible` names.
    case json
    /// A quoted CSV cell (RFC 4180 section 2): a quote is doubled. NUL, which breaks most readers, becomes U+FFFD.
    case csv
    /// None: only what is no UTF-8 is replaced.
    case none
  }

  /// A JSON string with its quotes; always valid: bytes that are no UTF-8 become U+FFFD. O(bytes).
  public mutating func append(json bytes: UnsafeRawBufferPointer) {
    quote { $0.append(bytes, escaping: .json) }
  }

  /// Valid UTF-8, otherwise as it is: bytes that are none become U+FFFD. O(bytes).
  public mutating func append(validText bytes: UnsafeRawBufferPointer) { append(bytes, escaping: .none) }

  /// Appends valid UTF-8, escaped. Invalid bytes become U+FFFD, one for each maximal part of a sequence, as the
  /// Unicode standard recommends (chapter 3, table 3-8) and Swift's String does. O(bytes).
  mutating func append(_ source: UnsafeRawBufferPointer, escaping: Escaping) {
    guard let base = source.baseAddress else { return }
    let bytes = Bytes(base, count: source.count)
    var index = 0
    // What goes as it is, and is not appended yet, begins here.
    var run = 0
    while index < bytes.count {
      if index &+ 8 <= bytes.count, Self.areOrdinary(bytes.load(UInt64.self, at: index)) {
        index &+= 8
        continue
      }
      let character = CharacterFromTheWire(bytes, at: index)
      if character.isOrdinary(escaping) {
        index &+= character.length
        continue
      }
      append(bytes.slice(run, index &- run))
      append(special: character.scalar, escaping)
      index &+= character.length
      run = index
    }
    append(bytes.dropFirst(run))
  }

  /// Whether eight characters are of ASCII and go as they are, whatever is escaped: 0x20 to 0x7E without quote and backslash.
  @inline(__always)
  private static func areOrdinary(_ characters: UInt64) -> Bool {
    let (ones, tops): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
    // A byte below 0x80 gets its top bit only where more is taken from it than it has. It borrows from the byte above it
    // then, which does not matter any more.
    let quotes = characters ^ ones &* 0x22
    let backslashes = characters ^ ones &* 0x5C
    let deletes = characters ^ ones &* 0x7F
    let controls = characters &- ones &* 0x20
    let equal = (quotes &- ones) | (backslashes &- ones) | (deletes &- ones)
    return (characters | controls | equal) & tops == 0
  }

  /// Appends what stands for a character that is not ordinary; nil is one that is no UTF-8.
  private mutating func append(special scalar: UInt32?, _ escaping: Escaping) {
    switch (scalar, escaping) {
    case (0x22, .csv): append("\"\"")
    case (nil, _), (_, .csv), (_, .none): append("\u{FFFD}")
    case (0x22, .json): append("\\\"")
    case (0x5C, .json): append("\\\\")
    case (0x0A, .json): append("\\n")
    case (0x0D, .json): append("\\r")
    case (0x09, .json): append("\\t")
    case (let scalar?, .json):
      append("\\u")
      appendHexadecimal(UInt8(truncatingIfNeeded: scalar >> 8))
      appendHexadecimal(UInt8(truncatingIfNeeded: scalar))
    }
  }
}

/// The character that begins at a byte of a string from the wire.
private struct CharacterFromTheWire {
  /// Its code point; nil where the bytes are no UTF-8.
  private(set) var scalar: UInt32?
  /// Its bytes; of what is no UTF-8, those that one U+FFFD replaces. At least 1.
  private(set) var length = 1

  /// Decodes at `start`, which is inside of `bytes` (Unicode table 3-7 gives the second byte's range).
  @inline(__always)
  init(_ bytes: Bytes, at start: Int) {
    let first = bytes[start]
    scalar = UInt32(first)
    if first >= 0x80 { decode(bytes, at: start, first) }
  }

  @inline(never)
  private mutating func decode(_ bytes: Bytes, at start: Int, _ first: UInt8) {
    scalar = nil
    let expected: Int
    var (least, most): (UInt8, UInt8) = (0x80, 0xBF)
    switch first {
    case 0xC2...0xDF: expected = 2
    case 0xE0: (expected, least) = (3, 0xA0)
    case 0xED: (expected, most) = (3, 0x9F)
    case 0xE1...0xEF: expected = 3
    case 0xF0: (expected, least) = (4, 0x90)
    case 0xF4: (expected, most) = (4, 0x8F)
    case 0xF1...0xF3: expected = 4
    default: return
    }
    var value = UInt32(first) & (0x7F &>> UInt32(truncatingIfNeeded: expected))
    while length < expected {
      guard start &+ length < bytes.count else { return }
      let next = bytes[start &+ length]
      guard next >= least, next <= most else { return }
      (least, most) = (0x80, 0xBF)
      value = value &<< 6 | UInt32(next & 0x3F)
      length &+= 1
    }
    scalar = value
  }

  /// Whether the character goes as it is.
  @inline(__always)
  func isOrdinary(_ escaping: OutputBuffer.Escaping) -> Bool {
    guard let scalar else { return false }
    switch escaping {
    case .csv: return scalar != 0x22 && scalar != 0
    case .none: return true
    case .json:
      guard scalar < 0x80 else { return !isInvisible(scalar) }
      return scalar >= 0x20 && scalar < 0x7F && scalar != 0x22 && scalar != 0x5C
    }
  }

  /// Characters that change how a terminal or an editor shows what follows: the C1 controls, of which U+009B begins an
  /// escape sequence as ESC [ does; marks that turn the direction of writing (Unicode annex 9, section 2); and the
  /// separators of lines and paragraphs.
  private func isInvisible(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
