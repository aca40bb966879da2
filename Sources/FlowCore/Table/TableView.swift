// A flow table as another thread sees it while its worker goes on: for `/martlet/flows` and `martlet top`, which must cost the
// worker no more than that some of its lines were read elsewhere.
import CIntrinsics

/// A flow as it was found in a table.
public struct SeenFlow: Sendable {
  /// Halves of the addresses; IPv4's are the low 32 bits of the low half.
  public var source: (high: UInt64, low: UInt64) = (0, 0)
  public var destination: (high: UInt64, low: UInt64) = (0, 0)
  public var sourcePort: UInt16 = 0
  public var destinationPort: UInt16 = 0
  public var protocolNumber: UInt8 = 0
  public var isVersion6 = false
  /// The VLAN identifier, or 0.
  public var vlan: UInt16 = 0
  /// Of both directions.
  public var packets: UInt64 = 0
  public var octets: UInt64 = 0
  /// When the first and the last packet were received, nanoseconds since 1970.
  public var first: UInt64 = 0
  public var last: UInt64 = 0
  /// The number of the worker that has it.
  public var worker = 0

  public init() {}
}

/// The flows with the most octets of those that were shown, the largest first.
public struct LargestFlows: Sendable {
  /// The most that are kept.
  public let capacity: Int
  public private(set) var flows: [SeenFlow] = []

  /// - Parameter capacity: how many are kept, at least one.
  public init(capacity: Int) { self.capacity = max(1, capacity) }

  /// Whether a flow with so many octets is among them.
  func wants(_ octets: UInt64) -> Bool { flows.count < capacity || octets > flows.last?.octets ?? 0 }

  /// Enters a flow where it belongs, and lets the smallest go where there are too many.
  mutating func add(_ flow: SeenFlow) {
    let place = flows.firstIndex { $0.octets < flow.octets } ?? flows.endIndex
    flows.insert(flow, at: place)
    if flows.count > capacity { flows.removeLast() }
  }
}

/// What of a table may be read while its worker writes.
///
/// Safe between threads: buckets and records stay where they are as long as the worker's engine does, each word is read whole, and
/// what was read counts only where the flow is still in its place afterwards.
public struct TableView: @unchecked Sendable {
  let buckets: UnsafeRawPointer
  let bucketCount: Int
  let records: UnsafeRawPointer
  let stride: Int
  let capacity: Int
  let worker: Int

  /// Buckets after which the reading thread lets others run, which may be a worker on the same CPU.
  private static let piece = 4096

  /// Shows all flows to `largest`.
  ///
  /// - Parameter yield: called now and then.
  public func show(_ largest: inout LargestFlows, yield: () -> Void) {
    var bucket = 0
    while bucket < bucketCount {
      look(buckets + bucket &* FlowTable.bucketSize, &largest)
      bucket &+= 1
      if bucket % Self.piece == 0 { yield() }
    }
  }

  /// Shows the flows of a bucket: eight signatures of 16 bits, then eight numbers of records.
  private func look(_ bucket: UnsafeRawPointer, _ largest: inout LargestFlows) {
    var lane = 0
    while lane < FlowTable.ways {
      let signatures = martlet_peek(bucket + lane / 4 &* 8)
      if signatures == 0 {
        lane = lane & ~3 &+ 4
        continue
      }
      let place = lane
      lane &+= 1
      guard UInt16(truncatingIfNeeded: signatures >> UInt64(place % 4 &* 16)) != 0 else { continue }
      let numbers = bucket + 16 + place / 2 &* 8
      let pair = martlet_peek(numbers)
      let index = Int(UInt32(truncatingIfNeeded: pair >> UInt64(place % 2 &* 32)))
      guard index > 0, index <= capacity else { continue }
      // Safe: the number is one of the pool's.
      guard let flow = flow(records + index &* stride, largest), martlet_peek(numbers) == pair else {
        continue
      }
      largest.add(flow)
    }
  }

  /// The flow of a record, where it is one of the largest and stays the same flow while it is read.
  private func flow(_ record: UnsafeRawPointer, _ largest: LargestFlows) -> SeenFlow? {
    let words = RecordLayout.self
    let octets = martlet_peek(record + words.forwardOctets) &+ martlet_peek(record + words.reverseOctets)
    guard largest.wants(octets) else { return nil }
    let addresses = martlet_peek(record + words.addresses)
    let rest = martlet_peek(record + words.rest)
    guard rest & Key.departed == 0 else { return nil }
    let key = Key(addresses: addresses, rest: rest)
    var flow = SeenFlow()
    flow.octets = octets
    let packets = martlet_peek(record + words.packets)
    flow.packets = (packets & 0xFFFF_FFFF) &+ packets >> 32
    flow.first = martlet_peek(record + words.first)
    flow.last = martlet_peek(record + words.last)
    flow.isVersion6 = key.isVersion6
    flow.protocolNumber = key.protocolNumber
    flow.sourcePort = key.sourcePort
    flow.destinationPort = key.destinationPort
    flow.vlan = key.vlan
    flow.worker = worker
    if key.isVersion6 {
      let halves = record + words.addresses6
      flow.source = (martlet_peek(halves), martlet_peek(halves + 8))
      flow.destination = (martlet_peek(halves + 16), martlet_peek(halves + 24))
    } else {
      flow.source.low = addresses >> 32
      flow.destination.low = addresses & 0xFFFF_FFFF
    }
    guard martlet_peek(record + words.addresses) == addresses, martlet_peek(record + words.rest) == rest,
      flow.first != 0, flow.first <= flow.last
    else { return nil }
    return flow
  }
}

/// Where in a record the words are that are read by other threads.
private enum RecordLayout {
  static let addresses = offset(\.key.addresses)
  static let rest = offset(\.key.rest)
  static let last = offset(\.last)
  static let first = offset(\.first)
  /// Two numbers of 32 bits.
  static let packets = offset(\.forwardPackets)
  static let forwardOctets = offset(\.forwardOctets)
  static let reverseOctets = offset(\.reverseOctets)
  /// Four words.
  static let addresses6 = offset(\.sourceHigh)

  private static func offset(_ member: PartialKeyPath<FlowRecord>) -> Int {
    guard let offset = MemoryLayout<FlowRecord>.offset(of: member), offset % 8 == 0 else {
      preconditionFailure("a record has no such word")
    }
    return offset
  }
}
