// osqueryi's answer: an array of flat objects, `[{"name":"sshd","pid":"1"},…]`, whose values are strings. No more of JSON
// is read, and no more rows than asked for.
import Wire

/// The rows of an answer, each a value for each column.
struct JSONRows {
  private(set) var rows: [[String: String]] = []
  private var reader: JSONReader<Failure>

  /// Reads at most `most` rows.
  ///
  /// - Throws: where the text is not such an array, in words that follow the name of who said it.
  init(_ text: [UInt8], most: Int) throws(Failure) {
    reader = JSONReader(text, malformed: Failure.general("says what is no table in JSON"))
    try reader.expect("[")
    if reader.skip("]") { return }
    repeat {
      let next = try row()
      if rows.count < most { rows.append(next) }
    } while reader.skip(",")
    try reader.expect("]")
  }

  /// An object whose values are strings; those of other kinds are left out.
  private mutating func row() throws(Failure) -> [String: String] {
    var row: [String: String] = [:]
    try reader.expect("{")
    if reader.skip("}") { return row }
    repeat {
      let name = try reader.string()
      try reader.expect(":")
      if reader.peek() == UInt8(ascii: "\"") {
        row[name] = try reader.string()
      } else {
        _ = try reader.word()
      }
    } while reader.skip(",")
    try reader.expect("}")
    return row
  }
}
