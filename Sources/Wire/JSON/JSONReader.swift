// Reading JSON (RFC 8259) that other programs on this machine wrote: the words of which every text is made.

/// What is left of a JSON text.
package struct JSONReader<Malformed: Error> {
  private var rest: ArraySlice<UInt8>
  /// What is thrown where the text is none.
  package let malformed: Malformed

  /// - Parameter malformed: what to say where the text is no JSON, or none of the kind that is expected.
  package init(_ text: [UInt8], malformed: Malformed) {
    rest = text[...]
    self.malformed = malformed
  }

  /// The character that comes next, spaces before it left out; nil at the end.
  package mutating func peek() -> UInt8? {
    rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    return rest.first
  }

  /// Passes over `character` where it is next, spaces before it included.
  package mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }

  /// Passes over `character`, which has to be next.
  package mutating func expect(_ character: Unicode.Scalar) throws(Malformed) {
    guard skip(character) else { throw malformed }
  }

  /// A number, true, false or null, as it is written.
  package mutating func word() throws(Malformed) -> String {
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
  package mutating func string() throws(Malformed) -> String {
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

  /// Passes over a value of any kind.
  ///
  /// - Throws: it is none, or values lie deeper in others than `depth`.
  package mutating func skipValue(depth: Int = 16) throws(Malformed) {
    guard depth > 0 else { throw malformed }
    if skip("{") {
      if skip("}") { return }
      repeat {
        _ = try string()
        try expect(":")
        try skipValue(depth: depth - 1)
      } while skip(",")
      return try expect("}")
    }
    if skip("[") {
      if skip("]") { return }
      repeat { try skipValue(depth: depth - 1) } while skip(",")
      return try expect("]")
    }
    if peek() == UInt8(ascii: "\"") { _ = try string() } else { _ = try word() }
  }

  /// Four hexadecimal digits.
  private mutating func unit() throws(Malformed) -> UInt16 {
    let digits = String(decoding: rest.prefix(4), as: UTF8.self)
    rest = rest.dropFirst(4)
    guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { throw malformed }
    return unit
  }
}
