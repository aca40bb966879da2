// Reading hostile bytes: every read is checked and fails with an error that says where.
import IPFIX

/// Why bytes are no IPFIX message.
public enum DecodeError: Error, Equatable, Sendable {
  /// Something claims more bytes than are there.
  case truncated(what: String, offset: Int)
  /// A field holds what RFC 7011 or RFC 6313 does not allow.
  case malformed(what: String, offset: Int)
}

extension DecodeError: CustomStringConvertible {
  /// One line for a person.
  public var description: String {
    switch self {
    case .truncated(let what, let offset): "the message ends inside its \(what) at octet \(offset)"
    case .malformed(let what, let offset): "octet \(offset) of the message: \(what)"
    }
  }
}

/// A cursor over bytes that cannot leave them.
struct ByteReader {
  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    position = 0
    end = bytes.count
  }

  private init(_ bytes: [UInt8], from position: Int, to end: Int) {
    self.bytes = bytes
    self.position = position
    self.end = end
  }

  var remaining: Int { end - position }

  /// A big-endian number of 0 to 8 octets.
  mutating func number(_ length: Int, _ what: String) throws(DecodeError) -> UInt64 {
    guard length <= remaining else { throw .truncated(what: what, offset: position) }
    var value: UInt64 = 0
    for index in 0..<length { value = value << 8 | UInt64(bytes[position + index]) }
    position += length
    return value
  }

  mutating func unsigned8(_ what: String) throws(DecodeError) -> UInt8 { UInt8(try number(1, what)) }
  mutating func unsigned16(_ what: String) throws(DecodeError) -> UInt16 { UInt16(try number(2, what)) }
  mutating func unsigned32(_ what: String) throws(DecodeError) -> UInt32 { UInt32(try number(4, what)) }

  /// A reader for the next `length` octets, which this reader passes over.
  mutating func part(_ length: Int, _ what: String) throws(DecodeError) -> ByteReader {
    guard length >= 0, length <= remaining else { throw .truncated(what: what, offset: position) }
    defer { position += length }
    return ByteReader(bytes, from: position, to: position + length)
  }

  /// All octets that remain.
  mutating func rest() -> [UInt8] {
    defer { position = end }
    return Array(bytes[position..<end])
  }
}
