// A port's RX queues: which there are, and how a worker polls one.

/// An RX queue of a port.
struct QueueID: Hashable, Sendable {
  var port: UInt16
  var queue: UInt16
}

/// The part of a port that the map depends on.
struct PortLimits: Equatable, Sendable {
  /// DPDK's port number.
  var port: UInt16
  /// The device's name, for messages.
  var name: String
  /// RX queues that the device can have.
  var maximumQueues: Int
}

/// One RX queue, as the driver call wants it, and how its packets are timed.
struct PolledQueue: BitwiseCopyable {
  var port: UInt16
  var queue: UInt16
  /// Where packets' times come from.
  var source: TimeSource
  /// What the control lcore knows about the port's times.
  var shared: UnsafePointer<PortClock>
  /// The lcore's copy of the device's clock, and which version it is.
  var clock: DeviceClock
  var version: UInt64 = 0
  /// When the queue was polled last, nanoseconds since 1970.
  var polled: UInt64 = 0
  /// Packets that it gave.
  var received: UInt64 = 0
}
