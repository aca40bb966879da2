// TCP export against a collector that is slow, goes away, comes back, or never was there.
import Foundation
import Glibc
import IPFIX
import Testing
import Wire

@testable import ExporterApp

@Suite(.serialized) struct ExporterTCPTests {
  @Test("all records arrive, in order, numbered, with templates first", arguments: ["127.0.0.1", "::1"])
  func arrives(_ host: String) throws {
    let collector = TCPCollector(ipv6: host == "::1")
    let transport = TCPTransport(host: host, port: collector.port, policy: .drop)
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    for number in 0..<5000 as Range<UInt32> { exporter.append(number: number, key: UInt64(number % 3)) }
    exporter.tick(now: .current)
    #expect(collector.accept())
    exporter.tick(now: .current)
    // Nobody reads while this thread closes, which waits for what was not read.
    collector.receive()
    exporter.close()
    collector.receive()
    let messages = try collector.messages()
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(0..<5000))
    #expect(sequenceIsRight(messages))
    #expect(messages.allSatisfy { $0.unknownSets == 0 })
    #expect(messages.flatMap(\.templates).count == 3)
    #expect(exporter.counters.sentRecords == 5000)
    #expect(exporter.counters.lostRecords == 0)
  }

  @Test(
    "the collector goes away and comes back: templates again, sequence from 0, losses counted, none silent")
  func reconnects() throws {
    let collector = TCPCollector()
    let transport = TCPTransport(host: "127.0.0.1", port: collector.port, policy: .drop)
    var now = Moment.current
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport, now: now)
    for number in 0..<100 as Range<UInt32> { exporter.append(number: number, key: UInt64(number % 2)) }
    func step() {
      now = now.later(seconds: 1)
      exporter.tick(now: now)
    }
    step()
    #expect(collector.accept())
    step()
    collector.receive()
    let first = try collector.messages().flatMap(\.records).compactMap(\.number)
    #expect(first == Array(0..<100))
    collector.hangUp()
    // The kernel may take its time to tell where the machine has much to do.
    for _ in 0..<1000 where !exporter.status.contains("closed") {
      usleep(10_000)
      step()
    }
    #expect(exporter.status.contains("closed"))
    // Nobody is there now; what is exported waits, with a new template among it.
    for number in 100..<300 as Range<UInt32> { exporter.append(number: number, key: UInt64(number % 3)) }
    step()
    step()
    #expect(collector.accept())
    step()
    exporter.close()
    collector.receive()
    let messages = try collector.messages()
    #expect(messages.flatMap(\.records).compactMap(\.number) == Array(100..<300))
    #expect(messages.flatMap(\.templates).map(\.identifier) == [258, 259, 260])
    #expect(messages.first?.templates.count == 3)
    #expect(sequenceIsRight(messages))
    #expect(exporter.counters.connections == 2)
    #expect(exporter.counters.lostRecords == 0)
    #expect(exporter.counters.sentRecords == 300)
  }

  @Test("a connection that breaks with data under way: what did not arrive is counted as lost")
  func breaks() throws {
    let collector = TCPCollector(receiveBuffer: 4096)
    let transport = TCPTransport(host: "127.0.0.1", port: collector.port, policy: .drop)
    var now = Moment.current
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport, now: now)
    exporter.tick(now: now)
    #expect(collector.accept())
    exporter.tick(now: now)
    for number in 0..<20000 as Range<UInt32> { exporter.append(number: number, padding: 200) }
    now = now.later(seconds: 1)
    exporter.tick(now: now)
    collector.receive(milliseconds: 20, atMost: 50000)
    let before = try collector.messages().flatMap(\.records).compactMap(\.number)
    collector.hangUp()
    usleep(10_000)
    for _ in 0..<4 {
      now = now.later(seconds: 1)
      exporter.tick(now: now)
      usleep(1000)
    }
    #expect(collector.accept())
    // The rest comes in the new connection while the exporter goes on.
    for _ in 0..<500 {
      exporter.tick(now: now)
      collector.receive(milliseconds: 1)
    }
    exporter.close()
    collector.receive()
    let messages = try collector.messages()
    let after = messages.flatMap(\.records).compactMap(\.number)
    #expect(sequenceIsRight(messages))
    #expect(after.last == 19999)
    // A record is never sent twice, and at most what was counted is missing: whatever was acknowledged but not
    // read by the collector before it died cannot be known here, so the count is a lower bound.
    let arrived = Set(before).union(after)
    #expect(arrived.count == before.count + after.count)
    let missing = 20000 - arrived.count
    #expect(missing > 0)
    #expect(exporter.counters.lostRecords > 0)
    #expect(exporter.counters.lostRecords <= UInt64(missing))
    #expect(exporter.counters.lostRecords + exporter.counters.sentRecords == 20000)
  }

  @Test(
    "live, a collector that does not read: records are dropped and counted, new templates still get through")
  func slowLive() throws {
    let collector = TCPCollector(receiveBuffer: 4096)
    let transport = TCPTransport(
      host: "127.0.0.1", port: collector.port, policy: .drop, queueCapacity: 1 << 17)
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    exporter.tick(now: .current)
    #expect(collector.accept())
    exporter.tick(now: .current)
    for number in 0..<40000 as Range<UInt32> { exporter.append(number: number, padding: 200) }
    // A template that nobody knows yet appears while everything is dropped.
    for number in 40000..<41000 as Range<UInt32> { exporter.append(number: number, key: 2, padding: 200) }
    let lost = exporter.counters.lostRecords
    #expect(lost > 0)
    for _ in 0..<2000 {
      exporter.tick(now: .current)
      collector.receive(milliseconds: 0)
    }
    for number in 41000..<41010 as Range<UInt32> { exporter.append(number: number, key: 2, padding: 200) }
    exporter.close()
    collector.receive()
    let messages = try collector.messages()
    let numbers = messages.flatMap(\.records).compactMap(\.number)
    #expect(messages.allSatisfy { $0.unknownSets == 0 })
    #expect(sequenceIsRight(messages))
    #expect(numbers.last == 41009)
    #expect(UInt64(numbers.count) + exporter.counters.lostRecords == 41010)
    #expect(exporter.counters.sentRecords == UInt64(numbers.count))
  }

  @Test("offline, a slow collector: nothing is lost")
  func slowOffline() async throws {
    let collector = TCPCollector(receiveBuffer: 4096)
    let port = collector.port
    // A thread of its own: the pool's threads are busy with other tests.
    let (results, result) = AsyncStream.makeStream(of: OutputCounters.self)
    Thread.detachNewThread {
      let transport = TCPTransport(
        host: "127.0.0.1", port: port, policy: .wait(seconds: 60), queueCapacity: 1 << 17)
      let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
      for number in 0..<20000 as Range<UInt32> { exporter.append(number: number, padding: 200) }
      exporter.close()
      result.yield(exporter.counters)
      result.finish()
    }
    #expect(collector.accept(milliseconds: 20_000))
    for _ in 0..<20 {
      usleep(5000)
      collector.receive(milliseconds: 10, atMost: collector.bytes.count + 100_000)
    }
    collector.receive(milliseconds: 30_000)
    let counters = try #require(await results.first { _ in true })
    collector.receive()
    let messages = try collector.messages()
    let isComplete = messages.flatMap(\.records).compactMap(\.number).elementsEqual(0..<20000)
    #expect(isComplete)
    #expect(counters.lostRecords == 0)
  }

  @Test("offline without a collector: waits as long as it was told, then goes on and counts")
  func absentOffline() {
    let transport = TCPTransport(
      host: "127.0.0.1", port: Loopback.unusedPort(SOCK_STREAM), policy: .wait(seconds: 0.3),
      queueCapacity: 1 << 17)
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    let start = Moment.current.monotonic
    for number in 0..<20000 as Range<UInt32> { exporter.append(number: number, padding: 200) }
    exporter.close()
    let seconds = Double(Moment.current.monotonic - start) / 1e9
    #expect(seconds > 0.25 && seconds < 5)
    #expect(exporter.counters.lostRecords == 20000)
    #expect(exporter.counters.errors > 0)
    #expect(exporter.status.contains("refused"))
  }

  @Test("live without a collector: nothing waits")
  func absentLive() {
    let transport = TCPTransport(
      host: "127.0.0.1", port: Loopback.unusedPort(SOCK_STREAM), policy: .drop, queueCapacity: 1 << 17)
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    for number in 0..<20000 as Range<UInt32> { exporter.append(number: number, padding: 200) }
    exporter.tick(now: .current)
    #expect(exporter.counters.lostRecords > 0)
    #expect(exporter.failure == nil)
  }

  @Test("close waits for what the collector has not acknowledged, and counts what it never does")
  func acknowledgement() throws {
    let collector = TCPCollector(receiveBuffer: 4096)
    let transport = TCPTransport(
      host: "127.0.0.1", port: collector.port, policy: .wait(seconds: 0.5))
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    exporter.tick(now: .current)
    #expect(collector.accept())
    exporter.tick(now: .current)
    // As much as the sending side's buffer takes, and more than the collector's: it stays there for ever.
    for number in 0..<400 as Range<UInt32> { exporter.append(number: number, padding: 200) }
    let start = Moment.current.monotonic
    exporter.close()
    let seconds = Double(Moment.current.monotonic - start) / 1e9
    #expect(seconds > 0.4 && seconds < 5)
    #expect(exporter.counters.lostRecords > 0)
    #expect(exporter.counters.lostRecords + exporter.counters.sentRecords == 400)
    #expect(!exporter.status.isEmpty)
  }

  @Test("a collector that does not answer is said within two seconds")
  func silence() {
    // A listener whose queue is full does not answer any more.
    let (listener, port) = Loopback.bound(SOCK_STREAM)
    defer { close(listener) }
    listen(listener, 0)
    var fillers: [TCPTransport] = []
    for _ in 0..<4 {
      fillers.append(TCPTransport(host: "127.0.0.1", port: port, policy: .drop))
      _ = fillers.last?.tick(now: .current) { SharedBytes() }
    }
    let transport = TCPTransport(host: "127.0.0.1", port: port, policy: .drop)
    let now = Moment.current
    _ = transport.tick(now: now) { SharedBytes() }
    usleep(10_000)
    _ = transport.tick(now: now.later(seconds: 1.8)) { SharedBytes() }
    #expect(transport.status.contains("no answer"))
  }
}
