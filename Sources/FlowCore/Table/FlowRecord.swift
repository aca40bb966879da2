// The flow record: one block of memory per flow, laid out so that a packet of a known IPv4 flow touches one line.
import IPFIX
import Wire

/// The head of a flow record; the states of the enabled plugins follow it at offsets computed once at start.
///
///      0  key 16 | last 8 | first 8 | packets 4+4 | octets 8+8 | TCP flags 1+1 | marks 1 | reason 1 | interest 4   hot line
///     64  source 16 | destination 16 | worker 2, source MAC 6 | port 2, destination MAC 6 | index 4 | blocks 4 | presence 4 | lag 4
///     128 plugin states | their trailing bytes …
///
/// The hot line is read and written by every packet. The cold line is written when the flow is made, and read for IPv6
/// and at the end.
struct FlowRecord: BitwiseCopyable {
  /// The source is the first packet's sender.
  var key: Key
  /// When the last packet was received, nanoseconds since 1970 (arrival order, not the maximum).
  var last: UInt64 = 0
  /// When the first packet was received.
  var first: UInt64 = 0
  var forwardPackets: UInt32 = 0
  var reversePackets: UInt32 = 0
  var forwardOctets: UInt64 = 0
  var reverseOctets: UInt64 = 0
  /// The union of the TCP flags octets of each direction.
  var forwardFlags: UInt8 = 0
  var reverseFlags: UInt8 = 0
  /// What else is so: `lagging`, `guest`; above these `expectedLine`.
  var marks: UInt8 = 0
  /// The reason for the end; in the highest bit, bit 32 of `presence`.
  private var ending: UInt8 = 0
  /// The plugins (bit = slot) that still want this flow's packets. Slot 32 has the bit that another slot lends it:
  /// `StateLayout.lender`.
  var interest: UInt32 = 0

  /// IPv6 addresses in halves; unused for IPv4.
  var sourceHigh: UInt64 = 0
  var sourceLow: UInt64 = 0
  var destinationHigh: UInt64 = 0
  var destinationLow: UInt64 = 0
  /// The source MAC address in the low 48 bits; above it the worker's number.
  var sourceMACAndWorker: UInt64 = 0
  /// The destination MAC address in the low 48 bits; above it the port that the first packet came from.
  var destinationMACAndPort: UInt64 = 0
  /// The record's number in its pool.
  var index: UInt32 = 0
  /// The first of the slab blocks that the flow holds, or 0.
  var blocks: UInt32 = 0
  /// The lower 32 bits of `presence`.
  var lowPresence: UInt32 = 0
  /// By how much the last packet's own time was behind the worker's clock (`FlowRecord.lag(clock:time:)`): other than 0
  /// only where a capture's time goes backwards. It reaches over 73 years, because a capture may follow a newer one.
  var lag: UInt32 = 0

  static let size = 128
  /// In `marks`: `lag` is not zero.
  static let lagging: UInt8 = 1
  /// In `marks`: the record stands in another bucket than its own, which was full.
  static let guest: UInt8 = 2
  /// In `ending`: bit 32 of `presence`.
  private static let highPresence: UInt8 = 0x80

  /// The number of the record's line of 64 bytes that the flow's next packet will touch besides those with the states; 0 where
  /// none is known. Six bits: a record with every plugin has some 40 lines.
  @inline(__always) var expectedLine: Int {
    get { Int(marks &>> 2) }
    set {
      marks =
        marks & (FlowRecord.lagging | FlowRecord.guest) | UInt8(truncatingIfNeeded: min(newValue, 63) &<< 2)
    }
  }

  /// `lag` is not zero.
  @inline(__always) var isLagging: Bool { marks & FlowRecord.lagging != 0 }
  /// The record stands in another bucket than its own.
  @inline(__always) var isGuest: Bool { marks & FlowRecord.guest != 0 }

  init(key: Key) { self.key = key }

