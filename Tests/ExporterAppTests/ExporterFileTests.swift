import Foundation
import IPFIX
// Exports into files, and the arguments that name exports.
import IPFIXDecoding
import Rendering
import Testing

@testable import ExporterApp

@Suite struct ExporterFileTests {
  private func temporary() -> String { "/tmp/martlet-exporter-\(UUID().uuidString)" }

  @Test("an IPFIX file is its messages one after the other")
  func ipfixFile() throws {
    let path = temporary()
    defer { unlink(path) }
    let transport = FileTransport(try FileOutput(path: path))
    let exporter = IPFIXExporter(MessageStream.Configuration(), transport: transport)
    for number in 0..<5000 as Range<UInt32> { exporter.append(number: number) }
    #expect(exporter.counters.records == 5000)
    exporter.close()
    var decoder = MessageDecoder()
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let messages = try decoder.decodeAll(bytes)
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(0..<5000))
    #expect(sequenceIsRight(messages))
    #expect(exporter.counters.sentRecords == 5000)
    #expect(exporter.counters.bytes == UInt64(bytes.count))
  }

  @Test("lines of JSON")
  func jsonFile() throws {
    let path = temporary()
    defer { unlink(path) }
    let exporter = JSONExporter(JSONRecordWriter(), output: try FileOutput(path: path))
    for number in 0..<10000 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.close()
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 10000)
    #expect(lines.last == #"{"iana:ingressInterface":9999}"#)
    #expect(exporter.counters.sentRecords == 10000)
  }

  @Test("a full disk is a typed error and counted losses")
  func fullDisk() throws {
    let exporter = JSONExporter(JSONRecordWriter(), output: try FileOutput(path: "/dev/full"))
    for number in 0..<10000 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.close()
    #expect(exporter.failure == .cannotWrite(path: "/dev/full", code: ENOSPC))
    #expect(exporter.failure?.description.contains("disk is full") == true)
    #expect(exporter.counters.lostRecords == 10000)

    let transport = FileTransport(try FileOutput(path: "/dev/full"))
    let ipfix = IPFIXExporter(MessageStream.Configuration(), transport: transport)
    for number in 0..<10000 as Range<UInt32> { ipfix.append(number: number) }
    ipfix.close()
    #expect(ipfix.failure == .cannotWrite(path: "/dev/full", code: ENOSPC))
    #expect(ipfix.counters.lostRecords == 10000)
  }

  @Test("a reader of a pipe that goes away ends the export, not the process")
  func brokenPipe() throws {
    let path = temporary()
    mkfifo(path, 0o600)
    defer { unlink(path) }
    let reader = open(path, O_RDONLY | O_NONBLOCK)
    let output = try FileOutput(path: path)
    close(reader)
    let exporter = JSONExporter(JSONRecordWriter(), output: output)
    for number in 0..<10000 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.close()
    #expect(exporter.failure == .readerGone(path: path))
    #expect(exporter.counters.lostRecords == 10000)
  }

  @Test("a file that cannot be created")
  func cannotOpen() {
    #expect(throws: ExportError.cannotOpen(path: "/no/such/place", code: ENOENT)) {
      try FileOutput(path: "/no/such/place")
    }
  }

  @Test(
    "export arguments",
    arguments: [
      ("udp://192.0.2.1", .udp(host: "192.0.2.1", port: 4739)),
      ("udp://collector.example:9995", .udp(host: "collector.example", port: 9995)),
      ("tcp://[2001:db8::1]:4740", .tcp(host: "2001:db8::1", port: 4740)),
      ("tcp://[::1]", .tcp(host: "::1", port: 4739)), ("TCP://host/", .tcp(host: "host", port: 4739)),
      ("ipfix:flows.ipfix", .file(.ipfix, path: "flows.ipfix")), ("json:-", .file(.json, path: nil)),
      ("csv:/tmp/a:b.csv", .file(.csv, path: "/tmp/a:b.csv")), ("text:-", .file(.text, path: nil)),
      ("-", .file(.text, path: nil)),
    ] as [(String, ExportURL.Destination)])
  func arguments(_ argument: String, _ destination: ExportURL.Destination) throws {
    #expect(try ExportURL(parsing: argument).destination == destination)
  }

  @Test(
    "export arguments that say what is wrong",
    arguments: [
      ("", "use udp://"), ("flows.json", "use udp://"), ("http://host", "no 'http' export"),
      ("json:", "name a file"),
      ("udp:host", "name a host"), ("udp://", "name a host"), ("udp://:4739", "name a host"),
      ("tcp://[::1", "name a host"),
      ("udp://host:0", "no port"), ("udp://host:65536", "no port"), ("udp://host:", "no port"),
      ("udp://host:+1", "no port"),
      ("udp://[::1]x", "no port"), ("udp://2001:db8::1", "brackets"), ("udp://host/path", "name a host"),
    ])
  func wrongArguments(_ argument: String, _ hint: String) {
    let error = #expect(throws: ExportURLError.self) { try ExportURL(parsing: argument) }
    #expect(error?.description.contains(hint) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\n") == false)
  }
}
