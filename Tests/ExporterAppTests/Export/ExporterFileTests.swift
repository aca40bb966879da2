// Exports into files, and the arguments that name exports.
import FlowCore
import Foundation
import IPFIX
import IPFIXDecoding
import Rendering
import Testing

@testable import ExporterApp

@Suite struct ExporterFileTests {
  private func temporary() -> String { "/tmp/martlet-exporter-\(UUID().uuidString)" }

  private func writer(_ path: String) throws(ExportError) -> FileWriter {
    try FileWriter(path: path, policy: .wait(seconds: 5))
  }

  private func json(_ file: FileWriter) -> LineOutput<JSONRecordWriter> {
    // Without plugins there is nothing that could be refused.
    LineOutput(JSONRecordWriter(), file: file, schema: try! BuiltInSchema(plugins: [])) {
      $0.render($1, isReverse: $2, into: &$3)
    }
  }

  private func contents(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  private func decode(_ bytes: [UInt8]) throws -> [DecodedMessage] {
    var decoder = MessageDecoder()
    return try decoder.decodeAll(bytes)
  }

  /// Reads until there are so many lines, or until nothing comes for two seconds.
  private func lines(_ descriptor: Int32, atLeast count: Int) -> Int {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    var lines = 0
    while lines < count, Loopback.isReadable(descriptor, milliseconds: 20_000) {
      let length = read(descriptor, &bytes, bytes.count)
      guard length > 0 else { break }
      lines += bytes[..<length].count { $0 == UInt8(ascii: "\n") }
    }
    return lines
  }

  @Test("an IPFIX file is its messages one after the other")
  func ipfixFile() throws {
    let path = temporary()
    defer { unlink(path) }
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: FileTransport(try writer(path)))
    for number in 0..<5000 as Range<UInt32> { exporter.append(number: number) }
    #expect(exporter.counters.records == 5000)
    exporter.close()
    let bytes = try contents(path)
    let messages = try decode(bytes)
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(0..<5000))
    #expect(sequenceIsRight(messages))
    #expect(exporter.counters.sentRecords == 5000)
    #expect(exporter.counters.bytes == UInt64(bytes.count))
  }

  @Test("lines of JSON")
  func jsonFile() throws {
    let path = temporary()
    defer { unlink(path) }
    let exporter = try json(writer(path))
    for number in 0..<10000 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.close()
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 10000)
    #expect(lines.last == #"{"iana:ingressInterface":9999}"#)
    #expect(exporter.counters.sentRecords == 10000)
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 & ~0o640 == 0)
  }

  @Test("a device that takes nothing is a typed error and counted losses")
  func fullDevice() throws {
    let exporter = try json(writer("/dev/full"))
    for number in 0..<10000 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.close()
    #expect(exporter.failure == .cannotWrite(path: "/dev/full", code: ENOSPC))
    #expect(exporter.failure?.description.contains("disk is full") == true)
    #expect(exporter.counters.lostRecords == 10000)

    let ipfix = IPFIXOutput(MessageStream.Configuration(), transport: FileTransport(try writer("/dev/full")))
    for number in 0..<10000 as Range<UInt32> { ipfix.append(number: number) }
    ipfix.close()
    #expect(ipfix.failure == .cannotWrite(path: "/dev/full", code: ENOSPC))
    #expect(ipfix.counters.lostRecords == 10000)
  }

  @Test("a FIFO holds up nobody: without a reader, with one that left, with one that comes after")
  func fifo() throws {
    let path = temporary()
    mkfifo(path, 0o600)
    defer { unlink(path) }
    let start = Moment.current.monotonic
    let output = try FileWriter(path: path, policy: .drop)
    let exporter = json(output)
    for number in 0..<100 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.tick(now: .current)
    // It would be without end, or as long as outputs are waited for.
    #expect(Moment.current.monotonic - start < 20_000_000_000)
    // The first reader reads a part and leaves.
    let first = open(path, O_RDONLY)
    #expect(lines(first, atLeast: 100) == 100)
    close(first)
    for number in 100..<300 as Range<UInt32> { exporter.append { $0.unsigned32(counterElement, number) } }
    exporter.tick(now: .current)
    usleep(50_000)
    let second = open(path, O_RDONLY)
    #expect(lines(second, atLeast: 200) == 200)
    exporter.close()
    close(second)
    #expect(exporter.counters.sentRecords == 300)
    #expect(exporter.counters.lostRecords == 0)
  }

  @Test("a rotated file: the old one is whole, the new one has heading or templates, the sequence goes on")
  func rotation() throws {
    let (path, ipfixPath) = (temporary(), temporary())
    defer { for file in [path, path + ".1", ipfixPath, ipfixPath + ".1"] { unlink(file) } }
    let csv = try LineOutput(
      CSVRecordWriter(columns: [counterElement]), file: writer(path), schema: BuiltInSchema(plugins: [])
    ) { $0.render($1, isReverse: $2, into: &$3) }
    let ipfix = IPFIXOutput(MessageStream.Configuration(), transport: FileTransport(try writer(ipfixPath)))
    func add(_ range: Range<UInt32>) {
      for number in range {
        csv.append { $0.unsigned32(counterElement, number) }
        ipfix.append(number: number)
      }
    }
    add(0..<1000)
    // Without a rotation nothing changes: no second heading, nothing emptied.
    csv.reopen()
    ipfix.reopen()
    add(1000..<2000)
    csv.tick(now: .current)
    usleep(100_000)
    rename(path, path + ".1")
    rename(ipfixPath, ipfixPath + ".1")
    csv.reopen()
    ipfix.reopen()
    add(2000..<3000)
    csv.close()
    ipfix.close()
    let old = try String(contentsOfFile: path + ".1", encoding: .utf8).split(separator: "\n")
    let new = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(old == ["iana:ingressInterface"] + (0..<2000).map { Substring(String($0)) })
    #expect(new == ["iana:ingressInterface"] + (2000..<3000).map { Substring(String($0)) })
    let before = try decode(contents(ipfixPath + ".1"))
    let after = try decode(contents(ipfixPath))
    #expect(before.flatMap(\.records).compactMap(\.number) == Array(0..<2000))
    #expect(after.flatMap(\.records).compactMap(\.number) == Array(2000..<3000))
    #expect(after.allSatisfy { $0.unknownSets == 0 })
    #expect(sequenceIsRight(before) && sequenceIsRight(after, from: 2000))
  }

  @Test("a foreign symbolic link is refused, one of this user is followed")
  func links() throws {
    let (path, target) = (temporary(), temporary())
    defer { for file in [path, target] { unlink(file) } }
    symlink(target, path)
    let exporter = try json(writer(path))
    exporter.append { $0.unsigned32(counterElement, 1) }
    exporter.close()
    #expect(try contents(target).count > 0)
    guard geteuid() == 0 else { return }
    unlink(target)
    #expect(lchown(path, 65534, 65534) == 0)
    #expect(throws: ExportError.foreignLink(path: path)) { try writer(path) }
    #expect(access(target, F_OK) != 0)
  }

  @Test("a file that cannot be created")
  func cannotOpen() {
    #expect(throws: ExportError.cannotOpen(path: "/no/such/place", code: ENOENT)) {
      try writer("/no/such/place")
    }
  }

  @Test("a file that two outputs, or an input and an output, would share is refused, whatever its spelling")
  func sameFile() throws {
    let path = temporary()
    defer { for file in [path, path + ".link", path + ".other"] { unlink(file) } }
    func failure(_ outputs: [String], inputs: [String] = []) -> Int32? {
      do { _ = try OutputPlan(outputs, fallback: nil, inputs: inputs) } catch { return error.status }
      return nil
    }
    #expect(failure(["json:\(path)", "csv:\(path)"]) == 64)
    #expect(failure(["json:\(path)", "csv:/tmp/../tmp/./\(path.dropFirst(5))"]) == 64)
    #expect(failure(["json:-", "csv:-"]) == 64)
    #expect(failure(["json:/dev/null", "csv:/dev/null"]) == nil)
    #expect(access(path, F_OK) != 0, "a check must not make the file")
    symlink(path, path + ".link")
    #expect(failure(["json:\(path)", "csv:\(path).link"]) == 64)
    close(creat(path, 0o600))
    link(path, path + ".other")
    #expect(failure(["json:\(path)", "csv:\(path).other"]) == 64)
    #expect(failure(["json:\(path).other"], inputs: [path]) == 64)
    #expect(failure(["json:\(path).new"], inputs: [path]) == nil)
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
