// Where records go in Kafka, and with which properties.
import Kafka
import Synchronization

/// A topic of a cluster.
struct KafkaTarget: Equatable, Sendable {
  /// HOST:PORT of the brokers to ask first, joined by commas; IPv6 addresses stand in brackets.
  var brokers: String
  /// The topic's name.
  var topic: String
  /// What the user gave; librdkafka knows what they mean.
  var properties = KafkaProperties()

  /// The target in messages: without properties, among which there may be passwords.
  var title: String { "kafka://\(brokers)/\(topic)" }

  /// What librdkafka makes of the properties.
  ///
  /// - Throws: one that it does not take.
  func configuration() throws(KafkaError) -> KafkaConfiguration {
    try KafkaConfiguration(properties, brokers: brokers)
  }
}

/// A producer in the making, by a thread whose CPUs librdkafka's threads inherit: those that no lcore has.
final class KafkaAttempt: Sendable {
  private let configuration: KafkaConfiguration
  private let topic: String
  private let made = Mutex<Result<KafkaProducer, KafkaError>?>(nil)

  /// Nothing is done yet.
  init(_ configuration: KafkaConfiguration, topic: String) {
    self.configuration = configuration
    self.topic = topic
  }

  /// Makes the producer; waits for it, but not longer than `seconds`.
  func run(seconds: Double) {
    ServiceThread.run("the thread that starts librdkafka", seconds: seconds) { [self] in
      let result = Result { () throws(KafkaError) in try KafkaProducer(configuration, topic: topic) }
      made.withLock { $0 = result }
    }
  }

  /// What came of it; nil while it is under way.
  var result: Result<KafkaProducer, KafkaError>? { made.withLock { $0 } }
}
