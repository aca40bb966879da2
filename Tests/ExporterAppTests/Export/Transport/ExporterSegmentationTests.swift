// Runs of messages that one system call hands to the kernel as one (UDP_SEGMENT), seen from the collector's socket.
import Glibc
import Testing
import Wire

@testable import ExporterApp
@testable import IPFIX

/// Messages of given lengths, which are no IPFIX: transports do not look into them.
private struct Messages {
  private let bytes: [UInt8]
  private let list: [MessageBatch.Message]

  init(lengths: [Int]) {
    var list: [MessageBatch.Message] = []
    var offset = 0
    for (index, length) in lengths.enumerated() {
      list.append(MessageBatch.Message(offset: offset, length: length, records: index + 1, options: 0))
      offset += length
    }
    self.list = list
    // A prime period, so that no two messages are the same.
    bytes = (0..<offset).map { UInt8(truncatingIfNeeded: $0 % 251 + $0 / 1458) }
  }

  /// Each message's bytes.
  var contents: [[UInt8]] { list.map { Array(bytes[$0.offset..<$0.offset + $0.length]) } }

  var records: UInt64 { list.reduce(0) { $0 + UInt64($1.records) } }

  func send(_ transport: UDPTransport) {
    bytes.withUnsafeBytes { bytes in
      list.withUnsafeBufferPointer { list in
        let batch = MessageBatch(contents: Bytes(bytes), messages: ListView(list))
        transport.send(batch, now: .current) { SharedBytes() }
      }
    }
  }
}

/// A collector's socket that keeps datagrams as they came.
private final class RawCollector {
  let port: UInt16
  private let descriptor: Int32

  /// - Parameter coalescing: whether the kernel may hand over a run as one (UDP_GRO): on the loopback it does if, and only
  ///   if, it was sent as one.
  init(ipv6: Bool, coalescing: Bool = false) {
    (descriptor, port) = Loopback.bound(SOCK_DGRAM, ipv6: ipv6)
    var size: Int32 = 4 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    var on: Int32 = 1
    if coalescing { setsockopt(descriptor, Int32(IPPROTO_UDP), 104, &on, 4) }
  }

  deinit { close(descriptor) }

  /// All that comes until there is silence.
  func receive() -> [[UInt8]] {
    var datagrams: [[UInt8]] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while Loopback.isReadable(descriptor, milliseconds: 100) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      datagrams.append(Array(buffer[..<max(0, count)]))
    }
    return datagrams
  }
}

/// A connected transport of a live run, which segments.
private func transport(
  to collector: RawCollector, ipv6: Bool, policy: OverloadPolicy = .drop
) -> UDPTransport {
  let transport = UDPTransport(host: ipv6 ? "::1" : "127.0.0.1", port: collector.port, policy: policy)
  _ = transport.tick(now: .current) { SharedBytes() }
  return transport
}

@Suite(.serialized) struct ExporterSegmentationTests {
  /// Runs of one, of many with a shorter end, of growing lengths; more than 64 of one length; more than 65507 octets.
  static let lengths: [[Int]] = [
    [1458], [1458, 1458], [1458, 1458, 17], [100, 1458, 1458, 1400, 1458, 1457, 1458],
    Array(repeating: 200, count: 150), Array(repeating: 1458, count: 64) + [60],
    Array(1...90), (1...90).reversed(), [9000, 65507, 60000, 60000, 20],
  ]

  @Test("datagrams arrive as they were sent, one by one", arguments: [false, true], lengths)
  func boundaries(_ ipv6: Bool, _ lengths: [Int]) {
    let collector = RawCollector(ipv6: ipv6)
    let transport = transport(to: collector, ipv6: ipv6)
    #expect(transport.longestSegment > 60000)
    let messages = Messages(lengths: lengths)
    messages.send(transport)
    #expect(collector.receive() == messages.contents)
    #expect(transport.longestSegment > 60000, "it gave up")
    let counters = transport.counters
    #expect(counters.messages == UInt64(lengths.count) && counters.bytes == UInt64(lengths.reduce(0, +)))
    #expect(counters.sentRecords == messages.records && counters.lostRecords == 0 && counters.errors == 0)
  }

  @Test("live a run leaves as one, offline each message by itself", arguments: [false, true])
  func runs(_ ipv6: Bool) {
    let messages = Messages(lengths: [1458, 1458, 1458, 1000])
    for (policy, expected) in [
      (OverloadPolicy.drop, [messages.contents.flatMap { $0 }]), (.wait(seconds: 1), messages.contents),
    ] {
      let collector = RawCollector(ipv6: ipv6, coalescing: true)
      messages.send(transport(to: collector, ipv6: ipv6, policy: policy))
      #expect(collector.receive() == expected)
    }
  }

  @Test("where the kernel refuses runs, everything leaves once and in order, one by one")
  func fallback() {
    let collector = RawCollector(ipv6: false, coalescing: true)
    let transport = transport(to: collector, ipv6: false)
    // A socket without checksums cannot segment: EINVAL, as from a route that cannot.
    var on: Int32 = 1
    #expect(setsockopt(transport.socket, SOL_SOCKET, SO_NO_CHECK, &on, 4) == 0)
    // The first message leaves before the refusal.
    let messages = Messages(lengths: [100, 1458, 1458, 1458, 700, 1458, 1458])
    messages.send(transport)
    #expect(collector.receive() == messages.contents)
    #expect(transport.longestSegment == 0)
    messages.send(transport)
    #expect(collector.receive() == messages.contents)
    let counters = transport.counters
    #expect(counters.messages == 14 && counters.sentRecords == 2 * messages.records)
    #expect(counters.lostRecords == 0 && counters.errors == 0)
    #expect(transport.status == "")
  }

  @Test("what nobody listens for is counted as lost, run or not", arguments: [false, true], lengths)
  func refused(_ ipv6: Bool, _ lengths: [Int]) {
    // The port is free again when the collector is gone.
    var collector: RawCollector? = RawCollector(ipv6: ipv6)
    let transport = transport(to: collector!, ipv6: ipv6)
    collector = nil
    let messages = Messages(lengths: lengths)
    for _ in 0..<3 { messages.send(transport) }
    _ = transport.tick(now: .current) { SharedBytes() }
    #expect(transport.counters.sentRecords == 0)
    #expect(transport.counters.lostRecords == 3 * messages.records)
    #expect(transport.counters.errors > 0 && transport.status.contains("refused"))
  }
}
