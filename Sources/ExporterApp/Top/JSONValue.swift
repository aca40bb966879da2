// An answer of the telemetry socket as a value.

/// A JSON value.
enum JSONValue: Equatable {
  /// Members in the order in which they stand.
  case object([Member])
  case array([JSONValue])
  case text(String)
  /// A whole number from 0 on.
  case number(UInt64)
  /// Other numbers, true, false and null.
  case other

  /// A named value.
  struct Member: Equatable {
    var name: String
    var value: JSONValue
  }

  /// How deep values may lie in others.
  private static let deepest = 8

  /// Reads a text.
  ///
  /// - Throws: it is no JSON, or deeper than any answer.
  init(_ text: [UInt8]) throws(Failure) {
    var reader = JSONReader(text, malformed: .general("the answer is no JSON"))
    self = try Self.value(&reader, depth: 0)
  }

  private static func value(_ reader: inout JSONReader, depth: Int) throws(Failure) -> JSONValue {
    guard depth < deepest else { throw reader.malformed }
    if reader.skip("{") {
      var members: [Member] = []
      if reader.skip("}") { return .object(members) }
      repeat {
        let name = try reader.string()
        try reader.expect(":")
        members.append(Member(name: name, value: try value(&reader, depth: depth + 1)))
      } while reader.skip(",")
      try reader.expect("}")
      return .object(members)
    }
    if reader.skip("[") {
      var values: [JSONValue] = []
      if reader.skip("]") { return .array(values) }
      repeat { values.append(try value(&reader, depth: depth + 1)) } while reader.skip(",")
      try reader.expect("]")
      return .array(values)
    }
    if reader.peek() == UInt8(ascii: "\"") { return .text(try reader.string()) }
    return UInt64(try reader.word()).map { .number($0) } ?? .other
  }

  /// The object's members; none of another value.
  var members: [Member] { if case .object(let members) = self { members } else { [] } }

  /// The array's values; none of another value.
  var values: [JSONValue] { if case .array(let values) = self { values } else { [] } }

  /// The object's member `name`.
  subscript(name: String) -> JSONValue? { members.first { $0.name == name }?.value }

  /// The object's number `name`; 0 without one.
  func number(_ name: String) -> UInt64 { if case .number(let number)? = self[name] { number } else { 0 } }

  /// The object's text `name`; "" without one.
  func text(_ name: String) -> String { if case .text(let text)? = self[name] { text } else { "" } }
}
