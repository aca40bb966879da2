// What the user may write after `--export`.

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
  /// What there is to choose from.
  static var choices: String {
    let forms = ExportScheme.allCases.map(\.form)
    return "use \(forms.dropLast().joined(separator: ", ")) or \(forms.last ?? "") ('-' is standard output)"
  }

  /// Where records go.
  let destination: Destination
  /// What stands behind `?`.
  let parameters: ExportParameters
  /// How a collector's socket is made, as the parameters say.
  let socket: SocketOptions
  /// Whether IPFIX has options records.
  let describesItself: Bool
  /// Whether messages are padded to one length; nil for what is usual.
  let padsMessages: Bool?

  /// Parses an argument; a lone `-` is the table on standard output.
  init(parsing argument: String) throws(ExportURLError) {
    let text = argument == "-" ? "text:-" : argument
    guard let colon = text.firstIndex(of: ":") else { throw .noScheme(argument) }
    let name = text[..<colon].lowercased()
    guard name != "sctp" else { throw .noSCTP(argument) }
    guard let scheme = ExportScheme(rawValue: name) else {
      throw .unknownScheme(argument, String(text[..<colon]))
    }
    let (place, tail) = scheme.split(text[text.index(after: colon)...])
    switch scheme {
    case .udp:
      let (host, port) = try Self.endpoint(place, argument)
      destination = .udp(host: host, port: port)
    case .tcp:
      let (host, port) = try Self.endpoint(place, argument)
      destination = .tcp(host: host, port: port)
    case .ipfix: destination = .file(.ipfix, path: try Self.path(place, argument))
    case .json: destination = .file(.json, path: try Self.path(place, argument))
    case .csv: destination = .file(.csv, path: try Self.path(place, argument))
    case .text: destination = .file(.text, path: try Self.path(place, argument))
    }
    parameters = try ExportParameters(tail, of: scheme, argument: argument)
    socket = try SocketOptions(parameters)
    describesItself = try parameters.isOn(.options, default: true)
    padsMessages = parameters[.padding] == nil ? nil : try parameters.isOn(.padding, default: true)
  }

  /// A file's path; nil is standard output.
  private static func path(_ text: Substring, _ argument: String) throws(ExportURLError) -> String? {
    guard !text.isEmpty else { throw .noFile(argument) }
    return text == "-" ? nil : String(text)
  }

  /// Splits `//HOST`, `//HOST:PORT`, `//[IPv6]` or `//[IPv6]:PORT`, each with an optional slash behind it.
  private static func endpoint(_ text: Substring, _ argument: String) throws(ExportURLError) -> (
    String, UInt16
  ) {
    guard text.hasPrefix("//") else { throw .noHost(argument) }
    var text = text.dropFirst(2)
    if text.hasSuffix("/") { text = text.dropLast() }
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

extension SocketOptions {
  /// What the parameters say of a collector's socket.
  fileprivate init(_ parameters: ExportParameters) throws(ExportURLError) {
    self.init()
    source = try parameters.read(.source) { text in
      guard let source = SourceAddress(text) else {
        throw InvalidValue(
          "'\(text)' is no address; write one of this machine's, as 192.0.2.1 or 2001:db8::1")
      }
      return source
    }
    interface = try parameters.read(.interface) { text in
      guard (1...15).contains(text.utf8.count), !text.contains("/") else {
        throw InvalidValue("'\(text)' is no name of an interface, as eth0")
      }
      return text
    }
    codePoint = try parameters.read(.dscp) { text in
      guard let codePoint = CodePoint(text) else {
        throw InvalidValue("'\(text)' is no DSCP; write 0 to 63, cs0 to cs7, af11 to af43, ef, va or le")
      }
      return codePoint
    }
  }
}
