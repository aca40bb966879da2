// What a plugin is. One Swift file declares its name, options, per-flow state and fields, and what it does when a flow
// is made, at each packet and before export; `docs/writing-a-plugin.md` walks through one.
import IPFIX
import Wire

/// What a plugin asks for after it saw a packet.
public struct Verdict: OptionSet, BitwiseCopyable, Sendable {
  public let rawValue: UInt8
  @inlinable @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Nothing: the plugin wants the flow's next packet too.
  public static let more: Verdict = []
  /// The plugin needs no more packets of this flow; they cost it nothing from here on.
  public static let done = Verdict(rawValue: 1)
  /// The flow is exported now, this packet included.
  public static let flush = Verdict(rawValue: 2)
  /// Only from `beforeUpdate`: the flow is exported as it is, and this packet starts a new record.
  public static let startNewRecord = Verdict(rawValue: 4)
}

/// An extension of flow records.
///
/// The plugin itself holds only its options, and is copied bit by bit; what it knows of a flow is in `State`, which the
/// engine keeps beside the flow's counters, zeroed when the flow is made. Hooks run on the packet path: no allocation,
/// no class, no unbounded loop; bytes are read through `Packet`'s checked views. What has no fixed length goes into
/// blocks, see `FlowContext.takeBlock`.
public protocol FlowPlugin: BitwiseCopyable, Sendable {
  /// What the plugin keeps for each flow. All-zero bytes must be a valid state: that of a flow not seen yet.
  associatedtype State: FlowState

  /// The name on the command line, lower case.
  static var name: String { get }
  /// One line for `--list-plugins`.
  static var summary: String { get }
  /// The options that `--plugin NAME:key=value` takes.
  static var options: [PluginOption] { get }
  /// Whether `beforeUpdate` does anything; where false it is never called.
  static var looksBeforeUpdate: Bool { get }

  /// The plugin with the options given; `PluginOptions` has checked that their names are known.
  init(options: borrowing PluginOptions) throws(FlowSetupError)

  /// Bytes that each flow needs behind `State`, as the options ask: `FlowContext.trailing`.
  var trailingBytes: Int { get }

  /// The flow was made by `packet`, which is counted already.
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict
  /// A further packet was received and is not counted yet.
  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict
  /// A further packet was counted.
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict
  /// The flow ends, for whatever reason; false when the plugin has nothing to export.
  func finish(_ state: inout State, _ flow: inout FlowContext) -> Bool

  /// Whether `visitExportedBlocks` names any; where false it is never called.
  static var exportsBlocks: Bool { get }
  /// Names the blocks that `export` will read, and how much of each, so that the export lcore can ask for them a few records
  /// ahead: another core wrote them.
  func visitExportedBlocks(_ state: State, _ visit: (_ block: BlockReference, _ length: Int) -> Void)

  /// Writes the plugin's fields, always all of them and in the same order: this is their only declaration. Templates,
  /// JSON, CSV, `--list-plugins` and the documentation come from calling it. It is called at start too, with flows and
  /// states that are made up, and a plugin whose fields are not the same each time is refused.
  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer)
}

extension FlowPlugin {
  public static var options: [PluginOption] { [] }
  public static var looksBeforeUpdate: Bool { false }
  public static var exportsBlocks: Bool { false }
  public var trailingBytes: Int { 0 }
  @inline(__always)
  public func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict {
    .more
  }
  @inline(__always)
  public func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext) -> Verdict {
    update(&state, packet, &flow)
  }
  @inline(__always)
  public func finish(_ state: inout State, _ flow: inout FlowContext) -> Bool { true }
  @inline(__always)
  public func visitExportedBlocks(_ state: State, _ visit: (_ block: BlockReference, _ length: Int) -> Void) {
  }
}

/// One packet as a plugin sees it.
public struct PacketView: BitwiseCopyable {
  let packet: UnsafePointer<Packet>
  /// Whether the packet was sent by the flow's source.
  public let isForward: Bool

