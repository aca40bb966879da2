// What waits for a collector and how long it may: any number, any length that a message claims, nothing stops the program.
import Glibc
import IPFIX
import Testing
import Wire

@testable import ExporterApp

@Suite struct TotalTransportTests {
  /// A message of one data set with `length` octets in all; the header says `claimed`.
  private func message(_ length: Int, set: UInt16 = 258, claimed: Int? = nil, setLength: UInt16? = nil)
    -> SharedBytes
  {
    var memory = OwnedBytes(count: length)
    memory.store(10 as UInt16, at: 0)
    memory.store(UInt16(claimed ?? length), at: 2)
    memory.store(set, at: 16)
    memory.store(setLength ?? UInt16(length - 16), at: 18)
    return SharedBytes(memory, count: length)
  }

  @Test("more octets were sent than there are")
  func sentTooMuch() {
    var queue = MessageQueue(capacity: 0)
    #expect(queue.append(message(24).bytes, records: 3))
    #expect(queue.append(message(32).bytes, records: 4))
    #expect(queue.pending().count == 56)
    var finished: [Int] = []
    queue.removeSent(30) { finished += [$0, $1] }
    #expect(finished == [24, 3])
    #expect(queue.pending().count == 26)
    #expect(queue.sequenceAtBoundary == nil)
    queue.removeSent(.max / 2) { finished += [$0, $1] }
    #expect(finished == [24, 3, 32, 4])
    #expect(queue.isEmpty && queue.records == 0)
    queue.removeSent(.min) { finished += [$0, $1] }
    #expect(queue.pending().count == 0)
    queue.restart()
    #expect(queue.removeAll() == 0)
  }

  @Test("a queue that is full, again and again: messages stay whole and numbered")
  func full() {
    var queue = MessageQueue(capacity: 1 << 17)
    var (taken, sent, sequence) = (0, 0, 0 as UInt32)
    for _ in 0..<1000 {
      while queue.append(message(1000).bytes, records: 2) { taken += 1 }
      #expect(queue.records <= 2 * 131)
      let pending = queue.pending()
      #expect(pending.load(UInt32.self, at: 8) == sequence)
      queue.removeSent(50_000) { _, records in
        sent += 1
        sequence += UInt32(records)
      }
    }
    // 131 messages of 1000 octets fit into 2^17 octets, and 50 leave each time.
    #expect(sent == 50_000)
    #expect(taken == 131 + 999 * 50)
  }

  @Test("a new session keeps data and numbers it from 0")
  func restart() {
    var queue = MessageQueue(capacity: 0)
    #expect(queue.append(message(24, set: 2).bytes, records: 0))
    #expect(queue.append(message(24).bytes, records: 3))
    #expect(queue.append(message(40).bytes, records: 5))
    _ = queue.pending()
    queue.restart()
    let pending = queue.pending()
    #expect(pending.count == 64)
    #expect(pending.load(UInt32.self, at: 8) == 0)
    #expect(pending.load(UInt32.self, at: 24 + 8) == 3)
    #expect(queue.records == 8)
  }

  @Test("sets and messages whose lengths cannot be", arguments: [0, 1, 3, 4, 9, 65535] as [UInt16])
  func lengths(_ length: UInt16) {
    let message = message(24, set: 2, claimed: Int(length), setLength: length)
    #expect(MessageQueue.holdsTemplates(message.bytes))
    var copy = OwnedBytes(copying: message.bytes)
    // A set of 4 octets is kept; what is behind it has length 0.
    #expect(MessageQueue.keepSets(of: &copy, 0, 24) { _ in true } == (length == 4 ? 20 : 16))
    let numbered = MessageQueue.numbered(message.bytes, 0x0102_0304)
    #expect(numbered.count == 24)
    #expect(numbered.bytes.load(UInt32.self, at: 8) == 0x0102_0304)
    let short = message.bytes.prefix(Int(length))
    if length < 16 {
      #expect(!MessageQueue.holdsTemplates(short))
      #expect(MessageQueue.numbered(short, 7).count == Int(length))
    }
  }

  @Test("spans of time that are none", arguments: [-1, 0, -.infinity, .nan, -.leastNonzeroMagnitude])
  func noSpan(_ seconds: Double) {
    #expect(Moment.nanoseconds(seconds) == 0)
    #expect(Moment(monotonic: 5, unixSeconds: 6).later(seconds: seconds).monotonic == 5)
  }

  @Test("spans of time that are long")
  func longSpan() {
    #expect(Moment.nanoseconds(1.5) == 1_500_000_000)
    #expect(Moment.nanoseconds(.infinity) == 3_200_000_000_000_000_000)
    #expect(Moment(monotonic: .max, unixSeconds: .max).later(seconds: 2).monotonic == 1_999_999_999)
  }

  @Test("addresses: equal by their octets, none longer than any address")
  func addresses() throws {
    var storage = sockaddr_storage()
    storage.ss_family = sa_family_t(AF_INET)
    let address = withUnsafePointer(to: &storage) {
      SocketAddress(
        UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), length: 16, family: AF_INET)
    }
    var list = GrowableList<SocketAddress>()
    let first = try #require(address)
    list.append(first)
    let addresses = SocketAddresses(list)
    #expect(addresses.count == 1)
    #expect(addresses.contains(first))
    #expect(addresses[5].family == 0)
    #expect(!addresses.contains(addresses[5]))
    let tooLong = withUnsafePointer(to: &storage) {
      SocketAddress(
        UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), length: 129, family: AF_INET)
    }
    #expect(tooLong == nil)
    #expect(!ExportError.reason(-1).isEmpty)
  }
}
