// What may follow the `?` of an `--export` argument, each parameter declared once: reading, errors, `--list-exports` and the
// table in docs/ipfix.md follow from it.

/// A parameter of an `--export` argument.
enum ExportParameter: String, CaseIterable, Sendable {
  case source
  case interface
  case dscp
  case options
  case padding
  case compress
  case certificate
  case key
  case ca
  case verify
  case rotate
  case level
  case config

  /// What a parameter is.
  struct Declaration {
    /// What stands for its value in lists.
    let placeholder: String
    /// The schemes that take it.
    let schemes: [ExportScheme]
    /// What it does, with the default in parentheses.
    let meaning: String

    fileprivate init(_ placeholder: String, of schemes: [ExportScheme], _ meaning: String) {
      self.placeholder = placeholder
      self.schemes = schemes
      self.meaning = meaning
    }
  }

  /// What it is.
  var declaration: Declaration {
    let collectors: [ExportScheme] = [.udp, .tcp, .tls]
    let files: [ExportScheme] = [.ipfix, .json, .csv, .text]
    return switch self {
    case .source: Declaration("ADDRESS", of: collectors, "the local address to send from (the route's)")
    case .interface:
      Declaration(
        "NAME", of: collectors, "the interface to send through, whatever the routes say (the route's)")
    case .dscp:
      Declaration("N|NAME", of: collectors, "Differentiated Services: 0 to 63, cs1, af11, ef, le … (0)")
    case .options:
      Declaration(
        "on|off", of: collectors + [.ipfix],
        "options records: names and types of elements, statistics, interfaces, timeouts (on)")
    case .padding:
      Declaration(
        "on|off", of: [.udp],
        "messages of one length, which leave many at a time, in more octets (on live, off with --pcap)")
    case .compress:
      Declaration(
        "lz4|zstd", of: [.tcp] + files,
        "compress messages as ipfixcol2 reads them (lz4), or a file (zstd) (not at all)")
    case .certificate:
      Declaration(
        "FILE", of: [.tls], "Martlet's own certificate and those between it and an authority, PEM (none)")
    case .key:
      Declaration("FILE", of: [.tls], "its private key, PEM without a passphrase (the certificate's file)")
    case .ca:
      Declaration(
        "FILE|DIR", of: [.tls], "whom to trust: PEM, or a folder with hashed names (the system's authorities)"
      )
    case .verify:
      Declaration("on|off", of: [.tls], "whether the collector must prove that it is HOST (on)")
    case .rotate:
      Declaration(
        "TIME|SIZE", of: files,
        "begin the next file every 300s, 5min, 1h, 1d, or at 512K, 100M, 1G; 1h,1G: at whichever comes first (never)"
      )
    case .level: Declaration("N", of: files, "zstd's level, 1 fast to 19 small (3)")
    case .config:
      Declaration("FILE", of: [.kafka], "librdkafka's properties, a NAME=VALUE on each line (none)")
    }
  }

  /// Whether it may be there several times, as a list with commas.
  var isList: Bool { self == .rotate }
}

/// The parameters of one `--export` argument: all are known to its scheme, none is there twice but lists.
struct ExportParameters: Equatable, Sendable {
  /// A parameter that Martlet does not know itself.
  struct Property: Equatable, Sendable {
    let name: String
    let value: String
  }

  /// What they belong to.
  let scheme: ExportScheme
  /// The whole argument, for messages.
  private let argument: String
  private var values: [ExportParameter: String] = [:]
  /// Those for a library, in the order given, of a scheme that passes them on.
  private(set) var others: [Property] = []

  /// Reads `name=value&name=value`, where a value may have `%XX` for an octet, as `%26` for `&`; nil is no parameter.
  ///
  /// - Parameter argument: the whole argument, for messages.
  init(_ text: Substring?, of scheme: ExportScheme, argument: String) throws(ExportURLError) {
    self.scheme = scheme
    self.argument = argument
    for part in text?.split(separator: "&") ?? [] {
      guard let equals = part.firstIndex(of: "="), equals > part.startIndex else {
        throw .noValue(argument, String(part))
      }
      let name = String(part[..<equals])
      guard let value = Self.decoded(part[part.index(after: equals)...]) else {
        throw .badParameter(
          argument, name, "'%' begins the two digits of an octet; write %25 for the character")
      }
      guard !value.utf8.contains(0) else {
        throw .badParameter(argument, name, "a value has no octet 0: it would end there")
      }
      if let known = ExportParameter(rawValue: name), known.declaration.schemes.contains(scheme) {
        if values[known] != nil, !known.isList { throw .repeatedParameter(argument, name) }
        values[known] = values[known].map { "\($0),\(value)" } ?? value
      } else if scheme.passesOthersOn {
        guard !others.contains(where: { $0.name == name }) else { throw .repeatedParameter(argument, name) }
        others.append(Property(name: name, value: value))
      } else {
        throw .unknownParameter(argument, name, scheme)
      }
    }
  }

  /// The text of a value; nil when the parameter is not there.
  subscript(_ parameter: ExportParameter) -> String? { values[parameter] }

  /// A value read by `parse`, whose `InvalidValue` becomes the message; nil when the parameter is not there.
  func read<Value>(
    _ parameter: ExportParameter, _ parse: (String) throws -> Value
  ) throws(ExportURLError) -> Value? {
    guard let text = values[parameter] else { return nil }
    do { return try parse(text) } catch { throw wrong(parameter, "\(error)") }
  }

  /// One of an enumeration's words; nil when the parameter is not there.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ parameter: ExportParameter, of choices: Choice.Type
  ) throws(ExportURLError) -> Choice? where Choice.RawValue == String {
    guard let text = values[parameter] else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    throw wrong(parameter, "'\(text)' is none of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
  }

  /// `on` or `off`.
  func isOn(_ parameter: ExportParameter, default standard: Bool) throws(ExportURLError) -> Bool {
    switch values[parameter] {
    case nil: return standard
    case "on": return true
    case "off": return false
    case .some(let text): throw wrong(parameter, "'\(text)' is neither on nor off")
    }
  }

  /// The error that says what is wrong with a value.
  func wrong(_ parameter: ExportParameter, _ problem: String) -> ExportURLError {
    .badParameter(argument, parameter.rawValue, problem)
  }

  /// Text with its `%XX` replaced; nil where a `%` has no two digits after it.
  private static func decoded(_ text: Substring) -> String? {
    guard text.contains("%") else { return String(text) }
    var octets: [UInt8] = []
    var rest = text.utf8
    while let octet = rest.popFirst() {
      guard octet == UInt8(ascii: "%") else {
        octets.append(octet)
        continue
      }
      guard let first = rest.popFirst().flatMap(digit), let second = rest.popFirst().flatMap(digit) else {
        return nil
      }
      octets.append(first << 4 | second)
    }
    return String(decoding: octets, as: UTF8.self)
  }

  private static func digit(_ octet: UInt8) -> UInt8? {
    UInt8(String(UnicodeScalar(octet)), radix: 16)
  }
}
