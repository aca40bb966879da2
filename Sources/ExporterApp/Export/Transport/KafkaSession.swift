// Messages to Kafka, each accounted for: librdkafka queues, batches, retries and keeps the connections, this counts what
// became of each message, says what is wrong, and replaces a producer that failed for good.
import Glibc
import Kafka
import Wire

/// One topic's producer with its counters. Used by one thread at a time; live it never waits.
final class KafkaSession {
  /// A producer, and how many of its messages have not been reported on.
  private struct Connection {
    let producer: KafkaProducer
    var outstanding = 0
  }

  private let configuration: KafkaConfiguration
  private let topic: String
  /// The target in messages.
  private let title: String
  /// Whether the user wants all of librdkafka's lines.
  private let isDebugging: Bool
  private let policy: OverloadPolicy
  private var current: Connection?
  /// A producer that failed, until it has said what became of its messages.
  private var failed: Connection?
  /// When the failed one is not waited for any more, by the monotonic clock.
  private var failedUntil: UInt64 = 0
  /// The producer that is being made to take the place of one that failed.
  private var attempt: KafkaAttempt?
  private var backOff = BackOff()
  private var deliveries = DeliveryCounters()
  private var records: UInt64 = 0
  /// Records that found no room in the queue.
  private var queueFull: UInt64 = 0
  private var octets: UInt64 = 0
  private var errors: UInt64 = 0
  /// What is wrong now, else empty.
  private(set) var status = ""
  /// What the last connection failed of.
  private var detail = ""
  private var complaint: Complaint
  /// Since when the queue has been full without any delivery, by the monotonic clock; 0 when there is room.
  private var fullSince: UInt64 = 0
  /// When there was trouble with the cluster last, by the monotonic clock; 0 when something was stored since.
  private var troubleAt: UInt64 = 0

  /// Events and messages that one look at a producer takes at most, so that other outputs have their turn.
  private static let eventsAtOnce = 64
  private static let messagesAtOnce = 1 << 14
  /// Nanoseconds without trouble after which a cluster is taken to be there again: librdkafka tries to connect every ten
  /// seconds at least, give or take a quarter (reconnect.backoff.max.ms).
  private static let recovery: UInt64 = 15_000_000_000
  /// Nanoseconds that a failed producer gets to report on its messages.
  private static let patience: UInt64 = 10_000_000_000

  /// Starts librdkafka, which connects by itself.
  ///
  /// - Throws: properties that contradict each other, certificates that cannot be read.
  init(_ target: KafkaTarget, policy: OverloadPolicy) throws(ExportError) {
    self.policy = policy
    topic = target.topic
    title = target.title
    isDebugging = target.properties.value("debug") != nil
    complaint = Complaint(name: title)
    do {
      configuration = try target.configuration()
      let attempt = KafkaAttempt(configuration, topic: topic)
      attempt.run(seconds: 60)
      guard let producer = try attempt.result?.get() else {
        throw KafkaError("librdkafka does not start: no thread is to be had, or it hangs")
      }
      current = Connection(producer: producer)
    } catch {
      throw .cannotStart(name: target.title, reason: "\(error)")
    }
  }

  /// What was sent and lost so far.
  var counters: OutputCounters {
    var counters = OutputCounters()
    counters.records = records
    counters.sentRecords = deliveries.acknowledged
    counters.lostRecords = queueFull &+ deliveries.lost
    counters.queueFull = queueFull
    counters.bytes = octets
    counters.errors = errors
    counters.deliveries = deliveries
    return counters
  }

  /// Whether messages may be stored. One that is refused says nothing about others.
  var isReachable: Bool { troubleAt == 0 || Clock.monotonic() &- troubleAt >= Self.recovery }

  /// Takes a message, which is one record. Where the queue is full it is counted as lost live, and waited for offline.
  func send(_ message: Bytes, key: Bytes) {
    records &+= 1
    while true {
      switch current?.producer.produce(message, key: key) {
      case nil where current != nil:
        current?.outstanding &+= 1
        return
      case .queueFull:
        if makesRoom() { continue }
        queueFull &+= 1
      case .refused(let reason):
        note(reason)
        deliveries.refused &+= 1
      case .fatal, nil:
        // The reason is among the events.
        work(milliseconds: 0)
        if makesRoom() { continue }
        deliveries.refused &+= 1
      }
      return
    }
  }

  /// Takes what was delivered, and offline waits for that; false where the message at hand is to be given up.
  private func makesRoom() -> Bool {
    guard case .wait(let seconds) = policy else {
      // Messages keep their room until their reports are taken.
      return work(milliseconds: 0) > 0 && current != nil
    }
    while !Drain.isOver {
      if work(milliseconds: 50) > 0 { return true }
      let now = Clock.monotonic()
      if fullSince == 0 { fullSince = now }
      guard now &- fullSince < Moment.nanoseconds(seconds) else { return false }
      if current == nil { usleep(10_000) }
    }
    return false
  }

  /// Takes what has happened; call it every few milliseconds.
  func tick() { work(milliseconds: 0) }

