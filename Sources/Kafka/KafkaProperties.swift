// librdkafka's properties: those that users give, Martlet's own defaults, and those that Martlet cannot leave to anybody.
import CKafka

/// What is wrong with a property, a topic or a cluster, in librdkafka's words and one line.
public struct KafkaError: Error, Equatable, CustomStringConvertible, Sendable {
  /// One line.
  public let description: String

  /// An error with these words.
  public init(_ description: String) { self.description = description }
}

/// Properties of a producer by their names in librdkafka (CONFIGURATION.md there), in the order in which they are set.
public struct KafkaProperties: Equatable, Sendable {
  /// One property.
  public struct Property: Equatable, Sendable {
    public var name: String
    public var value: String
  }

  /// As they were added; of two with the same name the last one counts.
  public private(set) var list: [Property] = []

  /// No properties.
  public init() {}

  /// Adds a property.
  public mutating func set(_ name: String, _ value: String) {
    list.append(Property(name: name, value: value))
  }

  /// The value that counts; nil where there is none.
  public func value(_ names: String...) -> String? { list.last { names.contains($0.name) }?.value }

  /// Looks whether librdkafka takes each of the properties; nothing is opened.
  ///
  /// - Throws: the first one that it does not take, or that only Martlet may set.
  public func check() throws(KafkaError) {
    for property in list {
      if let reason = Self.reserved(property.name) {
        throw KafkaError("\(property.name) cannot be set: \(reason)")
      }
    }
    _ = try KafkaConfiguration(self, brokers: "")
  }

  /// Why a property is not for users; nil where it is.
  private static func reserved(_ name: String) -> String? {
    switch name {
    case "bootstrap.servers", "metadata.broker.list": "the brokers stand before the topic"
    case "delivery.report.only.error": "records that arrived are counted by these reports"
    case "log.queue": "librdkafka's lines come through Martlet"
    case "transactional.id": "records are sent without transactions"
    default: nil
    }
  }

  /// What holds where the user says nothing. Each has the names under which librdkafka knows it.
  private var defaults: [(names: [String], value: String)] {
    [
      (["client.id"], "martlet"),
      (["enable.idempotence"], allowsIdempotence ? "true" : "false"),
      // Cheap enough for one lcore's records, and JSON of flows shrinks to a fifth.
      (["compression.codec", "compression.type"], "lz4"),
      // A batch is sent when it is full or so old; records are a second old anyhow.
      (["linger.ms", "queue.buffering.max.ms"], "50"),
      // Bounds the memory that an outage takes; librdkafka's own default is a gigabyte.
      (["queue.buffering.max.kbytes"], "65536"),
      // A message takes some 250 octets besides its text.
      (["queue.buffering.max.messages"], "262144"),
      // As Java's producers do it, so that other programs find a key in the same partition.
      (["partitioner"], "murmur2_random"),
      // Brokers close idle connections: that is no trouble.
      (["log.connection.close"], "false"),
      (["socket.keepalive.enable"], "true"),
    ]
  }

  /// Whether the other properties leave room for an idempotent producer, which needs all replicas' acknowledgements.
  private var allowsIdempotence: Bool {
    guard let acknowledgements = value("acks", "request.required.acks") else { return true }
    return acknowledgements == "all" || acknowledgements == "-1"
  }

  /// Makes a configuration, which the caller owns.
  ///
  /// - Throws: the first property that librdkafka does not take.
  fileprivate func make(brokers: String) throws(KafkaError) -> OpaquePointer {
    guard let configuration = rd_kafka_conf_new() else { throw KafkaError("no memory for a configuration") }
    do {
      for (names, value) in defaults where !list.contains(where: { names.contains($0.name) }) {
        try Self.set(configuration, names.first ?? "", value)
      }
      for property in list { try Self.set(configuration, property.name, property.value) }
      if !brokers.isEmpty { try Self.set(configuration, "bootstrap.servers", brokers) }
      // What librdkafka has to say is taken with the events, on the thread that polls.
      try Self.set(configuration, "log.queue", "true")
    } catch {
      rd_kafka_conf_destroy(configuration)
      throw error
    }
    rd_kafka_conf_set_log_cb(configuration, nil)
    rd_kafka_conf_set_events(configuration, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
    return configuration
  }

  private static func set(_ configuration: OpaquePointer, _ name: String, _ value: String) throws(KafkaError)
  {
    let (result, reason) = KafkaText.reason { rd_kafka_conf_set(configuration, name, value, $0, $1) }
    guard result == RD_KAFKA_CONF_OK else { throw KafkaError(reason) }
  }
}

/// What librdkafka made of properties: producers are made from copies of it, as often as one is needed.
///
/// Safe between threads: it does not change, and copying reads only.
public final class KafkaConfiguration: @unchecked Sendable {
  private let handle: OpaquePointer

  /// The configuration for a cluster of which some brokers are known: HOST:PORT, joined by commas.
  ///
  /// - Throws: the first property that librdkafka does not take.
  public init(_ properties: KafkaProperties, brokers: String) throws(KafkaError) {
    handle = try properties.make(brokers: brokers)
  }

  deinit { rd_kafka_conf_destroy(handle) }

  /// A copy, which the caller owns; nil without memory.
  func copy() -> OpaquePointer? { rd_kafka_conf_dup(handle) }
}
