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
  /// The flow is exported now, this packet included, and the plugin's `create` is called at once for the same packet in a new
  /// record of the flow, which counts no packet yet: for what else is in it. `FlowContext.position` leads there.
  public static let nextRecord = Verdict(rawValue: 8)
  /// Only from `read`: what is left of the connection cannot be another plugin's, see `StreamClaim`.
  static let claims = Verdict(rawValue: 16)
  /// The bits that end a record once its packet was counted, and those with which its plugin goes on in another one.
  static let endsRecord: UInt8 = 2 | 8
  static let continues: UInt8 = 4 | 8
  /// The most records that one packet makes. What it has beyond them is not shown, and is counted.
  public static var mostRecords: Int { 32 }
}

/// What a plugin that keeps nothing for a worker keeps for it.
public struct NoWorkerContext: BitwiseCopyable, Sendable {
  public init() {}
}

/// An extension of flow records.
///
/// The plugin itself holds only its options, and is copied bit by bit; what it knows of a flow is in `State`, which the
/// engine keeps beside the flow's counters, zeroed when the flow is made. Hooks run on the packet path: no allocation,
/// no class, no unbounded loop; bytes are read through `Packet`'s checked views. What has no fixed length goes into
/// blocks, see `StoredBytes`.
public protocol FlowPlugin: BitwiseCopyable, Sendable {
  /// What the plugin keeps for each flow. All-zero bytes must be a valid state: that of a flow not seen yet.
  associatedtype State: FlowState
  /// What the plugin keeps for each worker, made once before its first packet: cipher contexts, scratch memory. Hooks have
  /// it as `FlowContext.worker`.
  associatedtype WorkerContext: BitwiseCopyable = NoWorkerContext

  /// The name on the command line, lower case.
  static var name: String { get }
  /// One line for `--list-plugins`.
  static var summary: String { get }
  /// The options that `--plugin NAME:key=value` takes.
  static var options: [PluginOption] { get }
  /// Whether elements of the plugin may be another one's too, which says so likewise: as ipfixprobe's dns and passivedns
  /// have it. Such plugins see to it that no record has the fields of both.
  static var sharesElements: Bool { get }
  /// Whether the fields have what people said or are called: payload, names, programs. With `--anonymise` such a plugin runs only
  /// by force. True for a plugin that does not say.
  static var exportsContent: Bool { get }
  /// Whether the state holds addresses that are exported; then `anonymise` replaces them. A plugin that writes a field of an
  /// address and does not say so is refused. Those of the flow itself are no part of any state.
  static var hasAddresses: Bool { get }
  /// The protocols that the plugin has to do with: flows of others are not shown to it, and have none of its fields.
  static var protocols: FlowProtocols { get }
  /// Whether `create` and `update` do anything; where false they are never called.
  static var seesPackets: Bool { get }
  /// Whether every record has the plugin's fields; then `finish` is never called.
  static var isAlwaysPresent: Bool { get }
  /// Whether `beforeUpdate` does anything; where false it is never called.
  static var looksBeforeUpdate: Bool { get }
  /// Whether the plugin reads the byte streams of TCP: then TCP's bytes come to `read`, and `create` and `update` see the
  /// packets of other protocols only.
  static var readsStreams: Bool { get }
  /// Whether the plugin reads the fields that the others write when a flow ends. Then it stands behind all of them, wherever it is
  /// named, and may be named several times, each with its own options: `PluginOptions.further`.
  static var readsRecords: Bool { get }
  /// How much of a connection is the plugin's when a reading of its is `claiming`, and which claims of others leave it nothing:
  /// those that are as large or larger.
  static var streamClaim: StreamClaim { get }

  /// The plugin with the options given; `PluginOptions` has checked that their names are known.
  init(options: borrowing PluginOptions) throws(FlowSetupError)

  /// Frees what `init` took; the plugin is used no longer.
  func free()

  /// Bytes that each flow needs behind `State`, as the options ask: `FlowContext.trailing`.
  var trailingBytes: Int { get }

  /// Makes what the plugin keeps for one worker.
  func makeWorkerContext() throws(FlowSetupError) -> WorkerContext
  /// Frees what `makeWorkerContext` took; the worker is gone.
  func freeWorkerContext(_ context: WorkerContext)

  /// The flow was made by `packet`, which is counted already; `update`, where there is nothing else to do.
  func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict
  /// A further packet was received and is not counted yet.
  func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict
  /// A further packet was counted.
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict
  /// One direction of a TCP connection has bytes that the plugin did not take yet; `packet` brought the last of them.
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading
  /// What a segment is that came before others which are missing. Asked only then, and of segments that lie before the first
  /// one that was captured.
  func recognise(_ bytes: Bytes) -> Recognition
  /// The flow ends, for whatever reason; false when the plugin has nothing to export.
  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool

  /// Replaces the addresses in the state; only for plugins that say they have some. Called by the export lcore, once for a record,
  /// before any of its fields is written.
  func anonymise(_ state: inout State, _ anonymiser: Anonymiser)

  /// Writes the plugin's fields, always all of them and in the same order: this is their only declaration. Templates,
  /// JSON, CSV, `--list-plugins` and the documentation come from calling it. It is called at start too, with flows and
  /// states that are made up, and a plugin whose fields are not the same each time is refused.
  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer)
}

extension FlowPlugin {
  public static var options: [PluginOption] { [] }
  public static var sharesElements: Bool { false }
  public static var exportsContent: Bool { true }
  public static var hasAddresses: Bool { false }
  public func anonymise(_ state: inout State, _ anonymiser: Anonymiser) {}
  public static var protocols: FlowProtocols { .all }
  public static var seesPackets: Bool { true }
  public static var isAlwaysPresent: Bool { false }
  public static var looksBeforeUpdate: Bool { false }
  public static var readsStreams: Bool { false }
  public static var readsRecords: Bool { false }
  public static var streamClaim: StreamClaim { .none }
  public func free() {}
  public var trailingBytes: Int { 0 }
  @inline(__always)
  public func beforeUpdate(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>)
    -> Verdict
  {
    .more
  }
  @inline(__always)
  public func create(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    update(&state, packet, &flow)
  }
  @inline(__always)
  public func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { true }
  @inline(__always)
  public func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading { .done }
  @inline(__always)
  public func recognise(_ bytes: Bytes) -> Recognition { .no }
  public func freeWorkerContext(_ context: WorkerContext) {}
}

extension FlowPlugin where WorkerContext == NoWorkerContext {
  public func makeWorkerContext() -> NoWorkerContext { NoWorkerContext() }
}