  /// Takes events, waiting at most `milliseconds` for the first one, within the bounds of one look.
  ///
  /// - Returns: how many messages were reported on.
  @discardableResult
  private func work(milliseconds: Int32) -> Int {
    var messages = take(from: \.current, milliseconds: milliseconds)
    messages &+= take(from: \.failed, milliseconds: 0)
    if let failed, failed.outstanding <= 0 || Clock.monotonic() >= failedUntil { retire(failed) }
    if current == nil { replace() }
    return messages
  }

  private func take(
    from place: ReferenceWritableKeyPath<KafkaSession, Connection?>, milliseconds: Int32
  ) -> Int {
    var (events, messages, wait) = (0, 0, milliseconds)
    while events < Self.eventsAtOnce, messages < Self.messagesAtOnce,
      let producer = self[keyPath: place]?.producer, let event = producer.poll(milliseconds: wait)
    {
      events &+= 1
      wait = 0
      switch event {
      case .deliveries(let report):
        self[keyPath: place]?.outstanding &-= report.count
        messages &+= report.count
        count(report)
      case .fatal(let reason):
        if place == \.current { fail(reason) }
      case .connectionLost(let reason):
        errors &+= 1
        detail = reason
        troubleAt = Clock.monotonic()
      case .allBrokersDown:
        troubleAt = Clock.monotonic()
        note(detail.isEmpty ? "no broker can be reached" : "no broker can be reached: \(detail)")
      case .trouble(let reason):
        errors &+= 1
        note(reason)
      case .log(let level, let facility, let text): log(level, facility, text)
      }
    }
    return messages
  }

  private func count(_ report: KafkaDeliveries) {
    deliveries.acknowledged &+= UInt64(clamping: report.stored)
    octets &+= UInt64(clamping: report.octets)
    deliveries.timedOut &+= UInt64(clamping: report.timedOut)
    deliveries.refused &+= UInt64(clamping: report.refused)
    deliveries.unknown &+= UInt64(clamping: report.unknown)
    deliveries.givenUp &+= UInt64(clamping: report.purged)
    let reason = report.reason
    if !reason.isEmpty { note(reason) }
    if report.timedOut > 0 { troubleAt = Clock.monotonic() }
    guard report.stored > 0 else { return }
    fullSince = 0
    troubleAt = 0
    guard report.stored == report.count, !status.isEmpty else { return }
    status = ""
    backOff.succeeded()
    complaint.resolve("goes on")
  }

  private func note(_ reason: String) {
    status = reason
    complaint.say(reason)
  }

  /// librdkafka's own lines: warnings about properties, and whatever the user asked for with `debug`. Others say again what
  /// the events say.
  private func log(_ level: Int, _ facility: String, _ text: String) {
    if facility == "CONFWARN" {
      logger.warning("\(title): \(text)")
    } else if isDebugging || level <= 2 && facility != "FATAL" {
      logger.info("\(title): \(facility): \(text)")
    }
  }

  // A producer that fails for good: an idempotent one does where it cannot promise any more that nothing is doubled or lost.

  /// Puts the producer aside and begins another.
  private func fail(_ reason: String) {
    guard let broken = current else { return }
    errors &+= 1
    troubleAt = Clock.monotonic()
    note("the producer failed, another one takes its place: \(reason)")
    broken.producer.purge()
    if let failed { retire(failed) }
    failed = broken
    failedUntil = Clock.monotonic() &+ Self.patience
    current = nil
  }

  /// Takes the new producer, if there is one, or begins to make it when it is time.
  private func replace() {
    let now = Moment.current
    if attempt == nil {
      guard backOff.isDue(now) else { return }
      backOff.failed(now)
      let attempt = KafkaAttempt(configuration, topic: topic)
      self.attempt = attempt
      attempt.run(seconds: 0.02)
    }
    switch attempt?.result {
    case nil: return
    case .success(let producer): current = Connection(producer: producer)
    case .failure(let error): note(error.description)
    }
    attempt = nil
  }

  /// Counts what a failed producer has not reported on, and ends it.
  private func retire(_ connection: Connection) {
    deliveries.unknown &+= UInt64(clamping: connection.outstanding)
    failed = nil
    Self.destroy(connection.producer, seconds: 0)
  }

  /// Has a thread end the producer, because that may have to wait for a name server.
  private static func destroy(_ producer: KafkaProducer, seconds: Double) {
    ServiceThread.run("the thread that ends librdkafka", seconds: seconds) { producer.destroy() }
  }

  /// Sends what waits, as long as that makes progress within --drain-timeout; gives up and counts the rest.
  func close() {
    var progressAt = Clock.monotonic()
    while outstanding > 0, !Drain.isOver, Clock.monotonic() &- progressAt < Drain.timeout {
      if work(milliseconds: 50) > 0 { progressAt = Clock.monotonic() }
    }
    if outstanding > 0 {
      if status.isEmpty { status = "the brokers did not take all in time" }
      current?.producer.purge()
      let end = Clock.monotonic() &+ 500_000_000
      while outstanding > 0, Clock.monotonic() < end { work(milliseconds: 20) }
    }
    if let failed { retire(failed) }
    guard let last = current else { return }
    deliveries.unknown &+= UInt64(clamping: last.outstanding)
    current = nil
    Self.destroy(last.producer, seconds: 1)
  }

  /// Messages on which there is no report yet.
  private var outstanding: Int { (current?.outstanding ?? 0) &+ (failed?.outstanding ?? 0) }
}
