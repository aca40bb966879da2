// Runs a capture, or frames made by a test, through a worker as the offline exporter does, and gives the records.
import CPcap
import Foundation
import IPFIXDecoding

@testable import FlowCore

typealias Record = [String: FieldValue]

/// A captured frame.
struct CapturedFrame {
  var bytes: [UInt8]
  var wire: Int
  /// Nanoseconds since 1970.
  var time: UInt64
}

/// A capture file's frames and link type.
struct Capture {
  var linkType = LinkType.ethernet
  var frames: [CapturedFrame] = []

  init(frames: [CapturedFrame], linkType: LinkType = .ethernet) {
    self.frames = frames
    self.linkType = linkType
  }

  /// Reads a file with libpcap; nil where libpcap or Martlet does not read it.
  init?(path: String) {
    var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    guard
      let handle = pcap_open_offline_with_tstamp_precision(path, UInt32(PCAP_TSTAMP_PRECISION_NANO), &message)
    else { return nil }
    defer { pcap_close(handle) }
    guard let type = LinkType(pcap: pcap_datalink(handle)) else { return nil }
    linkType = type
    var header: UnsafeMutablePointer<pcap_pkthdr>?
    var data: UnsafePointer<UInt8>?
    while pcap_next_ex(handle, &header, &data) == 1, let header, let data {
      let entry = header.pointee
      frames.append(
        CapturedFrame(
          bytes: Array(UnsafeBufferPointer(start: data, count: Int(entry.caplen))), wire: Int(entry.len),
          time: UInt64(entry.ts.tv_sec) * 1_000_000_000 + UInt64(entry.ts.tv_usec)))
    }
  }

  /// Runs the frames through a worker with `plugins`; `counters` are those at the end. `prepare` sees the schema before.
  func run(
    plugins: [String] = [], configuration: FlowConfiguration = FlowConfiguration(), burst: Int = 32,
    tunnels: TunnelSettings = .usual, isUniflow: Bool = false,
    prepare: (BuiltInSchema) throws -> Void = { _ in }
  ) throws -> (records: [Record], counters: WorkerCounters) {
    let schema = try BuiltInSchema(
      plugins: plugins.map { PluginSelection($0) }, isUniflow: isUniflow, tunnels: tunnels)
    try prepare(schema)
    let worker = try FlowWorker(configuration: configuration, schema: schema, number: 0)
    worker.linkType = linkType
    var records: [Record] = []
    func collect() {
      for index in 0..<worker.finished {
        guard let record = worker.outbox[index] else { continue }
        var collector = FieldCollector()
        schema.write(record, into: &collector)
        records.append(collector.fields)
      }
      worker.recycle(worker.outbox, count: worker.finished)
    }
    for start in stride(from: 0, to: frames.count, by: burst) {
      let slice = frames[start..<min(start + burst, frames.count)]
      // Each frame in an allocation of its own length, so that tools see a read past its end.
      let copies = slice.map { frame in
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, frame.bytes.count), alignment: 1)
        frame.bytes.withUnsafeBytes {
          copy.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(copy), byteCount: $0.count)
        }
        return copy
      }
      let views = zip(slice, copies).map {
        Frame(bytes: $1, captured: UInt32($0.bytes.count), wire: UInt32($0.wire))
      }
      worker.process(views, count: views.count, times: slice.map(\.time))
      for copy in copies { copy.deallocate() }
      collect()
    }
    while worker.flush() { collect() }
    return (records, worker.counters)
  }
}

/// The public corpus, where it is there: at `MARTLET_CORPUS`, else beside the checkout.
enum Corpus {
  static let directory: String? = {
    let beside = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../../shared/corpus")
      .standardized.path
    let named = ProcessInfo.processInfo.environment["MARTLET_CORPUS"] ?? ""
    return [named, beside].first { !$0.isEmpty && FileManager.default.fileExists(atPath: $0) }
  }()

  /// The captures of a folder of the corpus.
  static func captures(in folder: String) -> [String] {
    guard let directory,
      let names = try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)")
    else { return [] }
    return names.filter { $0.contains(".pcap") || $0.hasSuffix(".cap") }.sorted().map {
      "\(directory)/\(folder)/\($0)"
    }
  }
}
