// `kafka://BROKER[:9092][,BROKER…]/TOPIC?NAME=VALUE&…`, where librdkafka knows most of the names.
import FlowCore
import Glibc
import Kafka

extension KafkaTarget {
  /// The port of brokers that name none.
  static let defaultPort: UInt16 = 9092

  /// Reads what follows the scheme, and the properties: those of the file that `config` names, then those of the URL.
  ///
  /// - Throws: no broker or topic, a property that librdkafka does not take, a file that cannot be read.
  init(_ place: Substring, _ parameters: ExportParameters, argument: String) throws(ExportURLError) {
    guard place.hasPrefix("//"), let slash = place.dropFirst(2).firstIndex(of: "/") else {
      throw .noTopic(argument)
    }
    let topic = place[place.index(after: slash)...]
    guard Self.isTopic(topic) else { throw .badTopic(argument, String(topic)) }
    self.topic = String(topic)
    var brokers: [String] = []
    for broker in place[..<slash].dropFirst(2).split(separator: ",", omittingEmptySubsequences: false) {
      brokers.append(try Self.broker(broker, argument))
    }
    self.brokers = brokers.joined(separator: ",")
    if let file = parameters[.config] {
      do { try properties.read(file) } catch { throw parameters.wrong(.config, error.description) }
    }
    for other in parameters.others { properties.set(other.name, other.value) }
    do { try properties.check() } catch { throw .badProperty(argument, error.description) }
  }

  /// HOST:PORT of a broker.
  private static func broker(_ text: Substring, _ argument: String) throws(ExportURLError) -> String {
    let (host, port): (String, UInt16)
    do {
      (host, port) = try ExportURL.endpoint("//" + text, argument, defaultPort: defaultPort)
    } catch {
      if case .badPort = error { throw error }
      throw .badBroker(argument, String(text))
    }
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// Whether Kafka takes such a name (org.apache.kafka.common.internals.Topic).
  private static func isTopic(_ text: Substring) -> Bool {
    (1...249).contains(text.utf8.count) && text != "." && text != ".."
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
  }
}

extension KafkaProperties {
  /// Adds the properties of a file: a NAME=VALUE on each line, as of librdkafka's own programs; lines that begin with `#` and
  /// empty ones say nothing.
  ///
  /// - Throws: it cannot be read, or a line is something else.
  fileprivate mutating func read(_ path: String) throws(KafkaError) {
    let octets: [UInt8]
    do { octets = try OrdinaryFile.contents(path) } catch {
      throw KafkaError("cannot read \(path): \(error.reason)")
    }
    let text = String(decoding: octets, as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let text = Self.trimmed(line)
      if text.isEmpty || text.hasPrefix("#") { continue }
      guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
        throw KafkaError("line \(index + 1) of \(path) is no NAME=VALUE")
      }
      set(String(Self.trimmed(text[..<equals])), String(Self.trimmed(text[text.index(after: equals)...])))
    }
  }

  /// Text without blanks at either end.
  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0.isWhitespace }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
