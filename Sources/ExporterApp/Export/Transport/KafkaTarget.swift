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

  /// A producer for it, whose threads keep off the lcores.
  ///
  /// - Throws: properties that contradict each other, certificates that cannot be read.
  func connect() throws(KafkaError) -> KafkaProducer {
    let attempt = KafkaAttempt(self)
    attempt.run(seconds: 60)
    switch attempt.result {
    case .success(let producer): return producer
    case .failure(let error): throw error
    case nil: throw KafkaError("librdkafka does not start: no thread is to be had, or it hangs")
    }
  }
}

/// A producer in the making, by a thread whose CPUs librdkafka's threads inherit.
final class KafkaAttempt: Sendable {
  private let target: KafkaTarget
  private let made = Mutex<Result<KafkaProducer, KafkaError>?>(nil)

  /// Nothing is done yet.
  init(_ target: KafkaTarget) { self.target = target }

  /// Makes the producer; waits for it, but not longer than `seconds`.
  func run(seconds: Double) {
    ServiceThread.run("the thread that starts librdkafka", seconds: seconds) { [self] in
      let result = Result { () throws(KafkaError) in
        try KafkaProducer(target.properties, brokers: target.brokers, topic: target.topic)
      }
      made.withLock { $0 = result }
    }
  }

  /// What came of it; nil while it is under way.
  var result: Result<KafkaProducer, KafkaError>? { made.withLock { $0 } }
}
