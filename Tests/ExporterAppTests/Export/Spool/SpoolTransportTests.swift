// A TCP export with a spool: the collector goes, the exporter ends, both come back, and each record arrives.
import Foundation
import Glibc
import IPFIX
import IPFIXDecoding
import Testing
import Wire

@testable import ExporterApp

@Suite(.serialized) struct SpoolTransportTests {
  private let directory = TemporaryDirectory()

  private func makeSpool(octets: Int = 1 << 24) throws -> Spool {
    var settings = try SpoolSettings("\(directory.path),1M")
    settings.octets = octets
    return try Spool(settings, name: "c")
  }

  private func makeExporter(_ port: UInt16, octets: Int = 1 << 24, queue: Int = 1 << 20) throws -> IPFIXOutput
  {
    let transport = SpoolTransport(
      TCPConnection(host: "127.0.0.1", port: port), name: "tcp://127.0.0.1:\(port)",
      spool: try makeSpool(octets: octets), policy: .drop, queueCapacity: queue)
    return IPFIXOutput(MessageStream.Configuration(), transport: transport)
  }

  private func settle(_ exporter: IPFIXOutput, _ collector: TCPCollector, until isDone: () -> Bool) {
    for _ in 0..<4000 where !isDone() {
      exporter.tick(now: .current)
      collector.receive(milliseconds: 1)
    }
  }

  /// Closes the exporter while the collector reads the rest and ends its side, which says that it has read everything.
  private func finish(_ exporter: IPFIXOutput, _ collector: TCPCollector) {
    // Safe: the thread has it until it signals.
    nonisolated(unsafe) let reader = collector
    let isDone = DispatchSemaphore(value: 0)
    // A thread of its own: on a queue it would wait behind other tests, and the exporter's patience with its collector ends.
    Thread.detachNewThread {
      usleep(200_000)
      reader.receive()
      reader.hangUp()
      isDone.signal()
    }
    exporter.close()
    isDone.wait()
  }

