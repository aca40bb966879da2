// Records to Kafka as Martlet sends them: rendered, hashed, given to librdkafka, their delivery reports taken. The cluster is
// librdkafka's mock in the same process, whose threads' time is not the export lcore's and is not measured.
import FlowCore
import Kafka
import Rendering

/// A producer with a mock cluster of its own.
struct KafkaSink {
  private let producer: KafkaProducer

  /// A cluster of one broker.
  init() throws {
    var properties = KafkaProperties()
    properties.set("test.mock.num.brokers", "1")
    producer = try KafkaProducer(
      KafkaConfiguration(properties, brokers: "127.0.0.1:9092"), topic: "flows")
  }

  /// Sends records; where the queue is full it sleeps, which takes no CPU time. How many were sent.
  func send(_ set: RecordSet) -> Int {
    var writer = JSONRecordWriter(capacity: 1 << 14)
    var key = OutputBuffer(capacity: 64)
    var number = 0
    for case let record? in set.records {
      writer.begin()
      set.schema.render(record, into: &writer)
      writer.end()
      key.append(hexadecimal: set.schema.flowIdentifier(record))
      let message = writer.output.contents
      while producer.produce(message.prefix(message.count - 1), key: key.contents) != nil {
        take(milliseconds: 10)
      }
      writer.output.removeAll()
      key.removeAll()
      number += 1
      // Live it is once in five milliseconds.
      if number % 2048 == 0 { take(milliseconds: 0) }
    }
    return number
  }

  private func take(milliseconds: Int32) {
    var wait = milliseconds
    while let event = producer.poll(milliseconds: wait) {
      wait = 0
      guard case .deliveries(let report) = event else { continue }
      guard report.stored == report.count else { fatalError("Kafka's mock lost records: \(report.reason)") }
    }
  }

  /// Ends the cluster.
  func close() {
    while producer.waiting > 0 { take(milliseconds: 10) }
    producer.destroy()
  }
}
