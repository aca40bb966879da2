// What outputs write into takes any offset and length: outside nothing is read or written, and it is counted.
import CIntrinsics
import Rendering
import Testing
import Wire

@testable import IPFIX

/// How many faults `body` makes on this thread.
private func faults(_ body: () -> Void) -> UInt64 {
  let counters = UnsafeMutablePointer<UInt64>.allocate(capacity: MARTLET_TRACE_SLOTS)
  counters.initialize(repeating: 0, count: MARTLET_TRACE_SLOTS)
  defer { counters.deallocate() }
  let before = martlet_trace_current().pointee
  martlet_trace_faults(counters)
  body()
  martlet_trace_current().pointee = before
  return (0..<MARTLET_TRACE_SLOTS).reduce(0) { $0 + counters[$1] }
}

@Suite struct TotalMemoryTests {
  /// A block of the bytes 1 to 16.
  private func block() -> OwnedBytes {
    var block = OwnedBytes(count: 16)
    for offset in 0..<16 { block.store(UInt8(offset + 1), at: offset) }
    return block
  }

  private func bytes(_ block: borrowing OwnedBytes) -> [UInt8] { Array(block.view(0, block.count).buffer) }

  @Test("inside, integers are big-endian and copies may overlap")
  func inside() {
    var block = block()
    #expect(block.load(UInt32.self, at: 12) == 0x0D0E_0F10)
    block.store(0xAABB_CCDD as UInt32, at: 12)
    block.move(from: 0, to: 1, count: 4)
    block.fill(0, from: 8, count: 2)
    #expect(bytes(block) == [1, 1, 2, 3, 4, 6, 7, 8, 0, 0, 11, 12, 0xAA, 0xBB, 0xCC, 0xDD])
  }

  @Test("outside, nothing is read or written", arguments: [-1, 13, 16, 17, .max, .max - 3, .min])
  func outside(_ offset: Int) {
    var block = block()
    let count = faults {
      #expect(block.load(UInt32.self, at: offset) == 0)
      block.store(0xFFFF_FFFF as UInt32, at: offset)
      block.copy(Bytes(martlet_zeros(), count: 4), to: offset)
      block.move(from: 0, to: offset, count: 4)
      block.move(from: offset, to: 0, count: 4)
      block.fill(0, from: offset, count: 4)
      #expect(block.view(offset, 4).count == 0)
    }
    #expect(count == 7)
    #expect(bytes(block) == Array(1...16))
  }

  @Test("lengths that there cannot be", arguments: [-1, 17, .max, .min])
  func lengths(_ length: Int) {
    var block = block()
    let count = faults {
      block.move(from: 0, to: 0, count: length)
      block.fill(0, from: 0, count: length)
      #expect(block.view(0, length).count == 0)
    }
    #expect(count == 3)
    #expect(bytes(block) == Array(1...16))
    let shared = SharedBytes(block, count: length)
    #expect(shared.isEmpty)
  }

  @Test("a block grows with what is kept, then zeros; it never shrinks")
  func grows() {
    var block = block()
    block.grow(to: 20, keeping: 3)
    #expect(bytes(block) == [1, 2, 3] + [UInt8](repeating: 0, count: 17))
    block.grow(to: 10, keeping: 3)
    block.grow(to: .min, keeping: .max)
    #expect(block.count == 20)
    block.grow(to: 21, keeping: .max)
    #expect(bytes(block) == [1, 2, 3] + [UInt8](repeating: 0, count: 18))
    block.grow(to: 22, keeping: -1)
    #expect(bytes(block) == [UInt8](repeating: 0, count: 22))
    #expect(OwnedBytes(count: -5).count == 1)
  }

