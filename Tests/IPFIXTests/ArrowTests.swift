// Record batches by the letter of the Arrow columnar format: bitmaps, offsets and dictionaries worked out by hand.
import Arrow
import CArrow
import IPFIX
import Rendering
import Testing

@Suite struct ArrowTests {
  private static let count = InformationElement(.iana, 1, "octetDeltaCount", .unsigned64)
  private static let name = InformationElement(.cesnet, 808, "TLSSNI", .string)
  private static let lengths = InformationElement(.cesnet, 1013, "packetLength", .signed16)
  private static let address = InformationElement(.iana, 8, "sourceIPv4Address", .ipv4Address)
  private static let start = InformationElement(.iana, 154, "flowStartMicroseconds", .dateTimeMicroseconds)
  private static let end = InformationElement(.iana, 155, "flowEndMicroseconds", .dateTimeMicroseconds)

  private static func fields(_ addresses: ArrowType.Addresses = .text) -> [ArrowField] {
    var list = ColumnList()
    list.time(start, nanoseconds: 0)
    list.time(end, nanoseconds: 0)
    list.unsigned64(count, 0)
    list.string(name, [UInt8]().span.bytes)
    list.list(lengths, count: 0) { _ in Int16(0) }
    list.ipv4Address(address, 0)
    return ArrowField.fields(list.columns, names: .short, addresses: addresses)
  }

  private func octets(_ array: ArrowArray, _ buffer: Int, _ count: Int) -> [UInt8]? {
    array.buffers[buffer].map { Array(UnsafeRawBufferPointer(start: $0, count: count)) }
  }

  /// Three rows: one with everything, one with nothing but a time, one with a name that is no UTF-8.
  private func batch(_ addresses: ArrowType.Addresses = .text) -> ArrowArray {
    var writer = ArrowRecordWriter(Self.fields(addresses), sources: ["one", "two"], rowLimit: 3)
    writer.begin()
    writer.time(Self.start, nanoseconds: 1_000_000_000)
    writer.time(Self.end, nanoseconds: 3_500_000_000)
    writer.unsigned64(Self.count, 258)
    writer.string(Self.name, Array("a.test".utf8).span.bytes)
    writer.list(Self.lengths, count: 2) { [-1, 2 as Int16][$0] }
    writer.ipv4Address(Self.address, 0xC000_0201)
    writer.end()
    writer.source = 1
    writer.begin()
    writer.time(Self.start, nanoseconds: 5)
    // NUL alone stands for nothing.
    writer.string(Self.name, [0, 0 as UInt8].span.bytes)
    writer.end()
    let wasFull = writer.isFull
    writer.begin()
    writer.string(Self.name, [0x61, 0xFF as UInt8].span.bytes)
    writer.list(Self.lengths, count: 1) { _ in 3 as Int16 }
    // A field whose column has passed, and one that has none.
    writer.unsigned64(Self.count, 1)
    writer.end()
    let (isFull, misplaced) = (writer.isFull, writer.misplaced)
    #expect(!wasFull && isFull && misplaced == 1)
    var array = ArrowArray()
    let status = writer.finish(in: &array)
    let (rows, isStillFull) = (writer.rows, writer.isFull)
    #expect(status == 0 && rows == 0 && !isStillFull)
    return array
  }

