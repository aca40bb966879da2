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
private func openLog(_ directory: TemporaryDirectory, limit: Int = 1 << 20, run: UInt64 = 1) throws
  -> SpoolLog
{
  SpoolLog(try SpoolDirectory(directory.path, name: "c"), limit: limit, run: run)
}

/// Writes a chunk from unit `unit` on: what became of it, and the unit that is to be written next.
private func write(
  _ chunk: SpoolChunk, from unit: Int = 0, to log: inout SpoolLog
) -> (outcome: SpoolLog.Outcome, unit: Int) {
  var unit = unit
  let outcome = log.append(chunk, from: &unit)
  return (outcome, unit)
}

/// The numbers of all messages from `number` on that can be read.
private func numbers(_ log: borrowing SpoolLog, from number: UInt64 = 0) -> [UInt64] {
  var reader = SpoolReader()
  reader.seek(number)
  var found: [UInt64] = []
  while let chunk = reader.next(log) {
    _ = chunk.forEach(from: 0) { message, unit, place in
      #expect(message.load(UInt64.self, at: 20) == place.message && unit.records == 3)
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
      var log = try openLog(directory)
      let first = write(chunk(0..<50), to: &log)
      #expect(first.outcome == .done && first.unit == 50)
      let second = write(chunk(50..<60), to: &log)
      #expect(second.outcome == .done && second.unit == 10)
      let end = log.end
      #expect(end == SpoolPosition(message: 60, record: 180))
      for start in 0...60 as ClosedRange<UInt64> {
        let found = numbers(log, from: start)
        #expect(found == Array(start..<60))
      }
    }
    let log = try openLog(directory, run: 2)
    let (first, end, found) = (log.first, log.end, numbers(log))
    #expect(end == SpoolPosition(message: 60, record: 180) && first == SpoolPosition())
    #expect(found == Array(0..<60))
  }

  @Test("a segment that is torn off at any octet gives the messages before")
  func torn() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try openLog(directory)
      let written = write(chunk(0..<3), to: &log)
      #expect(written.outcome == .done && written.unit == 3)
    }
    let path = try #require(directory.segments().first)
    let whole = try #require(FileManager.default.contents(atPath: path))
    let frame = SpoolFrame.headerLength + message(0).count
    #expect(whole.count == SegmentHeader.fixedLength + 3 * frame)
    for length in 0...whole.count {
      try whole.prefix(length).write(to: URL(fileURLWithPath: path))
      let log = try openLog(directory)
      let count = max(0, length - SegmentHeader.fixedLength) / frame
      let (found, end) = (numbers(log), log.end)
      #expect(found == Array(0..<UInt64(count)))
      #expect(end.message == UInt64(count))
      // One without a whole header is put aside.
      try? FileManager.default.removeItem(atPath: path + ".damaged")
    }
  }

  @Test("an octet that changed costs its message, and those behind it where it is in a length")
  func changed() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try openLog(directory)
      let written = write(chunk(0..<3), to: &log)
      #expect(written.outcome == .done && written.unit == 3)
    }
    let path = try #require(directory.segments().first)
    let whole = try #require(FileManager.default.contents(atPath: path))
    let frame = SpoolFrame.headerLength + message(0).count
    for octet in SegmentHeader.fixedLength..<whole.count {
      var damaged = whole
      damaged[octet] ^= 0x10
      try damaged.write(to: URL(fileURLWithPath: path))
      let hit = UInt64((octet - SegmentHeader.fixedLength) / frame)
      let log = try openLog(directory)
      let found = numbers(log)
      let isLength = (octet - SegmentHeader.fixedLength) % frame < 4
      if isLength {
        #expect(found.starts(with: 0..<hit) && !found.contains(hit))
      } else {
        #expect(found == (0..<3).filter { $0 != hit })
      }
    }
  }

  @Test("the bound holds, segments are rotated, and what is delivered makes room")
  func bounded() throws {
    let directory = TemporaryDirectory()
    var log = try openLog(directory, limit: 1 << 16)
    let all = chunk(0..<200, padding: 1000)
    var written = write(all, to: &log)
    let first = written.unit
    var (found, octets) = (numbers(log), log.octets)
    #expect(written.outcome == .full && first > 50 && octets <= 1 << 16)
    #expect(directory.segments().count > 4)
    #expect(found == Array(0..<UInt64(first)))
    log.remove(below: UInt64(first / 2))
    written = write(all, from: first, to: &log)
    let unit = written.unit
    (found, octets) = (numbers(log, from: UInt64(first / 2)), log.octets)
    #expect(written.outcome == .full && unit > first && octets <= 1 << 16)
    #expect(found == Array(UInt64(first / 2)..<UInt64(unit)))
    log.remove(below: UInt64(unit))
    octets = log.octets
    #expect(directory.segments().isEmpty && octets == 0)
    written = write(all, from: unit, to: &log)
    #expect(written.unit > unit)
  }

  @Test("a gap in the numbers begins a segment, and each run has its own")
  func gap() throws {
    let directory = TemporaryDirectory()
    do {
      var log = try openLog(directory, run: 7)
      _ = write(chunk(0..<5, run: 7), to: &log)
      _ = write(chunk(9..<12, run: 7), to: &log)
      #expect(directory.segments().count == 2)
    }
    var log = try openLog(directory, run: 8)
    log.begin(at: log.end)
    _ = write(chunk(12..<14, run: 8), to: &log)
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
