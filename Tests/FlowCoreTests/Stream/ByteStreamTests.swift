// A direction's bytes in order, whatever segments bring them: held against a plain list of bytes, each that which came first.
import TestSupport
import Testing
import Wire

@testable import FlowCore

/// A stream with a slab of its own, and one reader that takes bytes as a test says.
private struct StreamUnderTest: ~Copyable {
  var stream = ByteStream()
  var counters = StreamCounters()
  private let record: UnsafeMutablePointer<FlowRecord>
  private let slab: UnsafeMutablePointer<Slab>
  private let shortfalls: UnsafeMutablePointer<PluginShortfalls>
  private let contexts: UnsafeMutablePointer<UnsafeMutableRawPointer>
  private let worker: UnsafeMutablePointer<WorkerMemory>
  /// What the reader took, in order.
  var taken: [UInt8] = []
  /// For each time that bytes were shown whether those before them are missing.
  var afterGap: [Bool] = []
  private var position = 0

  init(slabBytes: Int = 1 << 20) throws {
    record = .allocate(capacity: 1)
    record.initialize(to: .departed)
    slab = .allocate(capacity: 1)
    slab.initialize(to: try Slab(bytes: slabBytes, memory: PlainMemory()))
    shortfalls = .allocate(capacity: 1)
    shortfalls.initialize(to: PluginShortfalls())
    contexts = .allocate(capacity: 1)
    worker = .allocate(capacity: 1)
    worker.initialize(
      to: WorkerMemory(slab: slab, shortfalls: shortfalls, states: PluginStates(), contexts: contexts))
  }

  deinit {
    slab.deinitialize(count: 1)
    slab.deallocate()
    record.deallocate()
    shortfalls.deallocate()
    contexts.deallocate()
    worker.deallocate()
  }

  func isElsewhere(_ sequence: UInt32) -> Bool {
    stream.isElsewhere(sequence, FlowBlocks(record: record, worker: UnsafePointer(worker)))
  }

  /// Sends `bytes` at `sequence`; the reader takes what `take` says of the unread bytes.
  mutating func send(_ sequence: UInt32, _ bytes: [UInt8], length: Int? = nil, take: (Int) -> Int = { $0 }) {
    var blocks = FlowBlocks(record: record, worker: UnsafePointer(worker))
    bytes.withUnsafeBytes { raw in
      guard let base = raw.baseAddress else { return }
      let segment = Bytes(base, count: raw.count)
      let isDue = (length ?? raw.count) == raw.count && stream.takesDue(sequence, length: raw.count)
      let arrival =
        isDue
        ? ByteStream.Arrival(bytes: segment)
        : stream.takeOther(segment, length: length ?? raw.count, sequence: sequence, &counters, &blocks)
      guard !arrival.bytes.isEmpty else { return }
      if !arrival.isKept || arrival.isAfterGap { position = 0 }
      afterGap.append(arrival.isAfterGap)
      let unread = arrival.bytes.dropFirst(position)
      guard !unread.isEmpty else { return }
      let count = min(unread.count, take(unread.count))
      for index in 0..<count { taken.append(unread[index]) }
      position += count
      if position == arrival.bytes.count {
        stream.release(arrival, blocks)
        if stream.phase == .open { position = 0 }
      } else if let moved = stream.keep(arrival, from: position, &counters, &blocks) {
        position -= moved
      } else {
        position = 0
      }
    }
  }
}

