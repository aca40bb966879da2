// What is counted outside of the engine, where it is kept: each of these has one writer.
import FlowCore

/// What a worker lcore's loop counts itself; everything about flows is in `WorkerCounters`.
struct LcoreCounters: BitwiseCopyable, Sendable {
  /// Packets that the RX queues gave.
  var received: UInt64 = 0
  /// Their bytes on the wire.
  var bytes: UInt64 = 0
  /// Packets of several mbufs, which were copied together.
  var linearised: UInt64 = 0
  /// Packets whose device gave no time, or one that cannot be: they got the lcore's.
  var timesRefused: UInt64 = 0
  /// Packets that the filter left out, and their bytes on the wire.
  var filtered: UInt64 = 0
  var filteredBytes: UInt64 = 0
  /// Records lost because the export lcore did not keep up.
  var ringFull: UInt64 = 0
  /// CPU time of the loop in nanoseconds, polling included; written when it ends.
  var nanoseconds: UInt64 = 0
  /// Cycles in receiving packets and in giving mbufs and records away, where they are taken.
  var receiveCycles: UInt64 = 0
  var releaseCycles: UInt64 = 0
  /// What the loop does with its time.
  var activity = LoopActivity()
  /// How many packets polls brought.
  var batches = BatchSizes()
}

/// What a port's device counted.
struct PortCounters: BitwiseCopyable, Sendable {
  /// Packets that found no free descriptor.
  var missed: UInt64 = 0
  /// Packets that found no free mbuf.
  var noMbuf: UInt64 = 0
  /// Packets that the device found damaged.
  var errors: UInt64 = 0
}

/// What an export lcore counts itself; what its outputs do is in `OutputCounters`.
struct ExporterCounters: BitwiseCopyable, Sendable {
  /// Records handed to the outputs, once each whatever the number of outputs.
  var records: UInt64 = 0
  /// What databases were asked.
  var lookups = LookupCounters()
  /// Mistakes of parsers that showed while fields were written, as `WorkerCounters.parserFaults`.
  var parserFaults = ParserFaultCounts(repeating: 0)
}

/// What databases of addresses were asked.
struct LookupCounters: BitwiseCopyable, Sendable {
  /// Addresses that were looked up, because they were not remembered.
  var addresses: UInt64 = 0
  /// Values there that are wrong, and taken for nothing.
  var errors: UInt64 = 0
}

/// What one output did and lost; all counts only grow, except that a record which turns out not to have arrived moves from
/// `sentRecords` to `lostRecords`.
struct OutputCounters: BitwiseCopyable, Sendable, Equatable {
  /// Records taken from the flow side.
  var records: UInt64 = 0
  /// Records that reached the file or the network, as far as this side can know.
  var sentRecords: UInt64 = 0
  /// Records lost here: no connection, a slow collector, a write error, too long for any message.
  var lostRecords: UInt64 = 0
  /// The part of `lostRecords` that found no room in memory.
  var queueFull: UInt64 = 0
  /// The part that found no room in the spool.
  var spoolFull: UInt64 = 0
  /// The part that a file or the spool's disk did not take.
  var diskErrors: UInt64 = 0
  /// The part that was sent and not acknowledged when a connection ended, or that was refused.
  var unacknowledged: UInt64 = 0
  /// The part for which a collector over UDP had no address.
  var noAddress: UInt64 = 0
  /// The part that the system did not send over UDP.
  var sendFailed: UInt64 = 0
  /// The part that no message holds.
  var tooLong: UInt64 = 0
  /// Records written to the spool.
  var spooled: UInt64 = 0
  /// Records sent from the spool and acknowledged.
  var spoolDelivered: UInt64 = 0
  /// Records in the spool that are still to be sent.
  var spoolWaiting: UInt64 = 0
  /// Records, of earlier runs too, that should be in the spool and cannot be read.
  var spoolTorn: UInt64 = 0
  /// Records sent again after a connection broke: the collector may have them twice.
  var repeated: UInt64 = 0
  /// IPFIX messages sent; 0 for text.
  var messages: UInt64 = 0
  /// Octets sent.
  var bytes: UInt64 = 0
  /// IPFIX template records written, repetitions included.
  var templates: UInt64 = 0
  /// IPFIX messages longer than the configured length.
  var oversize: UInt64 = 0
  /// IPFIX records of which fields were shortened because no message holds them whole.
  var shortened: UInt64 = 0
  /// IPFIX options records written, repetitions included.
  var options: UInt64 = 0
  /// Failed system calls, refused datagrams and lost connections.
  var errors: UInt64 = 0
  /// TLS connections that either side refused.
  var refusals: UInt64 = 0
  /// Connections made, or UDP sockets opened.
  var connections: UInt64 = 0
  /// What the delivery reports of a message queue said; 0 for other outputs.
  var deliveries = DeliveryCounters()

  /// Counts `count` records as lost.
  mutating func lose(_ count: Int, _ cause: LossCause) {
    let count = UInt64(clamping: count)
    lostRecords &+= count
    switch cause {
    case .queueFull: queueFull &+= count
    case .spoolFull: spoolFull &+= count
    case .diskError: diskErrors &+= count
    case .unacknowledged: unacknowledged &+= count
    case .noAddress: noAddress &+= count
    case .sendFailed: sendFailed &+= count
    case .tooLong: tooLong &+= count
    }
  }

  /// Adds what another output counted.
  mutating func add(_ other: OutputCounters) {
    // Safe: both have the same members, and all of them are UInt64.
    withUnsafeMutableBytes(of: &self) { sums in
      withUnsafeBytes(of: other) { counts in
        for offset in stride(from: 0, to: MemoryLayout<OutputCounters>.size, by: MemoryLayout<UInt64>.size) {
          let count = counts.load(fromByteOffset: offset, as: UInt64.self)
          let sum = sums.load(fromByteOffset: offset, as: UInt64.self) &+ count
          sums.storeBytes(of: sum, toByteOffset: offset, as: UInt64.self)
        }
      }
    }
  }

  /// Moves records from sent to lost; never below zero.
  mutating func takeBack(_ count: UInt64, _ cause: LossCause) {
    sentRecords = sentRecords &- min(count, sentRecords)
    lose(Int(clamping: count), cause)
  }
}

/// Why records were lost; each has its counter.
enum LossCause: Sendable {
  /// No room in memory.
  case queueFull
  /// No room in the spool.
  case spoolFull
  /// A file or the spool's disk did not take them.
  case diskError
  /// Sent, and not acknowledged, or refused.
  case unacknowledged
  /// The collector's name has no address that a socket could be opened to.
  case noAddress
  /// The system did not send a datagram.
  case sendFailed
  /// No message holds such a record.
  case tooLong
}
