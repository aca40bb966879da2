// Memory for what only some flows have and what has no fixed length: server names, payloads, handshakes under way.
// A flow takes blocks when it needs them; they return with its record.
import CIntrinsics
import Wire

/// Where a block lies in its slab, in units of 64 bytes; 0 is no block.
public struct BlockReference: BitwiseCopyable, Sendable, Equatable {
  var unit: UInt32 = 0

  /// No block.
  public init() {}
  fileprivate init(unit: UInt32) { self.unit = unit }
  /// The block of a dry run.
  init(dryRun unit: UInt32) { self.unit = unit }

  /// True when there is no block.
  @inline(__always) public var isNone: Bool { unit == 0 }
}

/// Blocks of five sizes (128 bytes to 32 KiB, each four times the one before) from one arena of fixed size.
///
/// The arena is divided into pages of 32 KiB, each for blocks of one size. A page whose last block came back is empty
/// again and serves whichever size is asked for next: a flood of one size takes the memory from the others only as long
/// as its flows live. Blocks above 512 bytes, which hellos in pieces and long payloads take, leave a quarter of the pages
/// to the smaller ones. When no page is left `take` returns nil, the plugin goes without, and the worker counts it.
///
///     arena:  - 64 | page | page | …
///     block:  next block of the flow, or of those that came back 4 | size class 4 | contents …
struct Slab: ~Copyable {
  static let headerSize = 8
  static let classCount = 5
  /// The most a block holds.
  static let largest = size(classCount - 1) - headerSize
  /// Classes up to this one may take the last pages.
  private static let lastSmallClass = 1
  private static let unitsPerPage = UInt32(size(classCount - 1) / 64)

  /// What is known of a page; pages are numbered from 1.
  private struct Page: BitwiseCopyable {
    /// The neighbours in the list of its size's pages with room, or the next empty page.
    var next: UInt32 = 0
    var previous: UInt32 = 0
    /// The first of the blocks that came back.
    var free: UInt32 = 0
    /// Blocks that flows have, that were cut off so far, and that the page is good for.
    var used: UInt16 = 0
    var cut: UInt16 = 0
    var capacity: UInt16 = 0
  }

  private let arena: UnsafeMutableRawPointer
  private let units: UInt32
  private let pages: UnsafeMutablePointer<Page>
  private let pageCount: UInt32
  /// Pages up to this one have been in use.
  private var touched: UInt32 = 0
  /// The first of the pages that are empty again, and how many pages are empty.
  private var empty: UInt32 = 0
  private var emptyCount: UInt32
  /// For each size the first page with room.
  private var open: InlineArray<5, UInt32> = .init(repeating: 0)
  private let memory: any FlowMemory

  init(bytes: Int, memory: any FlowMemory) throws(FlowSetupError) {
    // References have 32 bits: what is beyond 256 GiB is not used.
    units = UInt32(clamping: max(2, bytes / 64))
    // An arena below one page is one short page.
    pageCount = max(1, (units - 1) / Slab.unitsPerPage)
    emptyCount = pageCount
    self.memory = memory
    guard let arena = memory.allocate(Int(units) * 64) else { throw .noSlabMemory(bytes: bytes) }
    guard let pages = memory.allocate(Slab.pagesSize(pageCount)) else {
      memory.free(arena, Int(units) * 64)
      throw .noSlabMemory(bytes: bytes)
    }
    self.arena = arena
    // Safe: `pagesSize` has given so many pages their memory, which is zeroed: each is a `Page` with the values declared.
    self.pages = pages.bindMemory(to: Page.self, capacity: Int(pageCount))
  }

  deinit {
    memory.free(pages, Slab.pagesSize(pageCount))
    memory.free(arena, Int(units) * 64)
  }

  private static func pagesSize(_ count: UInt32) -> Int { Int(count) * MemoryLayout<Page>.stride }

