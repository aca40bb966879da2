// The log of a spool on the disk: what is written is read again, whatever is torn off, changed or missing.
import Foundation
import Glibc
import IPFIX
import Testing
import Wire

@testable import ExporterApp

/// A directory that goes with the test.
final class TemporaryDirectory {
  let path: String

  init() {
    path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
    mkdir(path, 0o700)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The segments of the collector `name`, the oldest first.
  func segments(of name: String = "c") -> [String] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(name)")) ?? []
    return all.filter { $0.hasSuffix(".segment") }.sorted().map { "\(path)/\(name)/\($0)" }
  }
}

/// A message with a header of 16 octets, a data set that begins with its number, and `padding` octets.
private func message(_ number: UInt64, padding: Int = 40) -> [UInt8] {
  let length = 16 + 4 + 8 + padding
  var bytes: [UInt8] = [0, 10, UInt8(length >> 8), UInt8(length & 255)] + [UInt8](repeating: 0, count: 12)
  bytes += [1, 2, UInt8((length - 16) >> 8), UInt8((length - 16) & 255)]
  bytes += (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
  return bytes + [UInt8](repeating: 0xAB, count: padding)
}

/// Messages `numbers` with three records each.
private func chunk(_ numbers: Range<UInt64>, run: UInt64 = 1, padding: Int = 40) -> SpoolChunk {
  var bytes: [UInt8] = []
  var units = GrowableList<SpoolChunk.Unit>()
  for number in numbers {
    bytes += message(number, padding: padding)
    units.append(SpoolChunk.Unit(end: bytes.count, records: 3))
  }
  let copy = bytes.withUnsafeBytes { SharedBytes(copying: Bytes($0)) }
  return SpoolChunk(
    copy, units: units, run: run, templates: SharedBytes(),
    first: SpoolPosition(message: numbers.lowerBound, record: numbers.lowerBound * 3))
}

/// Opens the log in a directory that nobody else has.
private func log(_ directory: TemporaryDirectory, limit: Int = 1 << 20, run: UInt64 = 1) throws -> SpoolLog {
  SpoolLog(try SpoolDirectory(directory.path, name: "c"), limit: limit, run: run)
}

/// The numbers of all messages from `number` on that can be read.
private func numbers(_ log: borrowing SpoolLog, from number: UInt64 = 0) -> [UInt64] {
  var reader = SpoolReader()
  reader.seek(number)
  var found: [UInt64] = []
  while let chunk = reader.next(log) {
    _ = chunk.forEach(from: 0) { message, records, place in
      #expect(message.load(UInt64.self, at: 20) == place.message && records == 3)
      #expect(place.record == place.message * 3)
      found.append(place.message)
      return true
    }
  }
  return found
}

@Suite struct SpoolLogTests {
  @Test("a CRC32C is what RFC 3720 section B.4 says it is")
  func checksum() {
    let zeros = [UInt8](repeating: 0, count: 32)
    let counting = [UInt8](0..<32)
    #expect(zeros.withUnsafeBytes { SpoolFormat.checksum(Bytes($0)) } == 0x8A91_36AA)
    #expect(counting.withUnsafeBytes { SpoolFormat.checksum(Bytes($0)) } == 0x46DD_794E)
    let parts = counting.withUnsafeBytes { bytes in
      SpoolFormat.checksum(Bytes(bytes).prefix(13), Bytes(bytes).dropFirst(13))
    }
    #expect(parts == 0x46DD_794E)
  }

  @Test("what is written is read again, from any message on, also by the next run")
  func roundTrip() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try log(directory)
      var unit = 0
      #expect(log.append(chunk(0..<50), from: &unit) == .done && unit == 50)
      unit = 0
      #expect(log.append(chunk(50..<60), from: &unit) == .done)
      #expect(log.end == SpoolPosition(message: 60, record: 180))
      for start in 0...60 as ClosedRange<UInt64> { #expect(numbers(log, from: start) == Array(start..<60)) }
    }
    let log = try log(directory, run: 2)
    #expect(log.end == SpoolPosition(message: 60, record: 180) && log.first == SpoolPosition())
    #expect(numbers(log) == Array(0..<60))
  }

  @Test("a segment that is torn off at any octet gives the messages before")
  func torn() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try log(directory)
      var unit = 0
      #expect(log.append(chunk(0..<5), from: &unit) == .done)
    }
    let path = try #require(directory.segments().first)
    let whole = try #require(FileManager.default.contents(atPath: path))
    let frame = SpoolFrame.headerLength + message(0).count
    #expect(whole.count == SegmentHeader.fixedLength + 5 * frame)
    for length in 0...whole.count {
      try whole.prefix(length).write(to: URL(fileURLWithPath: path))
      let log = try log(directory)
      let count = max(0, length - SegmentHeader.fixedLength) / frame
      #expect(numbers(log) == Array(0..<UInt64(count)))
      #expect(log.end.message == UInt64(count))
      // One without a whole header is put aside.
      try? FileManager.default.removeItem(atPath: path + ".damaged")
    }
  }

  @Test("an octet that changed costs its message, and those behind it where it is in a length")
  func changed() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try log(directory)
      var unit = 0
      #expect(log.append(chunk(0..<5), from: &unit) == .done)
    }
    let path = try #require(directory.segments().first)
    let whole = try #require(FileManager.default.contents(atPath: path))
    let frame = SpoolFrame.headerLength + message(0).count
    for octet in SegmentHeader.fixedLength..<whole.count {
      var damaged = whole
      damaged[octet] ^= 0x10
      try damaged.write(to: URL(fileURLWithPath: path))
      let hit = UInt64((octet - SegmentHeader.fixedLength) / frame)
      let log = try log(directory)
      let found = numbers(log)
      let isLength = (octet - SegmentHeader.fixedLength) % frame < 4
      if isLength {
        #expect(found.starts(with: 0..<hit) && !found.contains(hit))
      } else {
        #expect(found == (0..<5).filter { $0 != hit })
      }
    }
  }

  @Test("the bound holds, segments are rotated, and what is delivered makes room")
  func bounded() throws {
    let directory = TemporaryDirectory()
    var log = try log(directory, limit: 1 << 16)
    var unit = 0
    let all = chunk(0..<200, padding: 1000)
    #expect(log.append(all, from: &unit) == .full)
    let first = unit
    #expect(first > 50 && log.octets <= 1 << 16)
    #expect(directory.segments().count > 4)
    #expect(numbers(log) == Array(0..<UInt64(first)))
    log.remove(below: UInt64(first / 2))
    #expect(log.append(all, from: &unit) == .full)
    #expect(unit > first && log.octets <= 1 << 16)
    #expect(numbers(log, from: UInt64(first / 2)) == Array(UInt64(first / 2)..<UInt64(unit)))
    log.remove(below: UInt64(unit))
    #expect(directory.segments().isEmpty && log.octets == 0)
    #expect(log.append(all, from: &unit) == .full || unit == 200)
  }

  @Test("a gap in the numbers begins a segment, and each run has its own")
  func gap() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try log(directory, run: 7)
      var unit = 0
      #expect(log.append(chunk(0..<5, run: 7), from: &unit) == .done)
      unit = 0
      #expect(log.append(chunk(9..<12, run: 7), from: &unit) == .done)
      #expect(directory.segments().count == 2)
    }
    var log = try log(directory, run: 8)
    log.begin(at: log.end)
    var unit = 0
    #expect(log.append(chunk(12..<14, run: 8), from: &unit) == .done)
    var reader = SpoolReader()
    reader.seek(3)
    var runs: [UInt64] = []
    var firsts: [UInt64] = []
    while let chunk = reader.next(log) {
      runs.append(chunk.run)
      firsts.append(chunk.first.message)
    }
    #expect(runs == [7, 7, 8] && firsts == [3, 9, 12])
  }

  @Test("one at a time has a directory; the next one waits for nothing but its release")
  func lock() throws {
    let directory = TemporaryDirectory()
    var first = try SpoolDirectory(directory.path, name: "c")
    #expect(throws: ExportError.spoolInUse(path: "\(directory.path)/c")) {
      _ = try SpoolDirectory(directory.path, name: "c").path
    }
    first.release()
    _ = try SpoolDirectory(directory.path, name: "c").path
  }

  @Test("names are safe, and those of different collectors differ")
  func names() {
    #expect(SpoolDirectory.name(["tcp", "collector.example", "4739"]) == "tcp_collector.example_4739")
    #expect(SpoolDirectory.name(["tcp", "fd77::1%eth0", "4739"]) == "tcp_fd77%3A%3A1%25eth0_4739")
    #expect(SpoolDirectory.name(["tcp", "a_b/..", "1"]) == "tcp_a%5Fb%2F.._1")
  }
}
