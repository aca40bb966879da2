// Reading JSON (RFC 8259) of other programs on this machine: the words of which every answer is made.

/// What is left of a JSON text.
struct JSONReader {
  private var rest: ArraySlice<UInt8>
  /// What is thrown where the text is none.
  let malformed: Failure

  /// - Parameter malformed: what to say where the text is no JSON, or none of the kind that is expected.
  init(_ text: [UInt8], malformed: Failure) {
    rest = text[...]
    self.malformed = malformed
  }

  /// The character that comes next, spaces before it left out; nil at the end.
  mutating func peek() -> UInt8? {
    rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    return rest.first
  }

  /// Passes over `character` where it is next, spaces before it included.
  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }

  /// Passes over `character`, which has to be next.
  mutating func expect(_ character: Unicode.Scalar) throws(Failure) {
    guard skip(character) else { throw malformed }
  }

  /// A number, true, false or null, as it is written.
  mutating func word() throws(Failure) -> String {
    _ = peek()
    let word = rest.prefix { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
      default: false
      }
    }
    guard !word.isEmpty else { throw malformed }
    rest = rest.dropFirst(word.count)
    return String(decoding: word, as: UTF8.self)
  }

  /// A string with its escapes resolved.
  mutating func string() throws(Failure) -> String {
    try expect("\"")
    var units: [UInt16] = []
    var plain: [UInt8] = []
    var text = ""
    func flush() {
      text += String(decoding: plain, as: UTF8.self) + String(decoding: units, as: UTF16.self)
      plain.removeAll()
      units.removeAll()
    }
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\"") {
        flush()
        return text
      }
      guard byte == UInt8(ascii: "\\") else {
        if !units.isEmpty { flush() }
        plain.append(byte)
        continue
      }
      guard let escaped = rest.popFirst() else { break }
      if escaped == UInt8(ascii: "u") {
        // Two of them may be one character: they are joined before they are decoded.
        if units.isEmpty { flush() }
        units.append(try unit())
        continue
      }
      if !units.isEmpty { flush() }
      switch escaped {
      case UInt8(ascii: "n"): plain.append(0x0A)
      case UInt8(ascii: "t"): plain.append(0x09)
      case UInt8(ascii: "r"): plain.append(0x0D)
      case UInt8(ascii: "b"): plain.append(0x08)
      case UInt8(ascii: "f"): plain.append(0x0C)
      default: plain.append(escaped)
      }
    }
    throw malformed
  }

  /// Four hexadecimal digits.
  private mutating func unit() throws(Failure) -> UInt16 {
    let digits = String(decoding: rest.prefix(4), as: UTF8.self)
    rest = rest.dropFirst(4)
    guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { throw malformed }
    return unit
  }
}
