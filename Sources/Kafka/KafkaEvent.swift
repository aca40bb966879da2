// What librdkafka tells a producer, in the terms of who counts records.
import CKafka

/// One thing that happened since the last look.
public enum KafkaEvent {
  /// Messages that are no longer waiting.
  case deliveries(KafkaDeliveries)
  /// The producer can do nothing any more, and another one must take its place.
  case fatal(String)
  /// No broker can be reached.
  case allBrokersDown
  /// A connection failed; others may be there.
  case connectionLost(String)
  /// Any other trouble: authentication, TLS, authorisation.
  case trouble(String)
  /// A line for the log, by syslog's level.
  case log(level: Int, facility: String, text: String)
}

/// What became of messages.
public struct KafkaDeliveries: BitwiseCopyable, Sendable {
  /// Messages that the cluster stored.
  public var stored = 0
  /// Their octets, without keys.
  public var octets = 0
  /// Messages that were not sent within message.timeout.ms.
  public var timedOut = 0
  /// Messages that a broker refused, or for which there is no topic.
  public var refused = 0
  /// Messages that were sent and never acknowledged: some of them may be stored.
  public var unknown = 0
  /// Messages that `purge` took from the queue.
  public var purged = 0
  /// The reason of the last one that was not stored.
  private var code = RD_KAFKA_RESP_ERR_NO_ERROR

  /// Nothing.
  public init() {}

  /// Messages in all.
  public var count: Int { stored &+ timedOut &+ refused &+ unknown &+ purged }

  /// The reason of the last one that was not stored, in words; empty where all were.
  public var reason: String { code == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : KafkaText.line(code) }

  /// Counts what a delivery report says of one message.
  @inline(__always)
  mutating func count(_ message: UnsafePointer<rd_kafka_message_t>) {
    let code = message.pointee.err
    if code == RD_KAFKA_RESP_ERR_NO_ERROR {
      stored &+= 1
      octets &+= message.pointee.len
      return
    }
    // That messages were given up is no reason for it.
    let isPurged = code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
    if !isPurged { self.code = code }
    if rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED {
      unknown &+= 1
      return
    }
    if isPurged {
      purged &+= 1
    } else if code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT {
      timedOut &+= 1
    } else {
      refused &+= 1
    }
  }
}
