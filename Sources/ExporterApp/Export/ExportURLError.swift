// A clear word about an `--export` argument that means nothing.

/// What is wrong with an `--export` argument.
enum ExportURLError: Error, Equatable, CustomStringConvertible {
  case noScheme(String)
  case unknownScheme(String, String)
  case noSCTP(String)
  case noFile(String)
  case longSocket(String)
  /// A file's name that no file can have; the last text says why.
  case badName(String, String)
  case noHost(String)
  case badPort(String, String)
  case bracketsMissing(String, String)
  case noTopic(String)
  case badTopic(String, String)
  case badBroker(String, String)
  /// A property that librdkafka does not take; the last text is its own.
  case badProperty(String, String)
  /// A parameter without `=`.
  case noValue(String, String)
  case unknownParameter(String, String, ExportScheme)
  case repeatedParameter(String, String)
  /// A parameter whose value means nothing; the last text says why.
  case badParameter(String, String, String)

  /// One line that says what to write instead.
  var description: String {
    switch self {
    case .noScheme(let argument): "--export \(argument): \(ExportURL.choices)"
    case .unknownScheme(let argument, let scheme):
      "--export \(argument): there is no '\(scheme)' export; \(ExportURL.choices)"
    case .noSCTP(let argument):
      "--export \(argument): Martlet has no SCTP; use tcp://, which loses and reorders nothing either, or udp://"
    case .noFile(let argument):
      "--export \(argument): name a file after the colon, or '-' for standard output"
    case .longSocket(let argument):
      "--export \(argument): the name of a Unix socket has at most \(UnixSocket.longestPath) octets; name one nearer the root"
    case .badName(let argument, let problem): "--export \(argument): \(problem)"
    case .noHost(let argument): "--export \(argument): name a host, for example udp://collector.example:4739"
    case .badPort(let argument, let port):
      "--export \(argument): '\(port)' is no port; use a number from 1 to 65535"
    case .bracketsMissing(let argument, let address):
      "--export \(argument): write an IPv6 address in brackets, for example udp://[\(address)]:4739"
    case .noTopic(let argument):
      "--export \(argument): name a topic behind the brokers, for example kafka://broker.example:9092/flows"
    case .badTopic(let argument, let topic):
      "--export \(argument): '\(topic)' is no topic; use 1 to 249 of the characters A-Z a-z 0-9 . _ -"
    case .badBroker(let argument, let broker):
      "--export \(argument): '\(broker)' is no broker; write HOST, HOST:PORT or [IPv6]:PORT, several with ',' between them"
    case .badProperty(let argument, let problem): "--export \(argument): \(problem) (librdkafka's properties)"
    case .noValue(let argument, let part):
      "--export \(argument): '\(part)' behind the '?' is no parameter; write NAME=VALUE, several with '&' between them"
    case .unknownParameter(let argument, let name, let scheme):
      "--export \(argument): \(scheme.rawValue) takes no parameter '\(name)'; \(Self.choices(scheme))"
    case .repeatedParameter(let argument, let name):
      "--export \(argument): the parameter '\(name)' is there twice; leave one out"
    case .badParameter(let argument, let name, let problem): "--export \(argument): \(name): \(problem)"
    }
  }

  /// What a scheme takes.
  private static func choices(_ scheme: ExportScheme) -> String {
    let taken = scheme.parameters.map { "\($0.rawValue)=\($0.declaration.placeholder)" }
    return taken.isEmpty ? "it takes none" : "it takes \(taken.joined(separator: ", "))"
  }
}
