// The engine as the exporter sees it: one object for each worker lcore, without generics, so that the pipeline below
// is compiled for Martlet's own plugins and nothing is left to be looked up at run time.
import CIntrinsics
import Wire

/// What all workers share: limits, timeouts, plugins.
public struct FlowConfiguration: Sendable {
  /// Flows in the table of one worker.
  public var flows = 131_072
  /// Records that may be on their way through export, besides those in the table.
  public var recordsUnderWay = 8192
  /// Nanoseconds.
  public var inactiveTimeout: UInt64 = 30_000_000_000
  public var activeTimeout: UInt64 = 300_000_000_000
  /// Keys the flow hash; live workers use a random one.
  public var seed: UInt64 = 0
  /// Bytes for what plugins keep of variable length.
  public var slabBytes = 64 << 20
  /// Which packets are looked at.
  public var sampling = Sampling.all
  /// Sets of four datagrams whose fragments are under way.
  public var fragmentSets = 4096
  /// The clock is the packets' own.
  public var isOffline = true

  public init() {}
}

/// One worker's flow table and plugins. Not for use by several threads at once.
public final class FlowWorker {
  // Behind a pointer, because a class's stored property is guarded by dynamic exclusivity checks at each access.
  private let engine: UnsafeMutablePointer<Engine<BuiltInPlugins>>
  /// The records that the last call finished: valid from 0 to `finished`, until the next call.
  public let outbox: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let countersMemory: UnsafeMutablePointer<WorkerCounters>
  private let schema: BuiltInSchema

  /// The most frames one call takes.
  public static let burstSize = 32
  /// The most records one call hands out.
  public static let outboxCapacity = 1024

  /// Makes the table of worker `number`; its records are read through `schema`, where no other worker may have that
  /// number while this one exists.
  public init(
    configuration: FlowConfiguration, schema: BuiltInSchema, number: Int,
    memory: any FlowMemory = PlainMemory()
  ) throws(FlowSetupError) {
    let made = try Engine(configuration, layout: schema.layout, worker: number, memory: memory)
    outbox = made.outbox
    countersMemory = made.counters
    self.schema = schema
    try schema.register(made.slab.pointee.reader, worker: number)
    engine = .allocate(capacity: 1)
    engine.initialize(to: made)
  }

  /// Gives the plugins `bytes` for what they keep of variable length, in place of what the configuration said. Only
  /// before the first packet: so the tables of all workers can come first where memory is scarce.
  ///
  /// - Throws: too little memory; the worker is as it was.
  public func makeSlab(bytes: Int, memory: any FlowMemory) throws(FlowSetupError) {
    try engine.pointee.replaceSlab(bytes: bytes, memory: memory)
    schema.replace(engine.pointee.slab.pointee.reader, worker: Int(engine.pointee.worker))
  }

  deinit {
    schema.unregister(worker: Int(engine.pointee.worker))
    engine.deinitialize(count: 1)
    engine.deallocate()
  }

  /// How the frames begin; Ethernet unless a capture says otherwise.
  public var linkType: LinkType {
    get { engine.pointee.dissector.linkType }
    set { engine.pointee.dissector.linkType = newValue }
  }

  /// The names of the enabled plugins, by slot.
  public var pluginNames: [String] { schema.pluginNames }

  /// The number of the port from which the next packets come; for captures their place among those that are read.
  public var port: UInt16 {
    get { UInt16(truncatingIfNeeded: engine.pointee.port) }
    set { engine.pointee.port = UInt64(newValue) }
  }

  /// Looks at other packets from the next burst on. Flows that are no longer sampled end by their timeouts.
  public func sample(_ sampling: Sampling) { engine.pointee.sampler.replace(by: sampling) }

  /// Whether the cycles of each pass are taken, which costs some.
  public var timesPasses: Bool {
    get { engine.pointee.timesPasses }
    set { engine.pointee.timesPasses = newValue }
  }

  /// How many records the last call left in `outbox`.
  public var finished: Int { engine.pointee.finished }

  /// Works through at most 32 frames, all received at `now` (nanoseconds since 1970), and sweeps.
  public func process(_ frames: UnsafePointer<Frame>, count: Int, now: UInt64) {
    var now = now
    countsFaults { engine.pointee.process(frames, count: count, times: &now, step: 0) }
  }

  /// Works through at most 32 frames with a time each, and sweeps.
  public func process(_ frames: UnsafePointer<Frame>, count: Int, times: UnsafePointer<UInt64>) {
    countsFaults { engine.pointee.process(frames, count: count, times: times, step: 1) }
  }

  /// Nothing was received until `now`: sweeps.
  public func idle(now: UInt64) { countsFaults { engine.pointee.idle(now: now) } }

  /// Ends flows because the program ends, as many as `outbox` holds; false when none is left.
  public func flush() -> Bool { countsFaults { engine.pointee.flush() } }

  /// As `flush`, at the end of a capture: the flows leave in order of their start. Until it has given false only
  /// `recycle` may be called.
  public func flushInOrder() -> Bool { countsFaults { engine.pointee.flushInOrder() } }

  /// Takes back `count` records that were exported.
  public func recycle(_ records: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
    countsFaults { takeBack(records, count) }
  }

  /// Does `work`, whose parser faults are counted in this worker's counters; what the thread does later is not.
  @inline(__always)
  private func countsFaults<Result>(_ work: () -> Result) -> Result {
    martlet_trace_faults(engine.pointee.faults)
    defer { martlet_trace_faults(nil) }
    return work()
  }

  @inline(__always)
  private func takeBack(_ records: UnsafePointer<UnsafeMutableRawPointer?>, _ count: Int) {
    // What is needed of a record is in its cold line, and the export lcore has it; its first block was written long ago.
    var index = 0
    while index < min(8, count) {
      if let record = records[index] { martlet_prefetch(record + 64) }
      index &+= 1
    }
    index = 0
    while index < min(4, count) {
      if let record = records[index] { engine.pointee.prefetchBlock(record) }
      index &+= 1
    }
    index = 0
    while index < count {
      if index &+ 8 < count, let ahead = records[index &+ 8] { martlet_prefetch(ahead + 64) }
      if index &+ 4 < count, let ahead = records[index &+ 4] { engine.pointee.prefetchBlock(ahead) }
      if let record = records[index] {
        martlet_trace_record(record)
        engine.pointee.recycle(record)
      }
      index &+= 1
    }
    martlet_trace_record(nil)
  }

  /// The flow table for threads that look while the worker runs; good as long as this object.
  public var tableView: TableView { engine.pointee.table.view(worker: Int(engine.pointee.worker)) }

  /// How many flows the table has room for.
  public var tableSize: Int { engine.pointee.table.limit }

  /// The counters; other threads may read them while the worker runs, and see values of different packets.
  public var counters: WorkerCounters {
    var counters = countersMemory.pointee
    counters.fragments = engine.pointee.dissector.fragmentCount
    counters.tunnelled = engine.pointee.dissector.tunnelled
    counters.tunnelsUnopened = engine.pointee.dissector.tunnelsUnopened
    counters.tunnelsTooDeep = engine.pointee.dissector.tunnelsTooDeep
    counters.inTable = counters.flowsMade &- counters.ended.total
    for index in counters.parserFaults.indices {
      counters.parserFaults[index] = engine.pointee.faults[index]
    }
    return counters
  }
}

extension InlineArray where Element == UInt64 {
  /// The sum of all elements.
  var total: UInt64 {
    var sum: UInt64 = 0
    for index in indices { sum &+= self[index] }
    return sum
  }
}