@Suite struct ByteStreamTests {
  private static let text: [UInt8] = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }

  @Test(arguments: [1000, UInt32.max - 100]) func inOrderNothingIsKept(start: UInt32) throws {
    var test = try StreamUnderTest()
    test.stream.begin(start)
    for offset in stride(from: 0, to: 4000, by: 500) {
      test.send(start &+ 1 &+ UInt32(offset), Array(Self.text[offset..<offset + 500]))
      #expect(test.stream.phase == .open)
      #expect(test.stream.block.isNone)
    }
    #expect(test.taken == Self.text)
  }

  /// Segments of 100 bytes in random order within 16, repeated and overlapping; the reader leaves some bytes each time.
  @Test(arguments: 0..<40) func disorderAndOverlap(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var test = try StreamUnderTest()
    let start = UInt32.random(in: 0...(.max), using: &generator)
    test.stream.begin(start)
    var pieces: [Range<Int>] = []
    var at = 0
    while at < Self.text.count {
      let end = min(Self.text.count, at + Int.random(in: 1...200, using: &generator))
      pieces.append(max(0, at - Int.random(in: 0...50, using: &generator))..<end)
      if Int.random(in: 0..<4, using: &generator) == 0 { pieces.append(at..<end) }
      at = end
    }
    for index in stride(from: 0, to: pieces.count - 4, by: 4) {
      pieces[index..<index + 4].shuffle(using: &generator)
    }
    for piece in pieces {
      test.send(start &+ 1 &+ UInt32(piece.lowerBound), Array(Self.text[piece])) { unread in
        max(0, unread - seed % 4 * 10)
      }
    }
    // What the reader left is taken with the next byte.
    test.send(start &+ 1 &+ UInt32(Self.text.count), [1])
    #expect(test.taken == Self.text + [1])
    #expect(test.counters.gaps == 0)
    #expect(test.counters.lost == 0)
  }

  /// RFC 9293 says nothing of retransmissions that differ; here what arrived first stays, byte by byte.
  @Test func firstArrivalStays() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    test.send(3, [3, 4])
    test.send(6, [6])
    test.send(2, [12, 13, 14, 15, 16, 17])
    test.send(1, [1, 22])
    #expect(test.taken == [1, 12, 3, 4, 15, 6, 17])
  }

  @Test func bytesThatWereTakenDoNotComeAgain() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    test.send(1, [1, 2, 3])
    test.send(1, [9, 9, 9])
    test.send(2, [8, 8, 4])
    #expect(test.taken == [1, 2, 3, 4])
  }

  @Test func captureBeginsInTheMiddle() throws {
    var test = try StreamUnderTest()
    test.send(700, [1, 2])
    test.send(702, [3])
    #expect(test.taken == [1, 2, 3])
  }

  /// One segment is missing: 16 may come meanwhile, with the next one what waited is handed on without it.
  @Test func gapIsGivenUp() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    for index in 0...Int(ByteStream.patience) {
      test.send(UInt32(11 + index), [UInt8(index)])
      #expect(test.taken.isEmpty)
    }
    test.send(11 + 17, [17])
    #expect(test.taken == Array(0...17))
    #expect(test.counters.gaps == 1)
    test.send(11 + 18, [18])
    #expect(test.taken.last == 18)
  }

  @Test func farJumpsBeginAnew() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    test.send(1, [1])
    test.send(2 + UInt32(PieceBuffer.window) + 1, [2])
    test.send(500_000_000, [3])
    test.send(1, [4])
    #expect(test.taken == [1, 2, 3, 4])
    #expect(test.counters.gaps == 3)
    #expect(test.afterGap == [false, true, true, true])
  }

  /// The captured part of a cut segment is followed by what comes next only if nothing of it is waited for.
  @Test func cutSegments() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    test.send(1, [1, 2], length: 4)
    test.send(5, [5])
    #expect(test.taken == [1, 2, 5])
    test.send(6, [6, 7], length: 4) { _ in 1 }
    test.send(10, [10])
    #expect(test.taken == [1, 2, 5, 6])
    #expect(test.afterGap == [false, true, false])
  }

  /// A capture begins in the midst of a connection, and its first two segments are swapped: the earlier one can be gone on
  /// with, which no retransmission can.
  @Test func segmentBeforeTheFirstOne() throws {
    var test = try StreamUnderTest()
    test.send(700, [7])
    var isThere = test.isElsewhere(600)
    #expect(isThere)
    isThere = test.isElsewhere(700)
    #expect(!isThere)
    test.send(701, [8])
    isThere = test.isElsewhere(700)
    #expect(!isThere)
    isThere = test.isElsewhere(900)
    #expect(isThere)
    test.stream.jump(to: 600, &test.counters)
    test.send(600, [6])
    #expect(test.taken == [7, 8, 6])
    #expect(test.afterGap == [false, false, true])
    var begun = try StreamUnderTest()
    begun.stream.begin(699)
    begun.send(700, [7])
    isThere = begun.isElsewhere(700)
    #expect(!isThere)
  }

  /// A reader that never takes anything: 16 KiB are kept, then the direction is given up, and a slab of no room loses it at once.
  @Test func memoryIsBounded() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    for index in 0..<40 {
      test.send(UInt32(1 + 1000 * index), [UInt8](repeating: UInt8(index), count: 1000)) { _ in 0 }
    }
    #expect(test.counters.full == 2)
    var small = try StreamUnderTest(slabBytes: 64)
    small.stream.begin(0)
    small.send(1, [UInt8](repeating: 1, count: 1000)) { _ in 0 }
    #expect(small.counters.lost == 1)
    small.send(1001, [7])
    #expect(small.taken == [7])
  }

  /// A long stream through a reader that always leaves a little: it never fills.
  @Test func longStreamOfSmallRests() throws {
    var test = try StreamUnderTest()
    test.stream.begin(0)
    for index in 0..<200 {
      test.send(UInt32(1 + 100 * index), (0..<100).map { UInt8($0) }) { unread in max(0, unread - 30) }
    }
    #expect(test.counters.full == 0)
    #expect(test.taken.count == 200 * 100 - 30)
  }
}
