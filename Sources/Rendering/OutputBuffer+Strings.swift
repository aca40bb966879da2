// Strings from the wire as valid text: hosts put anything into an SNI, and the output must still parse.
import IPFIX

extension OutputBuffer {
  /// Puts quotes around what `write` appends.
  @inline(__always)
  mutating func quote(_ write: (inout OutputBuffer) -> Void) {
    append(UInt8(ascii: "\""))
    write(&self)
    append(UInt8(ascii: "\""))
  }

  /// How a string's special characters are escaped.
  enum Escaping {
    /// JSON (RFC 8259 section 7): quote, backslash and control characters.
    case json
    /// A quoted CSV cell (RFC 4180 section 2): a quote is doubled. NUL, which breaks most readers, becomes U+FFFD.
    case csv
  }

  /// A JSON string with its quotes; always valid: bytes that are no UTF-8 become U+FFFD.
  public mutating func append(json bytes: UnsafeRawBufferPointer) {
    quote { $0.append(bytes, escaping: .json) }
  }

  /// Appends valid UTF-8, escaped. Invalid bytes become U+FFFD, one for each maximal part of a sequence, as the
  /// Unicode standard recommends (chapter 3, table 3-8) and Swift's String does. O(bytes).
  mutating func append(_ bytes: UnsafeRawBufferPointer, escaping: Escaping) {
    var index = 0
    var run = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte < 0x80 {
        let special = byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F
        if special && (escaping == .json || byte == 0x22 || byte == 0) {
          append(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
          append(special: byte, escaping)
          run = index + 1
        }
        index += 1
        continue
      }
      let (length, valid) = Self.sequence(bytes, at: index)
      if !valid {
        append(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
        append("\u{FFFD}")
        run = index + length
      }
      index += length
    }
    append(UnsafeRawBufferPointer(rebasing: bytes[run..<index]))
  }

  private mutating func append(special byte: UInt8, _ escaping: Escaping) {
    switch (byte, escaping) {
    case (0x22, .csv): append("\"\"")
    case (_, .csv): append("\u{FFFD}")
    case (0x22, .json): append("\\\"")
    case (0x5C, .json): append("\\\\")
    case (0x0A, .json): append("\\n")
    case (0x0D, .json): append("\\r")
    case (0x09, .json): append("\\t")
    case (_, .json):
      append("\\u00")
      appendHexadecimal(byte)
    }
  }

  /// The length of the UTF-8 sequence that starts with a byte of at least 0x80, and whether it is valid; when it is
  /// not, the length of what one U+FFFD replaces (Unicode table 3-7 gives the second byte's range).
  static func sequence(_ bytes: UnsafeRawBufferPointer, at start: Int) -> (length: Int, valid: Bool) {
    let first = bytes[start]
    let expected: Int
    var range: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: expected = 2
    case 0xE0: (expected, range) = (3, 0xA0...0xBF)
    case 0xED: (expected, range) = (3, 0x80...0x9F)
    case 0xE1...0xEF: expected = 3
    case 0xF0: (expected, range) = (4, 0x90...0xBF)
    case 0xF4: (expected, range) = (4, 0x80...0x8F)
    case 0xF1...0xF3: expected = 4
    default: return (1, false)
    }
    var length = 1
    while length < expected {
      guard start + length < bytes.count, range.contains(bytes[start + length]) else {
        return (length, false)
      }
      range = 0x80...0xBF
      length += 1
    }
    return (length, true)
  }
}
