// Files that follow one another: whole, each readable by itself, every record in one of them.
import CZstd
import FlowCore
import Foundation
import IPFIX
import IPFIXDecoding
import Rendering
import Testing
import Wire

@testable import ExporterApp

@Suite struct FileSeriesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func writer(
    _ name: String, _ parameters: String, policy: OverloadPolicy = .wait(seconds: 5),
    heading: SharedBytes = SharedBytes()
  ) throws -> FileWriter {
    let url = try ExportURL(parsing: "json:\(folder.path)/\(name)?\(parameters)")
    return try FileWriter(path: "\(folder.path)/\(name)", policy: policy, options: url.file, heading: heading)
  }

  private func csv(_ name: String, _ parameters: String) throws -> LineOutput<CSVRecordWriter> {
    let rows = CSVRecordWriter(columns: [counterElement])
    let file = try writer(name, parameters, heading: SharedBytes(copying: rows.output.contents))
    return try LineOutput(rows, file: file, schema: BuiltInSchema(plugins: [])) {
      $0.render($1, isReverse: $2, into: &$3)
    }
  }

  private func add(_ range: Range<UInt32>, to output: LineOutput<CSVRecordWriter>) {
    for number in range { output.append { $0.unsigned32(counterElement, number) } }
  }

  /// Waits until a condition holds, at most 20 seconds.
  private func wait(_ condition: () -> Bool) -> Bool {
    for _ in 0..<2000 {
      if condition() { return true }
      usleep(10_000)
    }
    return false
  }

  /// The rows of the files in order; each must have the heading.
  private func rows(_ names: [String]) throws -> [UInt32] {
    try names.flatMap { name in
      let lines = try folder.lines(name)
      #expect(lines.first == "iana:ingressInterface", "\(name)")
      return lines.dropFirst().compactMap { UInt32($0) }
    }
  }

  @Test("lines: no file is larger than it may be, each has the heading, every row is in one of them")
  func linesBySize() throws {
    let output = try csv("flows.csv", "rotate=4K")
    add(0..<20_000, to: output)
    output.close()
    let names = folder.names()
    #expect(names.prefix(3) == ["flows.csv", "flows.1.csv", "flows.2.csv"])
    // The heading has 22 octets, and a file is full when the next row does not fit.
    var (files, room) = (1, 4096 - 22)
    for number in 0..<20_000 {
      let length = String(number).count + 1
      if length > room { (files, room) = (files + 1, 4096 - 22) }
      room -= length
    }
    #expect(names.count == files)
    #expect(try names.allSatisfy { try folder.contents($0).count <= 4096 })
    #expect(try names.dropLast().allSatisfy { try folder.contents($0).count > 4090 })
    #expect(try rows(names) == Array(0..<20_000))
    #expect(folder.names(hidden: true) == [])
    #expect(output.counters.sentRecords == 20_000)
    #expect(output.counters.lostRecords == 0)
  }

  @Test("IPFIX: each file has its templates first, also where it begins within a batch, and numbers go on")
  func messagesBySize() throws {
    let exporter = IPFIXOutput(
      MessageStream.Configuration(), transport: FileTransport(try writer("flows.ipfix", "rotate=8K")))
    for number in 0..<20_000 as Range<UInt32> { exporter.append(number: number) }
    exporter.close()
    let names = folder.names()
    #expect(names.count > 5)
    var next: UInt32 = 0
    for name in names {
      let bytes = try folder.contents(name)
      #expect(bytes.count <= 8192)
      var decoder = MessageDecoder()
      let messages = try decoder.decodeAll(bytes)
      #expect(messages.allSatisfy { $0.unknownSets == 0 })
      #expect(messages.first?.templates.isEmpty == false)
      #expect(sequenceIsRight(messages, from: next))
      let numbers = messages.flatMap(\.records).compactMap(\.number)
      #expect(numbers == Array(next..<next + UInt32(numbers.count)))
      next += UInt32(numbers.count)
    }
    #expect(next == 20_000)
  }

  @Test("a record that is longer than a file may be has one of its own")
  func longRecords() throws {
    let file = try writer("long", "rotate=4K")
    for letter in ["a", "b", "c"] as [Unicode.Scalar] {
      let line = [UInt8](repeating: UInt8(ascii: letter), count: 5000) + [UInt8(ascii: "\n")]
      line.withUnsafeBytes { file.push(SharedBytes(copying: Bytes($0)), header: SharedBytes(), records: 1) }
    }
    file.close()
    #expect(folder.names() == ["long", "long.1", "long.2"])
    #expect(try folder.names().map { try folder.contents($0).count } == [5001, 5001, 5001])
    #expect(file.counters.sentRecords == 3)
  }

  @Test("a file has its name when it is complete, and takes no other's")
  func completeness() throws {
    try "precious\n".write(toFile: "\(folder.path)/flows.csv", atomically: false, encoding: .utf8)
    let output = try csv("flows.csv", "rotate=1d")
    add(0..<10, to: output)
    output.tick(now: .current)
    #expect(wait { (try? folder.lines(".flows.csv.part").count) == 11 })
    #expect(folder.names() == ["flows.csv"])
    output.reopen()
    #expect(wait { folder.names().count == 2 })
    #expect(try rows(["flows.1.csv"]) == Array(0..<10))
    add(10..<20, to: output)
    output.close()
    #expect(try folder.lines("flows.csv") == ["precious"])
    #expect(try rows(folder.names().filter { $0 != "flows.csv" }) == Array(0..<20))
    #expect(folder.names(hidden: true) == [])
  }

  @Test("a file without records has its heading; of IPFIX all templates, with the next record's number")
  func emptyFiles() throws {
    let exporter = IPFIXOutput(
      MessageStream.Configuration(), transport: FileTransport(try writer("flows", "rotate=1d")))
    for number in 0..<100 as Range<UInt32> { exporter.append(number: number) }
    for _ in 0..<3 { exporter.reopen() }
    exporter.close()
    #expect(folder.names() == ["flows", "flows.1", "flows.2", "flows.3"])
    for name in ["flows.1", "flows.2", "flows.3"] {
      var decoder = MessageDecoder()
      let messages = try decoder.decodeAll(folder.contents(name))
      #expect(messages.flatMap(\.templates).count == 1)
      #expect(messages.flatMap(\.records).isEmpty)
      #expect(sequenceIsRight(messages, from: 100))
      #expect(messages.allSatisfy { $0.sequence == 100 })
    }
  }

  @Test("time alone completes a file")
  func time() throws {
    let output = try csv("%s.csv", "rotate=1s")
    add(0..<10, to: output)
    output.tick(now: .current)
    #expect(wait { folder.names().count >= 3 })
    output.close()
    let times = folder.names().compactMap { Int($0.dropLast(4)) }
    #expect(times == Array(times[0]..<times[0] + times.count))
    #expect(try rows(folder.names()) == Array(0..<10))
  }

  @Test("a folder that vanishes costs what was in the file, counted; the next file goes into its successor")
  func vanishingFolder() throws {
    let output = try csv("flows.csv", "rotate=1d")
    add(0..<100, to: output)
    output.tick(now: .current)
    #expect(wait { output.counters.sentRecords == 100 })
    folder.remove()
    add(100..<200, to: output)
    output.tick(now: .current)
    #expect(wait { output.counters.lostRecords == 100 })
    #expect(wait { output.status.contains("cannot create") })
    try folder.make()
    #expect(wait { output.counters.sentRecords == 100 })
    output.close()
    #expect(try rows(folder.names()) == Array(100..<200))
    #expect(output.counters.sentRecords == 100)
    #expect(output.counters.lostRecords == 100)
    #expect(output.failure == nil)
  }

  @Test("a folder that cannot be written is an error at once")
  func unwritable() {
    #expect(throws: ExportError.cannotOpen(path: "/no/such/place/x-1", code: ENOENT)) {
      try FileWriter(
        path: nil, policy: .drop, options: ExportURL(parsing: "json:/no/such/place/x-1?rotate=1d").file)
    }
  }

  @Test("what a killed run left is found, and what a running one writes is not")
  func leftovers() throws {
    let series = FileSeries(try FilePattern("\(folder.path)/f-%H.json"), FileRotation())
    #expect(series.leftovers() == [])
    for name in [
      ".f-07.json.part", ".f-08.1.json.part", ".g-07.json.part", "f-07.json.part", ".f-07.csv.part",
    ] {
      try "".write(toFile: "\(folder.path)/\(name)", atomically: false, encoding: .utf8)
    }
    var running = series
    let descriptor = try running.begin(now: Clock.system())
    defer { close(descriptor) }
    #expect(series.leftovers().filter { $0 != running.temporary }.count == 2)
    #expect(!series.leftovers().contains(running.temporary))
  }

  @Test("a compressed file is one frame with all records, as small as if they had come at once")
  func compressed() throws {
    func write(_ name: String, ticks: Bool) throws -> [UInt8] {
      let output = try csv(name, "compress=zstd")
      for number in 0..<20_000 as Range<UInt32> {
        output.append { $0.unsigned32(counterElement, number) }
        if ticks, number % 10 == 0 { output.tick(now: .current) }
      }
      output.close()
      #expect(output.counters.sentRecords == 20_000)
      let bytes = try folder.contents(name)
      #expect(output.counters.bytes == UInt64(bytes.count))
      return bytes
    }
    let (whole, pieces) = (try write("whole.zst", ticks: false), try write("pieces.zst", ticks: true))
    #expect(pieces.count < whole.count + whole.count / 50)
    for bytes in [whole, pieces] {
      // One frame: its end is the file's.
      #expect(bytes.withUnsafeBytes { ZSTD_findFrameCompressedSize($0.baseAddress, $0.count) } == bytes.count)
      var plain = [UInt8](repeating: 0, count: 1 << 20)
      let capacity = plain.count
      let count = plain.withUnsafeMutableBytes { target in
        bytes.withUnsafeBytes { ZSTD_decompress(target.baseAddress, capacity, $0.baseAddress, $0.count) }
      }
      #expect(ZSTD_isError(count) == 0)
      let lines = String(decoding: plain[..<min(count, capacity)], as: UTF8.self).split(separator: "\n")
      #expect(lines.dropFirst().compactMap { UInt32($0) } == Array(0..<20_000))
    }
  }

  @Test("compressed files that are rotated: a frame each, and every record in one of them")
  func compressedBySize() throws {
    let exporter = IPFIXOutput(
      MessageStream.Configuration(),
      transport: FileTransport(try writer("flows", "rotate=4K&compress=zstd&level=1")))
    for number in 0..<200_000 as Range<UInt32> { exporter.append(number: number) }
    exporter.close()
    #expect(folder.names().count > 1)
    var next: UInt32 = 0
    for name in folder.names() {
      let bytes = try folder.contents(name)
      var plain = [UInt8](repeating: 0, count: 4 << 20)
      let capacity = plain.count
      let count = plain.withUnsafeMutableBytes { target in
        bytes.withUnsafeBytes { ZSTD_decompress(target.baseAddress, capacity, $0.baseAddress, $0.count) }
      }
      #expect(ZSTD_isError(count) == 0)
      var decoder = MessageDecoder()
      let messages = try decoder.decodeAll(Array(plain[..<min(count, capacity)]))
      #expect(messages.allSatisfy { $0.unknownSets == 0 })
      let numbers = messages.flatMap(\.records).compactMap(\.number)
      #expect(numbers == Array(next..<next + UInt32(numbers.count)))
      next += UInt32(numbers.count)
    }
    #expect(next == 200_000)
  }

  @Test("where lines and messages end, and what a file has that begins there")
  func boundaries() throws {
    let text = Array("abc\nde\n\nfghij\n".utf8)
    let bytes = text.withUnsafeBytes { SharedBytes(copying: Bytes($0)) }
    let lines = FileChunk(bytes, header: SharedBytes(), records: 4, units: GrowableList())
    #expect(
      (-1...14).map { lines.boundary(behind: $0) } == [4, 4, 4, 4, 4, 7, 7, 7, 8, 14, 14, 14, 14, 14, 14, 14])
    #expect(lines.heading.isEmpty)
    var units = GrowableList<FileChunk.Unit>()
    units.append(FileChunk.Unit(end: 20, records: 3))
    units.append(FileChunk.Unit(end: 40, records: 2))
    // Two messages with the numbers 7 and 10, before whose records there are templates.
    var contents = OwnedBytes(count: 40)
    contents.store(7 as UInt32, at: 8)
    contents.store(10 as UInt32, at: 28)
    let messages = FileChunk(
      SharedBytes(contents, count: 40), header: SharedBytes(OwnedBytes(count: 16), count: 16),
      headerWithin: SharedBytes(OwnedBytes(count: 32), count: 32), records: 5, units: units)
    #expect([0, 19, 20, 39, 40].map { messages.boundary(behind: $0) } == [20, 20, 40, 40, 40])
    func number(_ header: SharedBytes) -> UInt32 { header.withBytes { $0.load(UInt32.self, at: 8) } }
    #expect(messages.header(at: 0).count == 16 && number(messages.header(at: 0)) == 7)
    #expect(messages.header(at: 20).count == 32 && number(messages.header(at: 20)) == 10)
    #expect(messages.heading.count == 32 && number(messages.heading) == 12)
  }
}