  @Test("without an outage nothing is written, and all arrives")
  func healthy() throws {
    let collector = TCPCollector()
    let exporter = try makeExporter(collector.port)
    exporter.tick(now: .current)
    #expect(collector.accept())
    for number in 0..<3000 as Range<UInt32> { exporter.append(number: number, key: UInt64(number % 3)) }
    settle(exporter, collector) { exporter.counters.sentRecords == 3000 }
    finish(exporter, collector)
    let messages = try collector.messages()
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(0..<3000))
    #expect(sequenceIsRight(messages) && messages.flatMap(\.templates).count == 3)
    #expect(exporter.counters.spooled == 0 && exporter.counters.lostRecords == 0)
    #expect(directory.segments().isEmpty)
  }

  @Test("what does not fit into memory waits on the disk, and arrives in order over a new session")
  func outage() throws {
    let collector = TCPCollector()
    let port = collector.port
    let exporter = try makeExporter(port)
    exporter.tick(now: .current)
    #expect(collector.accept())
    exporter.append(number: 0)
    settle(exporter, collector) { exporter.counters.sentRecords == 1 }
    collector.hangUp()
    for _ in 0..<1000 where !exporter.status.contains("closed") {
      usleep(10_000)
      exporter.tick(now: .current)
    }
    for number in 1..<16000 as Range<UInt32> {
      exporter.append(number: number, key: UInt64(number / 4000), padding: 200)
      // As fast as the disk, whatever else the machine does.
      for _ in 0..<5000 where UInt64(number) > exporter.counters.spooled + 3000 {
        usleep(1000)
        exporter.tick(now: .current)
      }
    }
    exporter.tick(now: .current)
    #expect(exporter.counters.spooled > 10000 && exporter.counters.lostRecords == 0)
    var isAccepted = false
    for _ in 0..<3000 where !isAccepted {
      exporter.tick(now: .current)
      isAccepted = collector.accept(milliseconds: 1)
    }
    settle(exporter, collector) { exporter.counters.sentRecords == 16000 }
    finish(exporter, collector)
    let messages = try collector.messages()
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(1..<16000))
    #expect(messages.allSatisfy { $0.unknownSets == 0 } && sequenceIsRight(messages))
    let counters = exporter.counters
    #expect(counters.spoolDelivered > 0 && counters.spoolWaiting == 0 && counters.repeated == 0)
    #expect(directory.segments().isEmpty)
  }

  @Test("what a run leaves goes to the collector before the next run's, in a session of its own")
  func twoRuns() throws {
    let absent = Loopback.unusedPort(SOCK_STREAM)
    for run in 0..<2 as Range<UInt32> {
      let exporter = try makeExporter(absent)
      // The runs have the same template numbers.
      for number in 0..<1000 as Range<UInt32> {
        exporter.append(
          number: run * 1000 + number, key: UInt64(run + number % 2), padding: run == 0 ? 40 : 60)
      }
      exporter.close()
      #expect(exporter.counters.lostRecords == 0 && exporter.counters.spoolWaiting == UInt64(run + 1) * 1000)
    }
    let collector = TCPCollector()
    let exporter = try makeExporter(collector.port)
    exporter.append(number: 2000)
    var records: [UInt32] = []
    for session in 0..<3 {
      var isAccepted = false
      for _ in 0..<3000 where !isAccepted {
        exporter.tick(now: .current)
        isAccepted = collector.accept(milliseconds: 1)
      }
      #expect(isAccepted)
      settle(exporter, collector) { exporter.counters.sentRecords >= UInt64(min(2001, (session + 1) * 1000)) }
      collector.receive()
      let messages = try collector.messages()
      collector.hangUp()
      #expect(sequenceIsRight(messages) && messages.allSatisfy { $0.unknownSets == 0 })
      records += messages.flatMap(\.records).compactMap(\.number)
    }
    #expect(records == Array(0...2000))
    exporter.close()
    #expect(exporter.counters.spoolDelivered == 2000 && directory.segments().isEmpty)
  }

  @Test("a full spool drops the newest, and says how many")
  func full() throws {
    let exporter = try makeExporter(Loopback.unusedPort(SOCK_STREAM), octets: 1 << 18, queue: 1 << 18)
    for number in 0..<20000 as Range<UInt32> {
      exporter.append(number: number, padding: 200)
      if number % 1000 == 0 { usleep(2000) }
    }
    exporter.close()
    let counters = exporter.counters
    #expect(counters.lostRecords > 0 && counters.lostRecords + counters.spoolWaiting == 20000)
    #expect(counters.spoolFull > 0 && counters.spoolFull + counters.queueFull == counters.lostRecords)
    #expect(
      directory.segments().reduce(0) { $0 + (FileManager.default.contents(atPath: $1)?.count ?? 0) } <= 1
        << 18)
  }

  @Test("records that a killed run had taken and not written are counted by the next")
  func killed() throws {
    do {
      // Taken, and never told to be written: as if the process had ended here.
      let spool = try makeSpool()
      var progress = SpoolState()
      progress.taken = SpoolPosition(message: 4, record: 100)
      progress.resume = SpoolPosition(message: 1, record: 30)
      spool.note(progress, keep: 1)
      let state = "\(directory.path)/c/state"
      for _ in 0..<1000 where FileManager.default.contents(atPath: state)?[39] != 100 { usleep(1000) }
      let bytes = try #require(FileManager.default.contents(atPath: state))
      spool.close(deadline: .max)
      try bytes.write(to: URL(fileURLWithPath: state))
    }
    let spool = try makeSpool()
    #expect(spool.lostBefore == 70)
    #expect(spool.resume == SpoolPosition(message: 1, record: 30) && spool.start == spool.resume)
    spool.close(deadline: .max)
    #expect(try makeSpool().lostBefore == 0)
  }

  @Test("what a reset makes doubtful is sent again, and what was read before an orderly end is not")
  func window() {
    var window = SentWindow(at: SpoolPosition())
    window.begin(at: SpoolPosition(), preamble: 100)
    for number in 1...10 as ClosedRange<UInt64> {
      window.enqueue(
        octets: 1000, records: 2, place: SpoolPosition(message: number, record: number * 2),
        isSpooled: number <= 3)
    }
    window.noteSent(100 + 6500)
    // Octets 100 to 4100 are acknowledged: four messages, of which three came from the disk.
    #expect(window.confirm(unacknowledged: 2500) == SentWindow.Count(records: 8, spooled: 6))
    #expect(window.confirmed.message == 4 && window.kept.message == 0)
    let (takenBack, repeated) = window.end(inOrder: true)
    // Messages 5 and 6 were sent, and 7 in part.
    #expect(takenBack == SentWindow.Count() && repeated == 6 && window.confirmed.message == 4)
    window.begin(at: window.confirmed, preamble: 0)
    window.enqueue(octets: 1000, records: 2, place: SpoolPosition(message: 5, record: 10), isSpooled: false)
    window.noteSent(1000)
    #expect(window.confirm(unacknowledged: 0).records == 2)
    let reset = window.end(inOrder: false)
    #expect(reset.takenBack.records == 2 && reset.repeated == 2 && window.confirmed.message == 4)
  }
}
