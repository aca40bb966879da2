// The kinds of `--export`, each declared once: errors, `--list-exports` and the table in docs/ipfix.md follow from it.

/// What stands before the colon of an `--export` argument.
enum ExportScheme: String, CaseIterable, Sendable {
  case udp
  case tcp
  case tls
  case kafka
  case ipfix
  case json
  case csv
  case text

  /// How such an argument is written.
  var form: String {
    switch self {
    case .udp, .tcp: "\(rawValue)://HOST[:\(ExportURL.defaultPort)]"
    case .tls: "\(rawValue)://HOST[:\(ExportURL.defaultTLSPort)]"
    case .kafka: "kafka://BROKER[:\(KafkaTarget.defaultPort)]/TOPIC"
    case .ipfix, .json, .csv, .text: "\(rawValue):FILE"
    }
  }

  /// What it exports, in a few words.
  var meaning: String {
    switch self {
    case .udp: "IPFIX messages as datagrams"
    case .tcp: "IPFIX messages over a connection"
    case .tls: "IPFIX messages over a connection under TLS"
    case .kafka: "JSON objects as messages of Kafka; several brokers with ',' between them"
    case .ipfix: "IPFIX messages in a file (RFC 5655)"
    case .json: "one JSON object per line"
    case .csv: "rows under a heading"
    case .text: "a table for people"
    }
  }

  /// The parameters that may follow `?`.
  var parameters: [ExportParameter] {
    ExportParameter.allCases.filter { $0.declaration.schemes.contains(self) }
  }

  /// Whether parameters of other names are passed on to a library that knows them.
  var passesOthersOn: Bool { self == .kafka }

  /// Whether a file's name follows the colon: one may have a `?` that is not meant for Martlet.
  var namesFile: Bool {
    switch self {
    case .udp, .tcp, .tls, .kafka: false
    case .ipfix, .json, .csv, .text: true
    }
  }

  /// Splits what follows the colon at the `?` before the parameters; no parameters where there is none.
  func split(_ text: Substring) -> (place: Substring, parameters: Substring?) {
    guard namesFile else {
      guard let mark = text.firstIndex(of: "?") else { return (text, nil) }
      return (text[..<mark], text[text.index(after: mark)...])
    }
    guard let mark = text.lastIndex(of: "?") else { return (text, nil) }
    let tail = text[text.index(after: mark)...]
    let isList =
      !tail.isEmpty
      && tail.split(separator: "&", omittingEmptySubsequences: false).allSatisfy { part in
        guard let equals = part.firstIndex(of: "="), let first = part.first, first.isLetter else {
          return false
        }
        return part[..<equals].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
      }
    return isList ? (text[..<mark], tail) : (text, nil)
  }
}
