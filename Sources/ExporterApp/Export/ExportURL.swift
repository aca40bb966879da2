// What the user may write after `--export`, and a clear word about what is wrong with anything else.

/// A parsed `--export` argument.
struct ExportURL: Equatable, Sendable {
  /// What a file contains.
  enum Format: String, CaseIterable, Sendable {
    /// IPFIX messages one after the other (RFC 5655).
    case ipfix
    /// One JSON object per line.
    case json
    /// Rows under a fixed header.
    case csv
    /// An aligned table for people.
    case text
  }

  /// Where records go.
  enum Destination: Equatable, Sendable {
    /// An IPFIX collector; the host is a name or a numeric address without brackets.
    case udp(host: String, port: UInt16)
    /// An IPFIX collector.
    case tcp(host: String, port: UInt16)
    /// A file; nil is standard output.
    case file(Format, path: String?)
  }

  /// IANA's port of IPFIX.
  static let defaultPort: UInt16 = 4739
  static let choices =
    "use udp://HOST[:PORT], tcp://HOST[:PORT], ipfix:FILE, json:FILE, csv:FILE or text:FILE ('-' is standard output)"

  /// Where records go.
  let destination: Destination

  /// Parses an argument; a lone `-` is the table on standard output.
  init(parsing argument: String) throws(ExportURLError) {
    if argument == "-" {
      destination = .file(.text, path: nil)
      return
    }
    guard let colon = argument.firstIndex(of: ":") else { throw .noScheme(argument) }
    let scheme = argument[..<colon].lowercased()
    let rest = String(argument[argument.index(after: colon)...])
    if let format = Format(rawValue: scheme) {
      guard !rest.isEmpty else { throw .noFile(argument) }
      destination = .file(format, path: rest == "-" ? nil : rest)
      return
    }
    guard scheme == "udp" || scheme == "tcp" else {
      throw .unknownScheme(argument, String(argument[..<colon]))
    }
    guard rest.hasPrefix("//") else { throw .noHost(argument) }
    let (host, port) = try Self.endpoint(rest.dropFirst(2), argument)
    destination = scheme == "udp" ? .udp(host: host, port: port) : .tcp(host: host, port: port)
  }

  /// Splits `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`, each with an optional slash behind it.
  private static func endpoint(_ text: Substring, _ argument: String) throws(ExportURLError) -> (
    String, UInt16
  ) {
    let text = text.hasSuffix("/") ? text.dropLast() : text
    var host = text
    var port: Substring?
    if text.hasPrefix("[") {
      guard let bracket = text.firstIndex(of: "]") else { throw .noHost(argument) }
      host = text[text.index(after: text.startIndex)..<bracket]
      let rest = text[text.index(after: bracket)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw .badPort(argument, String(rest)) }
      port = rest.isEmpty ? nil : rest.dropFirst()
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
      if text[text.index(after: colon)...].contains(":") { throw .bracketsMissing(argument, String(text)) }
    }
    guard !host.isEmpty, !host.contains("/") else { throw .noHost(argument) }
    guard let port else { return (String(host), defaultPort) }
    guard port.allSatisfy(\.isNumber), let number = UInt16(port), number > 0 else {
      throw .badPort(argument, String(port))
    }
    return (String(host), number)
  }
}

/// What is wrong with an `--export` argument.
enum ExportURLError: Error, Equatable, CustomStringConvertible {
  case noScheme(String)
  case unknownScheme(String, String)
  case noFile(String)
  case noHost(String)
  case badPort(String, String)
  case bracketsMissing(String, String)

  /// One line that says what to write instead.
  var description: String {
    switch self {
    case .noScheme(let argument): "--export \(argument): \(ExportURL.choices)"
    case .unknownScheme(let argument, let scheme):
      "--export \(argument): there is no '\(scheme)' export; \(ExportURL.choices)"
    case .noFile(let argument):
      "--export \(argument): name a file after the colon, or '-' for standard output"
    case .noHost(let argument): "--export \(argument): name a host, for example udp://collector.example:4739"
    case .badPort(let argument, let port):
      "--export \(argument): '\(port)' is no port; use a number from 1 to 65535"
    case .bracketsMissing(let argument, let address):
      "--export \(argument): write an IPv6 address in brackets, for example udp://[\(address)]:4739"
    }
  }
}