  /// The arena's first byte: finished records are read by the export lcore through `SlabReader`.
  var reader: SlabReader { SlabReader(arena: arena, units: units) }

  /// A block with room for `length` bytes, entered at the head of the flow's list `blocks`; nil if there is no page for it
  /// or `length` is more than the largest block holds.
  mutating func take(_ length: Int, for blocks: inout UInt32) -> BlockReference? {
    var sizeClass = 0
    while sizeClass < Slab.classCount, length > Slab.size(sizeClass) &- Slab.headerSize { sizeClass &+= 1 }
    guard sizeClass < Slab.classCount else { return nil }
    if open[total: sizeClass] == 0 {
      guard openPage(sizeClass) else { return nil }
    }
    let number = open[total: sizeClass]
    guard let page = page(number) else { return nil }
    var unit = page.pointee.free
    if unit != 0 {
      page.pointee.free = header(unit)?.pointee.next ?? 0
    } else {
      unit = Slab.firstUnit(number) &+ UInt32(page.pointee.cut) &* Slab.unitsPerBlock(sizeClass)
      page.pointee.cut &+= 1
    }
    page.pointee.used &+= 1
    if page.pointee.used == page.pointee.capacity { close(number, sizeClass) }
    guard let header = header(unit) else { return nil }
    header.pointee = Header(next: blocks, sizeClass: UInt32(truncatingIfNeeded: sizeClass))
    blocks = unit
    return BlockReference(unit: unit)
  }

  /// Prefetches the header of a flow's first block, which `giveBack` will read.
  @inline(__always)
  func prefetch(_ blocks: UInt32) {
    if blocks != 0, blocks < units { martlet_prefetch(arena + Int(blocks) &* 64) }
  }

  /// Takes all blocks of a flow's list back.
  @inline(__always)
  mutating func giveBack(_ blocks: inout UInt32) {
    while blocks != 0 {
      guard let header = header(blocks) else {
        blocks = 0
        return
      }
      let next = header.pointee.next
      giveBack(block: blocks, header)
      blocks = next
    }
  }

  private mutating func giveBack(block unit: UInt32, _ header: UnsafeMutablePointer<Header>) {
    let sizeClass = Int(header.pointee.sizeClass)
    let number = (unit &- 1) / Slab.unitsPerPage &+ 1
    guard let page = page(number), page.pointee.used > 0 else { return noteFault() }
    let wasFull = page.pointee.used == page.pointee.capacity
    header.pointee.next = page.pointee.free
    page.pointee.free = unit
    page.pointee.used &-= 1
    if page.pointee.used == 0 {
      if !wasFull { close(number, sizeClass) }
      page.pointee = Page(next: empty)
      empty = number
      emptyCount &+= 1
    } else if wasFull {
      list(number, sizeClass)
    }
  }

  // MARK: Pages

  /// Makes an empty page one for blocks of `sizeClass`; false when there is none for them.
  private mutating func openPage(_ sizeClass: Int) -> Bool {
    guard emptyCount > (sizeClass > Slab.lastSmallClass ? pageCount / 4 : 0) else { return false }
    let number = empty != 0 ? empty : touched &+ 1
    guard let page = page(number) else { return false }
    let first = Slab.firstUnit(number)
    let room = min(Slab.unitsPerPage, units > first ? units &- first : 0)
    let capacity = UInt16(truncatingIfNeeded: room >> Slab.unitsShift(sizeClass))
    guard capacity > 0 else { return false }
    if number == empty { empty = page.pointee.next } else { touched = number }
    emptyCount &-= 1
    page.pointee = Page(capacity: capacity)
    list(number, sizeClass)
    return true
  }

  /// Enters a page with room at the head of its size's list.
  private mutating func list(_ number: UInt32, _ sizeClass: Int) {
    guard let page = page(number) else { return }
    let next = open[total: sizeClass]
    page.pointee.next = next
    page.pointee.previous = 0
    if next != 0 { self.page(next)?.pointee.previous = number }
    open[total: sizeClass] = number
  }

