// One engine, made anew for each input so that a finding repeats, and what must hold when it is done.
import Arrow
import CArrow
import FlowCore
import Glibc
import IPFIX
import IPFIXDecoding
import Rendering
import Synchronization

/// Fresh pages for each engine: most of a table is never touched, and zeroing all of it would take longer than the input.
struct FreshMemory: FlowMemory {
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let memory = mmap(nil, max(bytes, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return memory == MAP_FAILED ? nil : memory
  }

  func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) { munmap(memory, max(bytes, 1)) }
}

/// Gives each engine of a schema a number of its own: tests run side by side.
final class WorkerNumbers: Sendable {
  private let given = Atomic<UInt16>(0)

  /// The next number, after 1023 again 0: by then its engine is gone.
  func next() -> Int { Int(given.wrappingAdd(1, ordering: .relaxed).oldValue & 1023) }
}

/// What all engines of a target share.
struct EngineHarness: @unchecked Sendable {
  let schema: BuiltInSchema
  let columns: [InformationElement]
  let fields: [ArrowField]
  let numbers = WorkerNumbers()

  /// No plugins, and every tunnel opened, both its packets in flows.
  static let plain = EngineHarness(plugins: [], tunnels: TunnelSettings(kinds: .all, records: .both))
  /// All plugins, with the options that have more of the input read.
  static let full = EngineHarness(plugins: all)
  /// All plugins, and a record for each direction.
  static let uniflow = EngineHarness(plugins: all, isUniflow: true)

  fileprivate static let all = PluginPreset.expand(
    [.all], PluginCatalogue.parse("tls:certificates,dns:anyport,pstats:skipdup"))

  /// The plugin of SSH.
  static let ssh = EngineHarness(plugins: [PluginSelection("ssh")])

  init(
    plugins: [PluginSelection], isUniflow: Bool = false,
    tunnels: TunnelSettings = TunnelSettings(kinds: .all)
  ) {
    do {
      schema = try BuiltInSchema(plugins: plugins, isUniflow: isUniflow, tunnels: tunnels)
    } catch {
      fatalError("the fuzzer's plugins: \(error)")
    }
    columns = schema.columns()
    fields = ArrowField.fields(schema.tableColumns(), names: .short, addresses: .text)
  }

  /// An engine with a table of a few flows: small, so that eviction and used-up slabs are ordinary.
  ///
  /// `shape`: see `EngineRun.init`; bit 6 asks for a record for each direction where there are plugins.
  func makeRun(_ shape: UInt8) -> EngineRun {
    EngineRun(shape & 64 != 0 && schema.pluginCount > 0 ? .uniflow : self, shape)
  }
}

/// A frame to be handed to the engine.
struct FuzzFrame {
  var bytes: [UInt8]
  /// Bytes that the frame had on the wire beyond those captured.
  var missing: UInt32 = 0
  /// Nanoseconds since 1970.
  var time: UInt64
}

/// One engine and its outputs.
struct EngineRun: ~Copyable {
  let worker: FlowWorker
  private let harness: EngineHarness
  private let sharesTime: Bool
  private let burst: Int
  private var waiting: [FuzzFrame] = []
  private var stream: MessageStream
  private var json = JSONRecordWriter(capacity: 1 << 14)
  private var csv: CSVRecordWriter
  private var text = TextRecordWriter(capacity: 1 << 14)
  private var arrow: ArrowRecordWriter
  private var decoder = MessageDecoder()
  /// Flows that ended, and what was written of them.
  private var records: UInt64 = 0
  private var lines: UInt64 = 0
  private var decoded: UInt64 = 0
  private var frames: UInt64 = 0
  private var problem: String?

  /// `shape`: bits 0–1 the burst's size, bit 2 a time for the whole burst, bit 3 a slab of a page, bits 4–5 the flows.
  init(_ harness: EngineHarness, _ shape: UInt8) {
    self.harness = harness
    burst = [1, 3, 8, 32][Int(shape & 3)]
    sharesTime = shape & 4 != 0
    var configuration = FlowConfiguration()
    configuration.flows = [64, 16, 4, 1][Int(shape >> 4 & 3)]
    configuration.recordsUnderWay = 0
    configuration.slabBytes = shape & 8 != 0 ? 32 << 10 : 1 << 20
    configuration.fragmentSets = 8
    configuration.isOffline = !sharesTime
    do {
      worker = try FlowWorker(
        configuration: configuration, schema: harness.schema, number: harness.numbers.next(),
        memory: FreshMemory())
    } catch {
      fatalError("the fuzzer's engine: \(error)")
    }
    var messages = MessageStream.Configuration()
    messages.messagesPerBatch = 4
    stream = MessageStream(messages)
    csv = CSVRecordWriter(columns: harness.columns, capacity: 1 << 14)
    arrow = ArrowRecordWriter(harness.fields, sources: ["fuzz"], rowLimit: .max)
  }