  @Test func buffersAreAsTheFormatHasThem() {
    var array = batch()
    #expect(array.length == 3 && array.n_children == 8 && array.null_count == 0)
    let children = (0..<8).map { array.children[$0]!.pointee }
    // source_file: two texts, the second twice.
    #expect(octets(children[0], 1, 12) == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    #expect(children[0].dictionary.pointee.length == 2)
    #expect(octets(children[0].dictionary.pointee, 1, 12) == [0, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0])
    #expect(octets(children[0].dictionary.pointee, 2, 6) == Array("onetwo".utf8))
    // duration: 2.5 is 0x4004000000000000.
    #expect(octets(children[1], 1, 8) == [0, 0, 0, 0, 0, 0, 4, 0x40])
    #expect(children[1].null_count == 0 && children[1].buffers[0] == nil)
    // The count: 258 and two nulls.
    #expect(children[4].null_count == 2 && octets(children[4], 0, 1) == [1])
    #expect(octets(children[4], 1, 24) == [2, 1] + [UInt8](repeating: 0, count: 22))
    // The names: rows 0 and 2; U+FFFD is EF BF BD.
    #expect(children[5].null_count == 1 && octets(children[5], 0, 1) == [0b101])
    #expect(octets(children[5], 1, 12) == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    #expect(
      octets(children[5].dictionary.pointee, 2, 10) == Array("a.test".utf8) + [0x61, 0xEF, 0xBF, 0xBD])
    // The lists: two entries, none, one.
    #expect(octets(children[6], 0, 1) == [0b101])
    #expect(octets(children[6], 1, 16) == [0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
    #expect(children[6].children[0]!.pointee.length == 3)
    #expect(octets(children[6].children[0]!.pointee, 1, 6) == [0xFF, 0xFF, 2, 0, 3, 0])
    // The address as text.
    #expect(octets(children[7], 1, 16) == [0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0])
    #expect(octets(children[7], 2, 9) == Array("192.0.2.1".utf8))
    array.release(&array)
    #expect(array.release == nil)
  }

  @Test func addressesAsOctetsAreInTheOrderOfTheNetwork() {
    var array = batch(.binary)
    #expect(octets(array.children[7]!.pointee, 1, 12) == [192, 0, 2, 1] + [UInt8](repeating: 0, count: 8))
    array.release(&array)
  }

  @Test func aChildThatIsMovedAwayOutlivesItsParent() {
    var array = batch()
    var moved = array.children[5]!.pointee
    array.children[5]!.pointee.release = nil
    array.release(&array)
    #expect(octets(moved.dictionary.pointee, 2, 6) == Array("a.test".utf8))
    moved.release(&moved)
  }

  @Test func theSchemaNamesFormatsAndElements() {
    var schema = ArrowSchema()
    #expect(ArrowField.makeSchema(of: Self.fields(.binary), in: &schema) == 0)
    let formats = (0..<8).map { String(cString: schema.children[$0]!.pointee.format) }
    #expect(String(cString: schema.format) == "+s")
    #expect(formats == ["i", "g", "tsn:UTC", "tsn:UTC", "L", "i", "+l", "w:4"])
    #expect(String(cString: schema.children[5]!.pointee.dictionary.pointee.format) == "u")
    #expect(String(cString: schema.children[6]!.pointee.children[0]!.pointee.format) == "s")
    // Counts before what they count: 2 pairs, "element" of 7 octets, "iana:octetDeltaCount" of 20.
    let metadata = UnsafeRawBufferPointer(start: schema.children[4]!.pointee.metadata, count: 39)
    #expect(
      Array(metadata) == [2, 0, 0, 0, 7, 0, 0, 0] + Array("element".utf8) + [20, 0, 0, 0]
        + Array("iana:octetDeltaCount".utf8))
    schema.release(&schema)
    #expect(schema.release == nil)
  }

  /// More texts than a table begins with, each twice.
  @Test func aDictionaryHasEachTextOnce() {
    var writer = ArrowRecordWriter(Self.fields(), sources: [""], rowLimit: 10_000)
    for row in 0..<10_000 {
      writer.begin()
      writer.string(Self.name, Array("name \(row % 5000)".utf8).span.bytes)
      writer.end()
    }
    var array = ArrowArray()
    var status = writer.finish(in: &array)
    #expect(status == 0)
    let names = array.children[5]!.pointee
    #expect(names.dictionary.pointee.length == 5000)
    let numbers = octets(names, 1, 40_000) ?? []
    #expect(numbers.prefix(20_000) == numbers.suffix(20_000))
    array.release(&array)
    writer.begin()
    writer.string(Self.name, Array("name 7".utf8).span.bytes)
    writer.end()
    status = writer.finish(in: &array)
    #expect(status == 0)
    // The next batch has a dictionary of its own.
    #expect(array.children[5]!.pointee.dictionary.pointee.length == 1)
    array.release(&array)
  }
}
