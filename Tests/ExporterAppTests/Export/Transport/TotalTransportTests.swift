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

  private func fill(_ queue: inout MessageQueue, _ messages: [(length: Int, set: UInt16, records: Int)]) {
    for (length, set, records) in messages {
      let isTaken = message(length, set: set).withBytes { queue.append($0, records: records, options: 0) }
      #expect(isTaken)
    }
  }

  @Test("more octets were sent than there are")
  func sentTooMuch() {
    var queue = MessageQueue(capacity: 0)
    fill(&queue, [(24, 258, 3), (32, 258, 4)])
    let before = queue.pending().count
    #expect(before == 56)
    var finished: [Int] = []
    queue.removeSent(30) { finished += [$0, $1] }
    #expect(finished == [24, 3])
    let rest = queue.pending().count
    #expect(rest == 26)
    let boundary = queue.sequenceAtBoundary
    #expect(boundary == nil)
    queue.removeSent(.max / 2) { finished += [$0, $1] }
    #expect(finished == [24, 3, 32, 4])
    let (isEmpty, records) = (queue.isEmpty, queue.records)
    #expect(isEmpty && records == 0)
    queue.removeSent(.min) { finished += [$0, $1] }
    let after = queue.pending().count
    #expect(after == 0)
    queue.restart()
    let lost = queue.removeAll()
    #expect(lost == 0)
  }

  @Test("a queue that is full, again and again: messages stay whole and numbered")
  func full() {
    var queue = MessageQueue(capacity: 1 << 17)
    var (taken, sent, sequence) = (0, 0, 0 as UInt32)
    for _ in 0..<1000 {
      while message(1000).withBytes({ queue.append($0, records: 2, options: 0) }) { taken += 1 }
      let records = queue.records
      #expect(records <= 2 * 131)
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
    fill(&queue, [(24, 2, 0), (24, 258, 3), (40, 258, 5)])
    _ = queue.pending()
    queue.restart()
    let pending = queue.pending()
    #expect(pending.count == 64)
    #expect(pending.load(UInt32.self, at: 8) == 0)
    #expect(pending.load(UInt32.self, at: 24 + 8) == 3)
    let records = queue.records
    #expect(records == 8)
  }

  @Test("options records are numbered with the flows', and those of an announcement come first in a session")
  func numbers() {
    var queue = MessageQueue(capacity: 0)
    for _ in 0..<2 {
      #expect(message(24).withBytes { queue.append($0, records: 3, options: 2) })
    }
    func second() -> UInt32 { queue.pending().load(UInt32.self, at: 24 + 8) }
    #expect(second() == 5)
    // Two messages before the session's first record: the number says that they hold 7 records, 3 of them in the first one.
    var announcement = OwnedBytes(count: 48)
    for (offset, number) in [(0, -7), (24, -4)] as [(Int, Int32)] {
      message(24, set: 2).withBytes { announcement.copy($0, to: offset) }
      announcement.store(number, at: offset + 8)
    }
    let records = MessageQueue.records(inAnnouncement: announcement.view(0, 48))
    #expect(records == 7)
    let numbered = MessageQueue.numbered(announcement.view(0, 48), records)
    #expect(numbered.withBytes { [$0.load(UInt32.self, at: 8), $0.load(UInt32.self, at: 32)] } == [0, 3])
    queue.restart(behind: records)
    #expect(second() == 12)
    #expect(MessageQueue.records(inAnnouncement: announcement.view(0, 0)) == 0)
  }

  @Test("sets and messages whose lengths cannot be", arguments: [0, 1, 3, 4, 9, 65535] as [UInt16])
  func lengths(_ length: UInt16) {
    let message = message(24, set: 2, claimed: Int(length), setLength: length)
    #expect(message.withBytes { MessageQueue.holdsTemplates($0) })
    // A set of 4 octets is kept; what is behind it has length 0.
    let kept = message.withBytes { bytes in
      var copy = OwnedBytes(copying: bytes)
      return MessageQueue.keepSets(of: &copy, 0, 24) { _ in true }
    }
    #expect(kept == (length == 4 ? 20 : 16))
    let numbered = message.withBytes { MessageQueue.numbered($0, 0x0102_0304) }
    #expect(numbered.count == 24)
    #expect(numbered.withBytes { $0.load(UInt32.self, at: 8) } == 0x0102_0304)
    guard length < 16 else { return }
    #expect(!message.withBytes { MessageQueue.holdsTemplates($0.prefix(Int(length))) })
    #expect(message.withBytes { MessageQueue.numbered($0.prefix(Int(length)), 7) }.count == Int(length))
  }

  @Test(
    "the pieces of a file: cut at lines or messages, wherever",
    arguments: [-1, 0, 5, 6, 7, 11, 12, .max, .min])
  func pieces(_ offset: Int) {
    let bytes = Array("first\nother\n".utf8)
    let lines = bytes.withUnsafeBytes { SharedBytes(copying: Bytes($0)) }
    let chunk = FileChunk(lines, header: SharedBytes(), records: 2, units: GrowableList())
    let whole = offset < 6 ? 0 : offset < 12 ? 1 : 2
    #expect(chunk.boundary(within: offset) == 6 * whole)
    #expect(chunk.contents(from: 0, to: 6 * whole).records == whole)
    #expect(chunk.contents(from: offset, to: 12).records == (offset > 11 ? 0 : offset > 5 ? 1 : 2))
    #expect(chunk.header(at: offset).isEmpty)
    var units = GrowableList<FileChunk.Unit>()
    units.append(FileChunk.Unit(end: 6, records: 3))
    units.append(FileChunk.Unit(end: 12, records: 4))
    let messages = FileChunk(lines, header: message(24, set: 2), records: 7, units: units)
    #expect(messages.boundary(within: offset) == 6 * whole)
    #expect(messages.contents(from: offset, to: 12).messages == (offset > 11 ? 0 : offset > 5 ? 1 : 2))
    #expect(messages.header(at: offset).count == 24)
    // "her" and the end of the line: what a message has its number in.
    #expect(messages.header(at: 0).withBytes { $0.load(UInt32.self, at: 8) } == 0x6865_720A)
  }

  @Test("a queue of a hundred thousand chunks: in order, and freed without recursion")
  func chunks() {
    var queue = FileQueue()
    for number in 0..<100_000 {
      queue.append(FileChunk(SharedBytes(), header: SharedBytes(), records: number, units: GrowableList()))
    }
    var next = 0
    while let chunk = queue.removeFirst(), chunk.records == next { next += 1 }
    #expect(next == 100_000)
    let isEmpty = queue.first == nil
    #expect(isEmpty)
  }

  @Test("spans of time that are none", arguments: [-1, 0, -.infinity, .nan] as [Double])
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
    #expect(!errorText(-1).isEmpty)
  }
}