  /// Takes a page out of its size's list: it is full, or empty.
  private mutating func close(_ number: UInt32, _ sizeClass: Int) {
    guard let page = page(number) else { return }
    let (next, previous) = (page.pointee.next, page.pointee.previous)
    if next != 0 { self.page(next)?.pointee.previous = previous }
    if previous != 0 { self.page(previous)?.pointee.next = next } else { open[total: sizeClass] = next }
  }

  /// What is known of page `number`; nil, and a fault, where there is no such page.
  private func page(_ number: UInt32) -> UnsafeMutablePointer<Page>? {
    guard number > 0, number <= pageCount else {
      noteFault()
      return nil
    }
    // Safe: the line above checked the number.
    return pages + Int(number &- 1)
  }

  /// Unit 0 stands for no block, so the first page begins at unit 1.
  @inline(__always)
  private static func firstUnit(_ page: UInt32) -> UInt32 { 1 &+ (page &- 1) &* unitsPerPage }

  @inline(__always)
  private static func unitsPerBlock(_ sizeClass: Int) -> UInt32 { 1 &<< unitsShift(sizeClass) }

  /// log2 of the units of a block of `sizeClass`.
  @inline(__always)
  private static func unitsShift(_ sizeClass: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: 1 &+ 2 &* sizeClass)
  }

  // MARK: Blocks

  /// The bytes of a block of `sizeClass`, its header included.
  @inline(__always)
  static func size(_ sizeClass: Int) -> Int { 128 &<< (2 &* sizeClass) }

  /// How a block begins.
  private struct Header: BitwiseCopyable {
    /// The next block of the flow, or of those that came back.
    var next: UInt32
    var sizeClass: UInt32
  }

  /// The header of the block at `unit`; nil, and a fault, where there is no block.
  private func header(_ unit: UInt32) -> UnsafeMutablePointer<Header>? {
    guard unit != 0, unit < units else {
      noteFault()
      return nil
    }
    // Safe: each unit in the arena has 64 bytes, and its first eight are a block's header.
    return (arena + Int(unit) &* 64).assumingMemoryBound(to: Header.self)
  }
}

/// Reads blocks of one slab.
///
/// Safe between threads: a block is only its flow's, and who has the record of that reads it: the worker until it puts the
/// record into a ring, the export lcore until it puts it into the ring back.
public struct SlabReader: BitwiseCopyable, @unchecked Sendable {
  let arena: UnsafeMutableRawPointer
  let units: UInt32

  /// Prefetches a block's lines as far as its first `length` bytes of contents reach.
  @inline(__always)
  func prefetch(_ block: BlockReference, _ length: Int) {
    guard block.unit != 0, block.unit < units else { return }
    var offset = Int(block.unit) &* 64
    let end = min(offset &+ Slab.headerSize &+ max(0, min(length, Slab.largest)), Int(units) &* 64)
    while offset < end {
      martlet_prefetch(arena + offset)
      offset &+= 64
    }
  }

  /// The contents of a block: as many bytes as its size class holds; empty for no block, and, with a fault, for one that
  /// is not in the slab.
  @inline(__always)
  public func contents(_ block: BlockReference) -> MutableBytes {
    guard block.unit != 0 else { return MutableBytes(arena, count: 0) }
    let offset = Int(block.unit) &* 64
    guard block.unit < units else {
      noteFault()
      return MutableBytes(arena, count: 0)
    }
    let start = arena + offset
    // Safe: each unit in the arena has 64 bytes. The class is masked, and what it says is kept inside of the arena.
    let sizeClass = Int(start.load(fromByteOffset: 4, as: UInt32.self) & 7)
    let size = min(Slab.size(sizeClass), Int(units) &* 64 &- offset)
    return MutableBytes(start + Slab.headerSize, count: size &- Slab.headerSize)
  }
}
