// What a field of records is in Arrow's words: one table from the kinds of values to formats of the C data interface.
import Rendering

/// The type of a column, or of a list's entries.
public enum ArrowType: Equatable, Sendable {
  case unsigned(bits: Int)
  case signed(bits: Int)
  case float32
  case float64
  /// Nanoseconds since 1970, UTC.
  case timestamp
  /// Text that seldom repeats.
  case text
  /// Text that repeats: numbers of entries in a dictionary, which each batch has for itself.
  case names
  case binary
  case fixedBinary(octets: Int)

  /// How addresses are given.
  public enum Addresses: String, CaseIterable, Sendable {
    /// As people write them.
    case text
    /// As octets in network byte order: 4, 16 or, of MAC addresses, 6.
    case binary
  }

  /// The type for values of JSON: every string of the wire is `names`, because those that flows have repeat (names of servers, user
  /// agents, fingerprints), and so are digests in hexadecimal.
  init(_ value: JSONField.Value, addresses: Addresses, isDigest: Bool) {
    let isText = addresses == .text
    self =
      switch value {
      case .unsigned(let bits): .unsigned(bits: Self.width(bits))
      case .signed(let bits): .signed(bits: Self.width(bits))
      case .float32: .float32
      case .time: .timestamp
      case .ipv4Address: isText ? .text : .fixedBinary(octets: 4)
      case .ipv6Address: isText ? .text : .fixedBinary(octets: 16)
      case .macAddress: isText ? .text : .fixedBinary(octets: 6)
      // Of either version, so that their lengths differ.
      case .address: isText ? .text : .binary
      case .octets: isDigest ? .names : .binary
      case .string: .names
      }
  }

  /// The next width that there is.
  private static func width(_ bits: Int) -> Int { bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64 }

  /// The format string of the C data interface; of `names` that of the numbers.
  var format: String {
    switch self {
    case .unsigned(let bits): bits == 8 ? "C" : bits == 16 ? "S" : bits == 32 ? "I" : "L"
    case .signed(let bits): bits == 8 ? "c" : bits == 16 ? "s" : bits == 32 ? "i" : "l"
    case .float32: "f"
    case .float64: "g"
    case .timestamp: "tsn:UTC"
    case .text: "u"
    case .names: "i"
    case .binary: "z"
    case .fixedBinary(let octets): "w:\(octets)"
    }
  }

  /// The name by which Arrow's libraries show the type.
  public var name: String {
    switch self {
    case .unsigned(let bits): "uint\(bits)"
    case .signed(let bits): "int\(bits)"
    case .float32: "float"
    case .float64: "double"
    case .timestamp: "timestamp[ns, tz=UTC]"
    case .text: "string"
    case .names: "dictionary<values=string, indices=int32, ordered=0>"
    case .binary: "binary"
    case .fixedBinary(let octets): "fixed_size_binary[\(octets)]"
    }
  }

  /// Octets of a value in the values' buffer; of text and octets of any length 1.
  var width: Int {
    switch self {
    case .unsigned(let bits), .signed(let bits): bits / 8
    case .float32, .names: 4
    case .float64, .timestamp: 8
    case .text, .binary: 1
    case .fixedBinary(let octets): octets
    }
  }
}