  /// A record that no packet's key matches.
  static var departed: FlowRecord {
    FlowRecord(
      key: Key(
        addresses: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 0, vlan: 0, isVersion6: false
      ).departed)
  }

  @inline(__always) var endReason: FlowEndReason {
    get { FlowEndReason(rawValue: ending & ~FlowRecord.highPresence) ?? .none }
    set { ending = ending & FlowRecord.highPresence | newValue.rawValue }
  }

  /// The plugins (bit = slot) whose fields are exported.
  @inline(__always) var presence: UInt64 {
    get { UInt64(lowPresence) | UInt64(ending & FlowRecord.highPresence) &<< 25 }
    set {
      lowPresence = UInt32(truncatingIfNeeded: newValue)
      ending =
        ending & ~FlowRecord.highPresence
        | UInt8(truncatingIfNeeded: newValue &>> 25) & FlowRecord.highPresence
    }
  }

  /// The plugins (bit = slot) that have not seen a packet of this record: it began in the midst of one that another record
  /// counts. It lies where `presence` will, which nobody asks for before the end.
  @inline(__always) var unstarted: UInt64 {
    get { presence }
    set { presence = newValue }
  }

  @inline(__always) var sourceMAC: UInt64 { sourceMACAndWorker & 0xFFFF_FFFF_FFFF }
  @inline(__always) var destinationMAC: UInt64 { destinationMACAndPort & 0xFFFF_FFFF_FFFF }
  /// The number of the port that the first packet came from.
  @inline(__always) var port: Int { Int(truncatingIfNeeded: destinationMACAndPort >> 48) }
  /// When the record has to leave the table on the worker's clock, if `deadline` is that on the clock of its packets.
  @inline(__always)
  func dueTime(_ deadline: UInt64) -> UInt64 { deadline &+ UInt64(lag) << 29 }

  /// The hash of the flow's key, the same for both directions.
  func hash(_ hashing: FlowHash) -> UInt64 {
    key.isVersion6
      ? hashing.hash(
        key.present, source: (sourceHigh, sourceLow), destination: (destinationHigh, destinationLow))
      : hashing.hash(key.present)
  }

  @inline(__always) var worker: Int { Int(truncatingIfNeeded: sourceMACAndWorker >> 48) }
}

/// Why a record left the table.
public typealias FlowEndReason = IPFIX.FlowEndReason

/// The two timeouts in nanoseconds, and what follows from them for one record.
struct Timeouts: BitwiseCopyable {
  var inactive: UInt64
  var active: UInt64

  /// When `record` has to leave the table, on the clock of its packets.
  @inline(__always)
  func deadline(_ record: FlowRecord) -> UInt64 {
    min(record.last &+ inactive, record.first &+ active)
  }

  /// Whether `record` has timed out for a packet received at `time` while the worker's clock shows `clock`.
  /// Where a capture's time jumps the two differ; then either may end the flow.
  @inline(__always)
  func hasExpired(_ record: FlowRecord, time: UInt64, clock: UInt64) -> Bool {
    let deadline = deadline(record)
    return time >= deadline || clock >= record.dueTime(deadline)
  }

  /// The reason that an expired record ends with: that of the timeout that came first.
  func reason(_ record: FlowRecord) -> FlowEndReason {
    guard record.last &+ inactive <= record.first &+ active else { return .activeTimeout }
    return hasClosed(record) ? .endOfFlow : .idleTimeout
  }

  /// The reason that a record ends with when the program does, `time` being that of the last packet: what has timed out by
  /// then says so, and what was closed.
  func finalReason(_ record: FlowRecord, time: UInt64, clock: UInt64) -> FlowEndReason {
    if hasExpired(record, time: time, clock: clock) { return reason(record) }
    return hasClosed(record) ? .endOfFlow : .forced
  }
}

/// Whether a FIN or RST was seen in either direction.
@inline(__always)
private func hasClosed(_ record: FlowRecord) -> Bool {
  (record.forwardFlags | record.reverseFlags) & TCPFlags.finOrReset != 0
}