  @Test("a list of any length, asked for any index")
  func list() {
    struct Pair: BitwiseCopyable, Equatable {
      var first: UInt32
      var second: UInt64
    }
    var list = GrowableList<Pair>(capacity: -1)
    for number in 0..<1000 { list.append(Pair(first: UInt32(number), second: UInt64(number) << 40)) }
    #expect(list.count == 1000)
    #expect((0..<1000).allSatisfy { list[$0] == Pair(first: UInt32($0), second: UInt64($0) << 40) })
    for index in [-1, 1000, .max, .min] {
      let count = faults {
        #expect(list[index] == Pair(first: 0, second: 0))
        list[index] = Pair(first: 7, second: 7)
        #expect(list.elements[index] == Pair(first: 0, second: 0))
      }
      #expect(count == 3)
    }
    #expect(list[999].first == 999)
    list.removeFirst(-3)
    list.removeFirst(990)
    #expect(list.elements.map(\.first) == Array(990..<1000))
    list.truncate(to: 2)
    list.truncate(to: 5)
    #expect(list.elements.map(\.first) == [990, 991])
    let count = faults {
      let bytes: [UInt8] = [1]
      bytes.withUnsafeBytes { #expect(ListView<UInt8>($0.baseAddress!, count: -1)[0] == 0) }
    }
    #expect(count == 1)
    list.truncate(to: .min)
    list.removeFirst(.max)
    #expect(list.count == 0)
  }

  @Test(
    "a record for a place that is not in the memory is none",
    arguments: [(-1, 8), (5, 4), (0, 17), (17, 17), (Int.max, Int.min), (Int.min, Int.max), (16, 16)])
  func record(_ start: Int, _ end: Int) {
    let block = block()
    let count = faults {
      var writer = DataRecordWriter(block, from: start, to: end)
      writer.unsigned8(Sample.version, 4)
      writer.list(Sample.lengths, count: -1) { _ in 1 as Int16 }
      writer.list(Sample.lengths, count: .max) { _ in 1 as Int16 }
      let overflowed = writer.overflowed
      #expect(overflowed)
      #expect(writer.position >= block.base && writer.position <= block.base + 16)
    }
    // The end of the memory has no room, but is no mistake.
    #expect(count == (start == 16 ? 0 : 1))
    #expect(bytes(block) == Array(1...16))
  }

  @Test("messages that are not there")
  func batch() {
    let memory = block()
    var messages = GrowableList<MessageBatch.Message>()
    messages.append(MessageBatch.Message(offset: 0, length: 8, records: 1, options: 0))
    messages.append(MessageBatch.Message(offset: 12, length: 8, records: 2, options: 0))
    messages.append(MessageBatch.Message(offset: .max, length: .max, records: 3, options: 0))
    let batch = MessageBatch(contents: memory.view(0, 16), messages: messages.elements)
    #expect(Array(batch[messages[0]].buffer) == Array(1...8))
    #expect(batch[messages[1]].count == 0)
    #expect(batch[messages[2]].count == 0)
    #expect(batch.bytes(from: 0, to: 2).count == 0)
    #expect(batch.bytes(from: 0, to: 3).count == 0)
    #expect(batch.bytes(from: 2, to: 0).count == 0)
    #expect(batch.bytes(from: -4, to: 9).count == 0)
    #expect(batch.records == 6)
    for start in [-1, 3, .max] { #expect(batch.endOfRun(from: start, count: 9, octets: 99) == start &+ 1) }
  }

  @Test("a thousand keys, 0 among them, each with its number")
  func keys() {
    var table = KeyTable(bits: 0)
    #expect(table.find(0) == -1)
    for number in 0..<1000 { table.insert(UInt64(number) << 33, number) }
    #expect((0..<1000).allSatisfy { table.find(UInt64($0) << 33) == $0 })
    #expect(table.find(1) == -1)
    #expect(table.find(.max) == -1)
  }

  @Test("text: literals of any length, widths that no number has, bytes that are not there")
  func literals() {
    var output = OutputBuffer(capacity: .min)
    output.append("")
    output.append("a")
    output.append("né")
    output.append(Sample.version.name)
    output.append(UnsafeRawBufferPointer(start: nil, count: 0))
    output.appendDecimal(5, width: .min)
    output.appendDecimal(7, width: .max)
    output.append(text: String(repeating: "x", count: 200))
    #expect(
      String(decoding: output.bytes, as: UTF8.self)
        == "anéipVersion5" + String(repeating: "0", count: 19) + "7" + String(repeating: "x", count: 200))
  }

  @Test("a message stream with the smallest and the largest configuration")
  func configurations() {
    for extreme in [Int.min, 0, .max] {
      var configuration = MessageStream.Configuration()
      configuration.maximumLength = extreme
      configuration.largestLength = extreme
      configuration.messagesPerBatch = extreme == .max ? 1 << 10 : extreme
      var stream = MessageStream(configuration)
      stream.append(key: 0, [.unsigned8(Sample.version, 4)])
      #expect(stream.takeMessages().count == 1)
    }
  }
}
