// UDP export against a collector on the loopback, and against none.
import Glibc
import IPFIX
import Testing

@testable import ExporterApp

@Suite(.serialized) struct ExporterUDPTests {
  @Test(
    "all records arrive, in order, numbered, with templates first",
    arguments: ["127.0.0.1", "::1", "localhost"])
  func arrives(_ host: String) throws {
    let collector = UDPCollector(ipv6: host == "::1")
    var configuration = MessageStream.Configuration()
    configuration.observationDomain = 9
    let transport = UDPTransport(host: host, port: collector.port, policy: .wait(seconds: 5))
    let exporter = IPFIXOutput(configuration, transport: transport)
    for number in 0..<5000 as Range<UInt32> {
      exporter.append(number: number, key: UInt64(number % 3))
      if number % 500 == 0 { try collector.receive(milliseconds: 0) }
    }
    exporter.close()
    try collector.receive()
    // "localhost" may be ::1 first, where nobody listens: then nothing arrives and nothing breaks.
    if host == "localhost" && collector.messages.isEmpty { return }
    #expect(collector.records.compactMap(\.number) == Array(0..<5000))
    #expect(sequenceIsRight(collector.messages))
    #expect(collector.messages.allSatisfy { $0.unknownSets == 0 && $0.length <= 1458 })
    #expect(collector.messages.allSatisfy { $0.observationDomain == 9 })
    #expect(exporter.counters.sentRecords == 5000)
    #expect(exporter.counters.lostRecords == 0)
    #expect(exporter.counters.messages == UInt64(collector.messages.count))
  }

  @Test("a waiting record leaves within a second, templates are repeated on time")
  func ticks() throws {
    let collector = UDPCollector()
    var configuration = MessageStream.Configuration()
    configuration.templateRefresh = 600
    let start = Moment.current
    let transport = UDPTransport(host: "127.0.0.1", port: collector.port, policy: .drop)
    let exporter = IPFIXOutput(configuration, transport: transport, now: start)
    exporter.append(number: 1)
    exporter.tick(now: start.later(seconds: 0.1))
    try collector.receive(milliseconds: 20)
    #expect(collector.messages.isEmpty)
    exporter.tick(now: start.later(seconds: 1))
    try collector.receive()
    #expect(collector.records.count == 1)
    #expect(collector.messages.first?.exportTime == start.unixSeconds &+ 1)
    exporter.tick(now: start.later(seconds: 599))
    try collector.receive(milliseconds: 20)
    #expect(collector.messages.flatMap(\.templates).count == 1)
    exporter.tick(now: start.later(seconds: 702))
    exporter.tick(now: start.later(seconds: 704))
    try collector.receive()
    #expect(collector.messages.flatMap(\.templates).count == 2)
  }

  @Test("no collector: the program goes on, and one that starts later gets templates and data")
  func absent() throws {
    let port = Loopback.unusedPort()
    let transport = UDPTransport(host: "127.0.0.1", port: port, policy: .drop)
    var now = Moment.current
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport, now: now)
    for number in 0..<2000 as Range<UInt32> { exporter.append(number: number) }
    now = now.later(seconds: 1)
    exporter.tick(now: now)
    exporter.append(number: 0)
    now = now.later(seconds: 1)
    exporter.tick(now: now)
    #expect(exporter.counters.errors > 0)
    #expect(exporter.failure == nil)
    #expect(exporter.status.contains("refused"))

    let collector = UDPCollector(port: port)
    for number in 5000..<5010 as Range<UInt32> {
      now = now.later(seconds: 1)
      exporter.tick(now: now)
      exporter.append(number: number)
    }
    exporter.close()
    try collector.receive()
    #expect(collector.messages.contains { !$0.templates.isEmpty })
    #expect(collector.records.compactMap(\.number).last == 5009)
  }

  @Test("a name that does not exist is an error that is counted, not an end")
  func unknownName() {
    let transport = UDPTransport(host: "no-such-host.invalid", port: 4739, policy: .drop)
    let exporter = IPFIXOutput(MessageStream.Configuration(), transport: transport)
    for number in 0..<5000 as Range<UInt32> { exporter.append(number: number) }
    exporter.close()
    #expect(exporter.counters.lostRecords == 5000)
    #expect(exporter.counters.records == 5000)
  }

  @Test("a record longer than a datagram is shortened and counted, the next one is sent")
  func tooLong() throws {
    let collector = UDPCollector()
    var configuration = MessageStream.Configuration()
    configuration.largestLength = UDPTransport.largestMessage
    let transport = UDPTransport(host: "127.0.0.1", port: collector.port, policy: .drop)
    let exporter = IPFIXOutput(configuration, transport: transport)
    exporter.append(number: 1, padding: 65500)
    exporter.append(number: 2, padding: 60000)
    exporter.append(number: 3)
    exporter.close()
    try collector.receive()
    #expect(collector.records.compactMap(\.number) == [1, 2, 3])
    #expect(exporter.counters.lostRecords == 0)
    #expect(exporter.counters.oversize == 2)
    #expect(exporter.counters.shortened == 1)
  }
}
