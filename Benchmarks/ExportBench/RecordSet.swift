// Finished records to be exported over and over, made by the engine from generated packets or from a capture.
import FlowCore
import Foundation
import IPFIX
import Rendering

/// Finished records, and the worker that they belong to.
struct RecordSet {
  let schema: BuiltInSchema
  let worker: FlowWorker
  private(set) var records: [UnsafeMutableRawPointer?] = []

  private init(plugins: [PluginSelection], flows: Int) throws {
    schema = try BuiltInSchema(plugins: plugins)
    var configuration = FlowConfiguration()
    configuration.flows = max(1024, 2 * flows)
    configuration.recordsUnderWay = flows + 2048
    configuration.slabBytes = 256 << 20
    worker = try FlowWorker(configuration: configuration, schema: schema, number: 0)
  }

  /// The records of `generated` TCP biflows of `packets` packets each.
  init(plugins: [PluginSelection], generated: Int, isVersion6: Bool = false, packets: Int = 2) throws {
    try self.init(plugins: plugins, flows: generated)
    for packet in 0..<packets {
      for first in stride(from: 0, to: generated, by: FlowWorker.burstSize) {
        let frames = (first..<min(first + FlowWorker.burstSize, generated)).map {
          Self.frame(flow: $0, packet: packet, isVersion6: isVersion6)
        }
        process(frames, time: 1_700_000_000_000_000_000 + UInt64(packet) * 10_000_000)
      }
    }
    flush()
  }

  /// The records of a classic pcap file as make-mix.py writes it.
  init(plugins: [PluginSelection], capture: String) throws {
    try self.init(plugins: plugins, flows: 1 << 17)
    let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: capture)))
    var position = 24
    var frames: [[UInt8]] = []
    func word(_ offset: Int) -> Int {
      (0..<4).reduce(0) { $0 | Int(data[offset + $1]) << (8 * $1) }
    }
    while position + 16 <= data.count {
      let length = word(position + 8)
      frames.append(Array(data[position + 16..<position + 16 + length]))
      position += 16 + length
    }
    for first in stride(from: 0, to: frames.count, by: FlowWorker.burstSize) {
      process(
        Array(frames[first..<min(first + FlowWorker.burstSize, frames.count)]),
        time: 1_700_000_000_000_000_000 + UInt64(first) * 10_000)
    }
    flush()
  }

  private init(schema: BuiltInSchema, worker: FlowWorker, records: [UnsafeMutableRawPointer?]) {
    self.schema = schema
    self.worker = worker
    self.records = records
  }

  /// The first records only.
  func prefix(_ count: Int) -> RecordSet {
    RecordSet(schema: schema, worker: worker, records: Array(records.prefix(count)))
  }

  private mutating func process(_ frames: [[UInt8]], time: UInt64) {
    let bytes = Array(frames.joined())
    bytes.withUnsafeBytes { memory in
      var offset = 0
      let views = frames.map { frame in
        defer { offset += frame.count }
        return Frame(
          bytes: memory.baseAddress! + offset, captured: UInt32(frame.count), wire: UInt32(frame.count))
      }
      worker.process(views, count: views.count, now: time)
    }
    collect()
  }

  private mutating func flush() {
    while worker.flush() { collect() }
    collect()
  }

  /// Keeps the finished records: they are not recycled, so they stay as they are.
  private mutating func collect() {
    for index in 0..<worker.finished { records.append(worker.outbox[index]) }
  }

  /// One frame of a TCP biflow: odd packets go backwards; the third one and those after it carry payload.
  private static func frame(flow: Int, packet: Int, isVersion6: Bool) -> [UInt8] {
    let isForward = packet % 2 == 0
    let payload = [UInt8](repeating: UInt8(ascii: "x"), count: packet < 2 ? 0 : 40 * packet)
    func number(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let client: [UInt8] =
      isVersion6 ? [0x20, 1, 0x0d, 0xb8] + number(flow, 12) : number(0x0A00_0000 + flow, 4)
    let server: [UInt8] =
      isVersion6 ? [0x20, 1, 0x0d, 0xb8] + number(1, 12) : [192, 0, 2, UInt8(flow % 200)]
    let addresses = isForward ? client + server : server + client
    let ports = isForward ? number(40000, 2) + number(443, 2) : number(443, 2) + number(40000, 2)
    let flags: UInt8 = packet == 0 ? 0x02 : packet == 1 ? 0x12 : 0x18
    let tcp =
      ports + number(1000 + packet, 4) + number(packet, 4) + [0x50, flags] + number(0xFFFF, 2) + number(0, 4)
      + payload
    let ethernet = [UInt8](arrayLiteral: 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
    if isVersion6 {
      return ethernet + [0x86, 0xDD, 0x60, 0, 0, 0] + number(tcp.count, 2) + [6, 64] + addresses + tcp
    }
    return ethernet + [8, 0, 0x45, 0] + number(20 + tcp.count, 2) + number(packet, 2) + [
      0x40, 0, 64, 6, 0, 0,
    ]
      + addresses + tcp
  }

  // MARK: Outputs

  /// Encodes the records in bursts as the export lcore gets them; octets of the messages.
  @discardableResult
  func encode(padded: Bool = false, _ send: (MessageBatch) -> Void) -> Int {
    var configuration = MessageStream.Configuration()
    configuration.padsMessages = padded
    configuration.templateRefresh = nil
    var stream = MessageStream(configuration)
    var bytes = 0
    records.withUnsafeBufferPointer { records in
      for first in stride(from: 0, to: records.count, by: 64) {
        schema.append(records.baseAddress! + first, count: min(64, records.count - first), to: &stream)
        if stream.isBatchFull {
          bytes += stream.batch.bytes.count
          send(stream.batch)
          stream.removeBatch()
        }
      }
    }
    stream.flush()
    bytes += stream.batch.bytes.count
    send(stream.batch)
    return bytes
  }

  /// The same; how many records.
  func encodeAll(padded: Bool = false, _ send: (MessageBatch) -> Void = { _ in }) -> Int {
    encode(padded: padded, send)
    return records.count
  }

  /// Renders all records as JSON; octets.
  func json() -> Int {
    var writer = JSONRecordWriter()
    return lines(&writer) { schema.render($0, into: &$1) }
  }

  /// Renders all records as CSV; octets.
  func csv() -> Int {
    var writer = CSVRecordWriter(columns: schema.columns())
    return lines(&writer) { schema.render($0, into: &$1) }
  }

  @inline(__always)
  private func lines<Writer: LineWriter & ~Copyable>(
    _ writer: inout Writer, _ render: (UnsafeMutableRawPointer, inout Writer) -> Void
  ) -> Int {
    var bytes = 0
    for record in records {
      guard let record else { continue }
      writer.begin()
      render(record, &writer)
      writer.end()
      if writer.output.count >= 1 << 16 {
        bytes += writer.output.count
        writer.output.removeAll()
      }
    }
    bytes += writer.output.count
    writer.output.removeAll()
    return bytes
  }
}
