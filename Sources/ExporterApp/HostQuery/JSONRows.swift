// osqueryi's answer: an array of flat objects, `[{"name":"sshd","pid":"1"},…]`, whose values are strings. No more of JSON
// (RFC 8259) is read, and no more rows than asked for.

/// The rows of an answer, each a value for each column.
struct JSONRows {
  private(set) var rows: [[String: String]] = []
  private var rest: ArraySlice<UInt8>

  /// Reads at most `most` rows.
  ///
  /// - Throws: where the text is not such an array, in words that follow the name of who said it.
  init(_ text: [UInt8], most: Int) throws(Failure) {
    rest = text[...]
    try expect("[")
    if skip("]") { return }
    repeat {
      let next = try row()
      if rows.count < most { rows.append(next) }
    } while skip(",")
    try expect("]")
  }

  /// An object whose values are strings; those of other kinds are left out.
  private mutating func row() throws(Failure) -> [String: String] {
    var row: [String: String] = [:]
    try expect("{")
    if skip("}") { return row }
    repeat {
      let name = try string()
      try expect(":")
      skipSpace()
      if rest.first == UInt8(ascii: "\"") {
        row[name] = try string()
      } else {
        try skipWord()
      }
    } while skip(",")
    try expect("}")
    return row
  }

  /// A string with its escapes resolved.
  private mutating func string() throws(Failure) -> String {
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
    throw Self.malformed
  }

  /// Four hexadecimal digits.
  private mutating func unit() throws(Failure) -> UInt16 {
    let digits = String(decoding: rest.prefix(4), as: UTF8.self)
    rest = rest.dropFirst(4)
    guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { throw Self.malformed }
    return unit
  }

  /// Passes over a number, true, false or null.
  private mutating func skipWord() throws(Failure) {
    let word = rest.prefix { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
      default: false
      }
    }
    guard !word.isEmpty else { throw Self.malformed }
    rest = rest.dropFirst(word.count)
  }

  private mutating func skipSpace() {
    rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
  }

  /// Passes over `character` where it is next, spaces before it included.
  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard rest.first == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Failure) {
    guard skip(character) else { throw Self.malformed }
  }

  private static var malformed: Failure { .general("says what is no table in JSON") }
}
