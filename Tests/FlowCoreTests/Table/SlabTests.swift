// Blocks of variable length: what came back serves every size, and blocks never overlap.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct SlabTests {
  private static let page = 32768

  /// Takes blocks of `length` until there are no more, each for a flow of its own.
  private func fill(_ slab: inout Slab, _ length: Int) -> [UInt32] {
    var flows: [UInt32] = []
    var flow: UInt32 = 0
    while slab.take(length, for: &flow) != nil {
      flows.append(flow)
      flow = 0
    }
    return flows
  }

  private func empty(_ slab: inout Slab, _ flows: [UInt32]) {
    for var flow in flows { slab.giveBack(&flow) }
  }

  /// All of the arena for each size in turn, whatever it was used for before.
  @Test func whatCameBackServesEverySize() throws {
    var slab = try Slab(bytes: 64 + 8 * Self.page, memory: PlainMemory())
    for _ in 0..<3 {
      for (length, count) in [(100, 8 * 256), (500, 8 * 64), (2000, 6 * 16), (8000, 6 * 4), (32000, 6)] {
        let flows = fill(&slab, length)
        #expect(flows.count == count)
        empty(&slab, flows)
      }
    }
  }

  /// Large blocks leave a quarter of the pages to the small ones.
  @Test func largeBlocksLeaveRoom() throws {
    var slab = try Slab(bytes: 64 + 8 * Self.page, memory: PlainMemory())
    #expect(fill(&slab, 2000).count == 6 * 16)
    #expect(fill(&slab, 500).count == 2 * 64)
    #expect(fill(&slab, 100).isEmpty)
  }

  /// Blocks of any size, taken and given back at random, hold what was written to them; afterwards all is there again.
  @Test func blocksNeverOverlap() throws {
    var slab = try Slab(bytes: 64 + 16 * Self.page, memory: PlainMemory())
    var generator = SeededGenerator(seed: 7)
    var flows: [(list: UInt32, blocks: [(BlockReference, UInt64)])] = []
    for step in 0..<20_000 {
      if Int.random(in: 0..<5, using: &generator) < 3 {
        var list: UInt32 = 0
        var blocks: [(BlockReference, UInt64)] = []
        for part in 0..<Int.random(in: 1...4, using: &generator) {
          let length = 16 << Int.random(in: 0...10, using: &generator)
          guard let block = slab.take(length, for: &list) else { continue }
          let contents = slab.reader.contents(block)
          let mark = UInt64(step * 4 + part)
          #expect(contents.count >= length)
          contents.store(mark, at: 0)
          contents.store(mark, at: contents.count - 8)
          blocks.append((block, mark))
        }
        flows.append((list, blocks))
      } else if !flows.isEmpty {
        var (list, blocks) = flows.remove(at: Int.random(in: 0..<flows.count, using: &generator))
        for (block, mark) in blocks {
          let contents = slab.reader.contents(block)
          #expect(contents.load(UInt64.self, at: 0) == mark)
          #expect(contents.load(UInt64.self, at: contents.count - 8) == mark)
        }
        slab.giveBack(&list)
      }
    }
    empty(&slab, flows.map(\.list))
    #expect(fill(&slab, 100).count == 16 * 256)
  }
}
