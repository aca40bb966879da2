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
    /// An IPFIX collector over TLS.
    case tls(host: String, port: UInt16)
    /// A topic of Kafka.
    case kafka(KafkaTarget)
    /// A file; nil is standard output. `unix:PATH` is a socket that somebody listens on.
    case file(Format, path: String?)
  }

  /// IANA's port of IPFIX.
  static let defaultPort: UInt16 = 4739
  /// IANA's port of IPFIX over TLS.
  static let defaultTLSPort: UInt16 = 4740
  /// What there is to choose from.
  static var choices: String {
    let forms = ExportScheme.allCases.map(\.form)
    return
      "use \(forms.dropLast().joined(separator: ", ")) or \(forms.last ?? "") (FILE may be '-', standard output, or unix:PATH, a socket)"
  }

  /// Where records go.
  private(set) var destination: Destination
  /// What stands behind `?`.
  let parameters: ExportParameters
  /// How a collector's socket is made, as the parameters say.
  let socket: SocketOptions
  /// Whether IPFIX has options records.
  let describesItself: Bool
  /// Whether messages are padded to one length; nil for what is usual.
  let padsMessages: Bool?
  /// Whom a TLS connection trusts; of use with `tls`.
  let tls: TLSSettings
  /// What becomes of messages on a TCP connection; nil: nothing.
  let compression: Compression?

  /// How messages are made smaller.
  enum Compression: String, CaseIterable, Sendable {
    case lz4
  }
  /// How a file is written, as the parameters and its name say.
  private(set) var file: FileOptions

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
    parameters = try ExportParameters(tail, of: scheme, argument: argument)
    switch scheme {
    case .udp:
      let (host, port) = try Self.endpoint(place, argument)
      destination = .udp(host: host, port: port)
    case .tcp:
      let (host, port) = try Self.endpoint(place, argument)
      destination = .tcp(host: host, port: port)
    case .tls:
      let (host, port) = try Self.endpoint(place, argument, defaultPort: Self.defaultTLSPort)
      destination = .tls(host: host, port: port)
    case .kafka: destination = .kafka(try KafkaTarget(place, parameters, argument: argument))
    case .ipfix: destination = .file(.ipfix, path: try Self.path(place, argument))
    case .json: destination = .file(.json, path: try Self.path(place, argument))
    case .csv: destination = .file(.csv, path: try Self.path(place, argument))
    case .text: destination = .file(.text, path: try Self.path(place, argument))
    }
    socket = try SocketOptions(parameters)
    describesItself = try parameters.isOn(.options, default: true)
    padsMessages = parameters[.padding] == nil ? nil : try parameters.isOn(.padding, default: true)
    tls = try TLSSettings(parameters)
    compression = scheme == .tcp ? try parameters.choice(.compress, of: Compression.self) : nil
    if case .file(_, let path) = destination {
      file = try FileOptions(parameters, path: path, argument)
    } else {
      file = FileOptions()
    }
    if let source = socket.source, let family = host.flatMap({ SourceAddress($0) })?.family,
      family != source.family
    {
      throw parameters.wrong(.source, "it is of another IP version than the host; give one of the host's")
    }
  }

  /// The collector's host; nil for a file and for several brokers.
  private var host: String? {
    switch destination {
    case .udp(let host, _), .tcp(let host, _), .tls(let host, _): host
    case .kafka, .file: nil
    }
  }

  /// Whether this is a collector, which may come and go, and not a file.
  var isCollector: Bool {
    switch destination {
    case .udp, .tcp, .tls, .kafka: true
    case .file: false
    }
  }

  /// The same with another file.
  ///
  /// - Parameter argument: the argument with the other file's name, for messages.
  func replacingPath(by path: String, _ argument: String) throws(ExportURLError) -> ExportURL {
    var url = self
    if case .file(let format, _) = destination {
      url.destination = .file(format, path: path)
      url.file = try FileOptions(parameters, path: path, argument)
    }
    return url
  }

  /// The argument in messages: without what may be a password.
  func title(_ argument: String) -> String {
    if case .kafka(let target) = destination { target.title } else { argument }
  }

  /// A file's path; nil is standard output.
  private static func path(_ text: Substring, _ argument: String) throws(ExportURLError) -> String? {
    guard !text.isEmpty else { throw .noFile(argument) }
    if let socket = UnixSocket.path(String(text)) {
      guard !socket.isEmpty else { throw .noFile(argument) }
      guard UnixSocket.fits(socket) else { throw .longSocket(argument) }
    }
    return text == "-" ? nil : String(text)
  }

  /// Splits `//HOST`, `//HOST:PORT`, `//[IPv6]` or `//[IPv6]:PORT`, each with an optional slash behind it.
  static func endpoint(
    _ text: Substring, _ argument: String, defaultPort: UInt16 = Self.defaultPort
  ) throws(ExportURLError) -> (String, UInt16) {
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

extension TLSSettings {
  /// What the parameters say of certificates.
  fileprivate init(_ parameters: ExportParameters) throws(ExportURLError) {
    self.init()
    for parameter in [.certificate, .key, .ca] as [ExportParameter]
    where parameters[parameter]?.isEmpty ?? false {
      throw parameters.wrong(parameter, "name a file")
    }
    certificate = parameters[.certificate]
    key = parameters[.key]
    authorities = parameters[.ca]
    verifies = try parameters.isOn(.verify, default: true)
    if key != nil, certificate == nil {
      throw parameters.wrong(.key, "a key is of use with a certificate only; give certificate=FILE, too")
    }
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