  /// When it was received, nanoseconds since 1970.
  @inline(__always) public var time: UInt64 { packet.pointee.time }
  /// The payload's length from the headers; may be more than was captured.
  @inline(__always) public var payloadLength: Int { Int(packet.pointee.payloadLength) }
  /// The captured payload.
  @inline(__always) public var payload: Bytes { packet.pointee.payload }
  /// How many bytes of the payload were captured.
  @inline(__always) public var payloadCaptured: Int { Int(packet.pointee.payloadCaptured) }
  /// IPv4 total length or IPv6 payload length + 40.
  @inline(__always) public var octets: Int { Int(packet.pointee.octets) }
  /// The frame's length on the wire.
  @inline(__always) public var frameLength: Int { Int(packet.pointee.wire) }
  /// The IP protocol number.
  @inline(__always) public var protocolNumber: UInt8 { packet.pointee.key.protocolNumber }
  /// The packet's own source and destination port.
  @inline(__always) public var sourcePort: UInt16 { packet.pointee.key.sourcePort }
  @inline(__always) public var destinationPort: UInt16 { packet.pointee.key.destinationPort }
  /// The outermost VLAN id, 0 when untagged.
  @inline(__always) public var vlan: UInt16 { packet.pointee.key.vlan }
  @inline(__always) public var isVersion6: Bool { packet.pointee.key.isVersion6 }
  /// IPv4 time to live or IPv6 hop limit.
  @inline(__always) public var timeToLive: UInt8 { packet.pointee.timeToLive }
  /// IPv4 flags: bit 2 reserved, bit 1 DF, bit 0 MF.
  @inline(__always) public var fragmentFlags: UInt8 { packet.pointee.fragmentFlags }
  /// Whether this is a fragment other than the first of its datagram: its payload does not begin with a header.
  @inline(__always) public var isLaterFragment: Bool { packet.pointee.isLaterFragment }
  /// The TCP flags octet, 0 where there is no TCP header.
  @inline(__always) public var tcpFlags: UInt8 { packet.pointee.tcpFlags }
  /// The outermost MPLS label stack entry, 0 without MPLS.
  @inline(__always) public var mplsEntry: UInt32 { packet.pointee.mplsEntry }

  /// The transport header; empty for later fragments and protocols without one.
  @inline(__always)
  var transportHeader: Bytes {
    let packet = packet.pointee
    return Bytes(packet.frame, count: Int(packet.captured))
      .slice(Int(packet.transportOffset), Int(packet.payloadOffset) &- Int(packet.transportOffset))
  }

  /// The TCP header, or nil where there is none.
  @inline(__always)
  public var tcpHeader: Bytes? {
    guard protocolNumber == IPProtocol.tcp else { return nil }
    let header = transportHeader
    return header.count >= 20 ? header : nil
  }
}

/// What a hook may see and take of the flow that it works on.
public struct FlowContext {
  var blocks: FlowBlocks
  @inline(__always) var record: UnsafeMutablePointer<FlowRecord> { blocks.record }
  /// The plugin's bytes behind its state, as `trailingBytes` asked. They are not zeroed.
  public internal(set) var trailing: MutableBytes

  /// The packets counted so far.
  @inline(__always) public var forwardPackets: UInt32 { record.pointee.forwardPackets }
  @inline(__always) public var reversePackets: UInt32 { record.pointee.reversePackets }
  @inline(__always) public var packets: UInt64 { UInt64(forwardPackets) &+ UInt64(reversePackets) }
  /// The union of the TCP flags of both directions.
  @inline(__always) public var tcpFlags: UInt8 { record.pointee.forwardFlags | record.pointee.reverseFlags }
  /// When the flow began, nanoseconds since 1970.
  @inline(__always) public var first: UInt64 { record.pointee.first }
  /// When the last counted packet was received.
  @inline(__always) public var last: UInt64 { record.pointee.last }

  /// A block with room for `length` bytes that the flow keeps until it was exported; nil, and counted, when the worker
  /// has none left. The contents are not zeroed.
  public mutating func takeBlock(_ length: Int) -> BlockReference? { blocks.take(length) }

  /// Counts a hello that costs too much for its fingerprint.
  func noteFingerprintLeftOut() { blocks.shortfalls.pointee.fingerprintsLeftOut &+= 1 }

  /// A block's contents.
  @inline(__always)
  public func contents(_ block: BlockReference) -> MutableBytes { blocks.contents(block) }
}

/// A flow on its way out, as `export` sees it.
public struct FinishedFlow {
  let record: UnsafePointer<FlowRecord>
  let slab: SlabReader
  /// The plugin's bytes behind its state.
  public internal(set) var trailing: MutableBytes

  /// When the flow began, nanoseconds since 1970.
  @inline(__always) public var first: UInt64 { record.pointee.first }
  /// The flow's packets in both directions.
  @inline(__always) public var packets: UInt64 {
    UInt64(record.pointee.forwardPackets) &+ UInt64(record.pointee.reversePackets)
  }
  /// The outermost VLAN id, 0 when untagged.
  @inline(__always) public var vlan: UInt16 { record.pointee.key.vlan }

  /// The hash of the flow's key, the same for both directions.
  public func hash(_ hashing: FlowHash) -> UInt64 { record.pointee.hash(hashing) }

  /// The first `length` bytes of a block; empty for no block.
  @inline(__always)
  public func bytes(_ block: BlockReference, _ length: Int) -> Bytes { slab.contents(block).prefix(length) }
}