  /// Adds a frame; the burst is worked through when it is full.
  mutating func add(_ frame: FuzzFrame) {
    waiting.append(frame)
    if waiting.count >= burst { process() }
  }

  /// Nothing is received until `time`.
  mutating func idle(_ time: UInt64) {
    process()
    worker.idle(now: time)
    export()
  }

  private mutating func process() {
    guard !waiting.isEmpty else { return }
    // Each frame in an allocation of its own length, so that a sanitizer sees a read past its end.
    let copies = waiting.map { frame in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.bytes.count, alignment: 1)
      copy.copyBytes(from: frame.bytes)
      return copy
    }
    var views: [Frame] = []
    for (frame, copy) in zip(waiting, copies) {
      guard let base = copy.baseAddress else { continue }
      let captured = UInt32(frame.bytes.count)
      views.append(Frame(bytes: base, captured: captured, wire: captured + min(frame.missing, 1 << 24)))
    }
    frames += UInt64(views.count)
    if sharesTime {
      worker.process(views, count: views.count, now: waiting[0].time)
    } else {
      worker.process(views, count: views.count, times: waiting.map(\.time))
    }
    for copy in copies { copy.deallocate() }
    waiting.removeAll(keepingCapacity: true)
    export()
  }

  /// Sends what ended through every output, and takes it back.
  private mutating func export() {
    let count = worker.finished
    guard count > 0 else { return }
    harness.schema.append(worker.outbox, count: count, to: &stream)
    for index in 0..<count {
      guard let record = worker.outbox[index] else { continue }
      render(record, isReverse: false)
      if harness.schema.hasReverseRecord(record) { render(record, isReverse: true) }
    }
    let exported = harness.schema.recordCount(worker.outbox, count: count)
    records += UInt64(count)
    lines += exported
    worker.recycle(worker.outbox, count: count)
    check(json.output.bytes, "JSON", lines: exported)
    json.output.removeAll()
    csv.output.removeAll()
    text.output.removeAll()
    finishArrow(rows: exported)
    if stream.isBatchFull { decode() }
  }

  private mutating func render(_ record: UnsafeMutableRawPointer, isReverse: Bool) {
    json.begin()
    harness.schema.render(record, isReverse: isReverse, into: &json)
    json.end()
    csv.begin()
    harness.schema.render(record, isReverse: isReverse, into: &csv)
    csv.end()
    text.begin()
    harness.schema.render(record, isReverse: isReverse, into: &text)
    text.end()
    arrow.begin()
    harness.schema.render(record, isReverse: isReverse, into: &arrow)
    arrow.end()
  }

  private mutating func finishArrow(rows: UInt64) {
    var batch = ArrowArray()
    let status = arrow.finish(in: &batch)
    if status != 0 || batch.length != rows {
      problem = problem ?? "Arrow: \(batch.length) rows for \(rows) records, status \(status)"
    }
    batch.release?(&batch)
  }

  private mutating func check(_ bytes: UnsafeRawBufferPointer, _ name: String, lines: UInt64) {
    let found: UInt64 = bytes.reduce(0) { $0 + ($1 == 10 ? 1 : 0) }
    if found != lines { problem = problem ?? "\(name): \(found) lines for \(lines) records" }
  }

  /// What was encoded must decode, record by record.
  private mutating func decode() {
    do {
      for message in try decoder.decodeAll(Array(stream.batch.bytes)) {
        decoded += UInt64(message.records.count)
        if message.unknownSets > 0 { problem = problem ?? "IPFIX: a data set without its template" }
      }
    } catch {
      problem = problem ?? "IPFIX: \(error)"
    }
    stream.removeBatch()
  }

  /// Ends all flows; says what is wrong, nil where nothing is.
  consuming func finish() -> String? {
    process()
    var more = true
    while more {
      more = worker.flush()
      export()
    }
    stream.flush()
    decode()
    if let problem { return problem }
    let counters = worker.counters
    for slot in counters.parserFaults.indices where counters.parserFaults[slot] != 0 {
      let name = slot == 0 ? "the engine" : EngineHarness.all[slot - 1].name
      return "parser faults: \(counters.parserFaults[slot]) in \(name)"
    }
    if counters.packets != frames { return "packets: \(counters.packets) of \(frames) frames" }
    let known = counters.discardedTotal + counters.tableFull + counters.endedPackets
    if known != frames + counters.tunnelsOutside {
      return "\(frames) frames received, \(known) accounted for"
    }
    if counters.inTable != 0 { return "\(counters.inTable) flows left in the table" }
    if counters.flowsMade != records { return "\(counters.flowsMade) flows made, \(records) exported" }
    if decoded + stream.counters.dropped != lines { return "IPFIX: \(decoded) of \(lines) records" }
    if arrow.misplaced > 0 { return "Arrow: \(arrow.misplaced) fields outside of their columns" }
    return csv.misplaced > 0 ? "CSV: \(csv.misplaced) fields outside of their columns" : nil
  }
}
