// Records as JSON in Kafka: what pipelines to databases and stream processors read.
import FlowCore
import IPFIX
import Rendering
import Wire

/// Exports each record as one message: the object of a `json:` line without the line's end. Its key is the flow's hash, the
/// same for both directions, on all lcores and in every run, so that all records of a flow are in one partition, in order.
final class KafkaOutput: Output {
  private let session: KafkaSession
  private let schema: BuiltInSchema
  private var writer = JSONRecordWriter(capacity: 1 << 14)
  private var key = OutputBuffer(capacity: 64)

  /// An output into a topic.
  init(_ session: KafkaSession, schema: BuiltInSchema) {
    self.session = session
    self.schema = schema
  }

  func append(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    var index = 0
    while index < count {
      if let record = records[index] {
        append(record, isReverse: false)
        if schema.hasReverseRecord(record) { append(record, isReverse: true) }
      }
      index &+= 1
    }
  }

  private func append(_ record: UnsafeMutableRawPointer, isReverse: Bool) {
    writer.begin()
    schema.render(record, isReverse: isReverse, into: &writer)
    writer.end()
    key.append(hexadecimal: schema.flowIdentifier(record))
    // Without the line feed at the end.
    let message = writer.output.contents
    session.send(message.prefix(message.count &- 1), key: key.contents)
    writer.output.removeAll()
    key.removeAll()
  }

  func tick(now: Moment) { session.tick() }
  func reopen() {}
  func close() { session.close() }

  var reachability: Reachability { session.isReachable ? .reachable : .unreachable }
  /// A cluster that cannot be reached may come back.
  var failure: ExportError? { nil }
  var status: String { session.status }
  var counters: OutputCounters { session.counters }
}
