// What a message queue's delivery reports said: an output that has them knows of each record what became of it.

/// Records by what became of them at a cluster; those that are in none of these wait, are on their way, or found the queue full.
struct DeliveryCounters: BitwiseCopyable, Sendable, Equatable {
  /// Records that the cluster stored.
  var acknowledged: UInt64 = 0
  /// Records that could not be sent in time.
  var timedOut: UInt64 = 0
  /// Records that were not taken: too long, no such topic, no right to write.
  var refused: UInt64 = 0
  /// Records that were sent, and may be stored or not.
  var unknown: UInt64 = 0
  /// Records that waited when the run ended, or when the producer failed.
  var givenUp: UInt64 = 0

  /// Records that are counted as lost.
  var lost: UInt64 { timedOut &+ refused &+ unknown &+ givenUp }
}
