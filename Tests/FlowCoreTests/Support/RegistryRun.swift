// Runs frames through an engine with plugins of a test's own, and writes the records as the exporter does.
import IPFIX
import IPFIXDecoding

@testable import FlowCore

/// What an engine with the plugins of `Registry` makes of frames.
struct RegistryRun<Registry: PluginRegistry> {
  private(set) var records: [Record] = []
  private(set) var counters = WorkerCounters()
  /// Reads outside of their bytes by the engine and all plugins.
  private(set) var faults: UInt64 = 0

  init(_ frames: [CapturedFrame], plugins: [String], flows: Int = 64, burst: Int = 1) throws {
    let schema = try RecordSchema<Registry>(plugins: plugins.map { PluginSelection($0) })
    var configuration = FlowConfiguration()
    configuration.flows = flows
    var engine = try Engine(configuration, layout: schema.layout, worker: 0, memory: PlainMemory())
    try schema.register(engine.slab.pointee.reader, worker: 0)
    for start in stride(from: 0, to: frames.count, by: burst) {
      let slice = frames[start..<min(start + burst, frames.count)]
      let copies = slice.map { frame in
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, frame.bytes.count), alignment: 1)
        frame.bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        return copy
      }
      let views = zip(slice, copies).map {
        Frame(bytes: $1, captured: UInt32($0.bytes.count), wire: UInt32($0.wire))
      }
      engine.process(views, count: views.count, times: slice.map(\.time), step: 1)
      for copy in copies { copy.deallocate() }
      collect(&engine, schema)
    }
    while engine.flushInOrder() { collect(&engine, schema) }
    counters = engine.counters.pointee
    for index in 0..<33 { faults += engine.faults[index] }
  }

  private mutating func collect(_ engine: inout Engine<Registry>, _ schema: RecordSchema<Registry>) {
    for index in 0..<engine.finished {
      guard let record = engine.outbox[index] else { continue }
      var collector = FieldCollector()
      schema.write(record, into: &collector)
      records.append(collector.fields)
      engine.recycle(record)
    }
  }
}

extension [String: FieldValue] {
  /// Packets and octets of both directions.
  var packets: Double { number("iana:packetDeltaCount") + number("iana@reverse:packetDeltaCount") }
}
