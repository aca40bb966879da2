// A producer of librdkafka that never calls back: its owner asks for events when it suits, on its own thread.
import CKafka
import Wire

/// Why a message was not taken.
public enum KafkaRefusal {
  /// The local queue is full: brokers do not take messages as fast as they come.
  case queueFull
  /// The producer has failed for good.
  case fatal
  /// The message is too long, or the topic does not exist.
  case refused(String)
}

/// A connection to a cluster, for one topic.
///
/// librdkafka's threads are made here, and inherit the CPUs of the thread that makes the producer.
///
/// Safe between threads: librdkafka's handles are for several threads, and they do not change. `destroy` comes last.
public final class KafkaProducer: @unchecked Sendable {
  private let handle: OpaquePointer
  private let topic: OpaquePointer
  private let events: OpaquePointer

  /// A producer that connects by itself.
  ///
  /// - Parameter topic: the topic's name, which need not exist yet.
  /// - Throws: properties that contradict each other, certificates that cannot be read, and the like.
  public init(_ configuration: KafkaConfiguration, topic name: String) throws(KafkaError) {
    guard let configuration = configuration.copy() else {
      throw KafkaError("no memory for a configuration")
    }
    let (made, reason) = KafkaText.reason { rd_kafka_new(RD_KAFKA_PRODUCER, configuration, $0, $1) }
    guard let made else {
      rd_kafka_conf_destroy(configuration)
      throw KafkaError(reason)
    }
    guard let topic = rd_kafka_topic_new(made, name, nil), let events = rd_kafka_queue_get_main(made) else {
      let reason = KafkaText.line(rd_kafka_last_error())
      rd_kafka_destroy(made)
      throw KafkaError(reason)
    }
    handle = made
    self.topic = topic
    self.events = events
    rd_kafka_set_log_queue(made, nil)
  }

  /// Messages that wait or are on their way, and events that were not taken.
  public var waiting: Int { Int(rd_kafka_outq_len(handle)) }

  /// Copies a message into the queue of its key's partition; never waits.
  ///
  /// - Returns: nil where it was taken.
  @inline(__always)
  public func produce(_ message: Bytes, key: Bytes) -> KafkaRefusal? {
    // Safe: librdkafka copies the message, as the flag says, and only reads it.
    let code = rd_kafka_produce(
      topic, -1, RD_KAFKA_MSG_F_COPY, UnsafeMutableRawPointer(mutating: message.base), message.count,
      key.base,
      key.count, nil)
    return code == 0 ? nil : refusal()
  }

  @inline(never)
  private func refusal() -> KafkaRefusal {
    let code = rd_kafka_last_error()
    switch code {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return .queueFull
    case RD_KAFKA_RESP_ERR__FATAL: return .fatal
    default: return .refused(KafkaText.line(code))
    }
  }

  /// Waits at most `milliseconds` for the next event; nil where none came. Deliveries come up to batch.num.messages at a time.
  public func poll(milliseconds: Int32 = 0) -> KafkaEvent? {
    guard let event = rd_kafka_queue_poll(events, milliseconds) else { return nil }
    defer { rd_kafka_event_destroy(event) }
    switch rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_DR:
      var deliveries = KafkaDeliveries()
      while let message = rd_kafka_event_message_next(event) { deliveries.count(message) }
      return .deliveries(deliveries)
    case RD_KAFKA_EVENT_LOG:
      var (facility, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (nil, nil)
      var level: Int32 = 0
      guard rd_kafka_event_log(event, &facility, &text, &level) == 0 else {
        return .deliveries(KafkaDeliveries())
      }
      return .log(level: Int(level), facility: KafkaText.line(facility), text: KafkaText.line(text))
    case RD_KAFKA_EVENT_ERROR:
      let text = KafkaText.line(rd_kafka_event_error_string(event))
      return rd_kafka_event_error_is_fatal(event) != 0
        ? .fatal(text) : error(rd_kafka_event_error(event), text)
    default:
      return .deliveries(KafkaDeliveries())
    }
  }

  private func error(_ code: rd_kafka_resp_err_t, _ text: String) -> KafkaEvent {
    switch code {
    case RD_KAFKA_RESP_ERR__FATAL: return .fatal(text)
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: return .allBrokersDown
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__TIMED_OUT:
      return .connectionLost(text)
    default: return .trouble(text)
    }
  }

  /// Gives all messages up: those that wait, and those on their way, of which some may arrive all the same. What became of
  /// them comes as events.
  public func purge() {
    rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING)
  }

  /// Ends librdkafka's threads. May wait for a name server, so not on an lcore. Called once, last.
  public func destroy() {
    rd_kafka_topic_destroy(topic)
    rd_kafka_queue_destroy(events)
    rd_kafka_destroy(handle)
  }
}
