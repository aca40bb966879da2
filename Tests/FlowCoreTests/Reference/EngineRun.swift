// Runs frames through a worker in bursts of given sizes, and holds its records against the reference's.
import Foundation
import IPFIX

@testable import FlowCore

/// Seeds for property tests: fixed ones, and one that is new each time; `MARTLET_SEED` repeats a failure.
enum Seeds {
  static func list(_ count: Int) -> [UInt64] {
    if let text = ProcessInfo.processInfo.environment["MARTLET_SEED"], let seed = UInt64(text) {
      return [seed]
    }
    return (1..<UInt64(count)).map { $0 } + [UInt64.random(in: 1_000_000..<1_000_000_000)]
  }
}

/// A frame with what a correct dissector makes of it.
struct TestFrame {
  var frame: CapturedFrame
  /// Nil where the frame belongs to no flow.
  var packet: ReferencePacket?
}

/// Gathers the lists that pstats exports and drops all other fields.
private struct SequenceCollector: FieldListener {
  var lengths: [UInt16] = []
  var times: [UInt64] = []
  var flags: [UInt8] = []
  var directions: [Int] = []
  var isThere = false

  mutating func field(_ element: InformationElement, length: UInt16) {}

  mutating func list<Entry: FixedWidthInteger>(
    _ element: InformationElement, count: Int, _ entry: (_ index: Int) -> Entry
  ) {
    isThere = true
    switch element.name.description {
    case "packetLength": lengths = (0..<count).map { UInt16(entry($0)) }
    case "packetFlag": flags = (0..<count).map { UInt8(entry($0)) }
    case "packetDirection": directions = (0..<count).map { Int(entry($0)) }
    default: break
    }
  }

  mutating func times(
    _ element: InformationElement, count: Int, nanoseconds entry: (_ index: Int) -> UInt64
  ) {
    times = (0..<count).map { entry($0) }
  }

  var sequence: [SequenceEntry]? {
    guard isThere else { return nil }
    return lengths.indices.map {
      SequenceEntry(
        length: lengths[$0], nanoseconds: times[$0], flags: flags[$0], direction: directions[$0])
    }
  }
}

extension ReferenceRecord {
  /// The record as the engine left it.
  init(_ record: UnsafeMutableRawPointer, schema: BuiltInSchema, withSequence: Bool) {
    let flow = record.assumingMemoryBound(to: FlowRecord.self).pointee
    key = ReferenceKey(
      isVersion6: flow.key.isVersion6, protocolNumber: flow.key.protocolNumber, vlan: flow.key.vlan,
      source: [], destination: [], sourcePort: flow.key.sourcePort, destinationPort: flow.key.destinationPort)
    func bytes(_ word: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * (count - 1 - $0))) }
    }
    if flow.key.isVersion6 {
      key.source = bytes(flow.sourceHigh, 8) + bytes(flow.sourceLow, 8)
      key.destination = bytes(flow.destinationHigh, 8) + bytes(flow.destinationLow, 8)
    } else {
      key.source = bytes(flow.key.addresses >> 32, 4)
      key.destination = bytes(flow.key.addresses, 4)
    }
    first = flow.first
    last = flow.last
    packets = [UInt64(flow.forwardPackets), UInt64(flow.reversePackets)]
    octets = [flow.forwardOctets, flow.reverseOctets]
    flags = [flow.forwardFlags, flow.reverseFlags]
    sourceMAC = flow.sourceMAC
    destinationMAC = flow.destinationMAC
    reason = flow.endReason.rawValue
    if withSequence {
      var collector = SequenceCollector()
      schema.write(record, into: &collector)
      sequence = collector.sequence
    }
  }
}

extension FlowConfiguration {
  /// Room for every flow of a property test, yet made some hundred times by a debug build.
  static var reference: FlowConfiguration {
    var configuration = small
    configuration.flows = 8192
    configuration.recordsUnderWay = 0
    return configuration
  }
}

/// How a run cuts the frames into bursts and gives their times.
struct RunShape {
  var plugins: [String] = []
  var configuration = FlowConfiguration.reference
  var linkType = LinkType.ethernet
  /// Frames in the next burst.
  var burst: () -> Int = { 32 }
  /// One time for the whole burst, as live.
  var sharesTime = false
  /// The end is that of a capture: in order of the flows' start.
  var endsInOrder = false
}

/// What a run gave.
struct RunResult {
  var records: [ReferenceRecord] = []
  var counters = WorkerCounters()
  /// The frames' times as the engine was told them, and whether the time was a new one.
  var times: [(time: UInt64, isNew: Bool)] = []
}

/// Runs `frames` through a worker.
func runEngine(_ frames: [CapturedFrame], _ shape: RunShape) throws -> RunResult {
  let schema = try BuiltInSchema(plugins: shape.plugins.map { PluginSelection($0) })
  let worker = try FlowWorker(configuration: shape.configuration, schema: schema, number: 0)
  worker.linkType = shape.linkType
  var result = RunResult()
  func collect() {
    for index in 0..<worker.finished {
      guard let record = worker.outbox[index] else { continue }
      result.records.append(
        ReferenceRecord(record, schema: schema, withSequence: !shape.plugins.isEmpty))
    }
    worker.recycle(worker.outbox, count: worker.finished)
  }
  var start = 0
  while start < frames.count {
    let slice = frames[start..<min(start + max(1, shape.burst()), frames.count)]
    start = slice.endIndex
    // Each frame in an allocation of its own length, so that tools see a read past its end.
    let copies = slice.map { frame in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, frame.bytes.count), alignment: 1)
      copy.copyBytes(from: frame.bytes)
      return copy
    }
    let views = zip(slice, copies).map {
      Frame(bytes: UnsafeRawPointer($1.baseAddress!), captured: UInt32($0.bytes.count), wire: UInt32($0.wire))
    }
    let times = slice.map { shape.sharesTime ? slice.first!.time : $0.time }
    if shape.sharesTime {
      worker.process(views, count: views.count, now: times[0])
    } else {
      worker.process(views, count: views.count, times: times)
    }
    result.times += times.indices.map { (times[$0], !shape.sharesTime || $0 == 0) }
    for copy in copies { copy.deallocate() }
    collect()
  }
  while shape.endsInOrder ? worker.flushInOrder() : worker.flush() { collect() }
  result.counters = worker.counters
  return result
}

/// What differs between the engine's records and the reference's, some lines at most.
func differences(_ records: [ReferenceRecord], _ reference: ReferenceEngine, withSequence: Bool) -> [String] {
  var counts: [ReferenceRecord: Int] = [:]
  for record in records { counts[record, default: 0] += 1 }
  func take(_ record: ReferenceRecord) -> Bool {
    guard let count = counts[record], count > 0 else { return false }
    counts[record] = count == 1 ? nil : count - 1
    return true
  }
  var missing: [ReferenceRecord] = []
  for var record in reference.recordsAtEnd() {
    if !withSequence { record.sequence = nil }
    if !take(record) { missing.append(record) }
  }
  let surplus = counts.flatMap { Array(repeating: $0.key, count: $0.value) }
  return missing.prefix(2).map { "missing: \($0)" } + surplus.prefix(2).map { "surplus: \($0)" }
    + (missing.isEmpty && surplus.isEmpty ? [] : ["\(missing.count) missing, \(surplus.count) surplus"])
}
