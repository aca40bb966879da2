// Which packets and flows a sampler chooses: by counting, by chance, by hash.
import Testing

@testable import FlowCore

@Suite("Sampling") struct SamplerTests {
  /// The numbers of the frames that are chosen of `count`, which come in bursts of these sizes.
  private func chosen(_ sampling: Sampling, count: Int, bursts: [Int], seed: UInt64 = 1) -> (
    numbers: [Int], left: UInt64
  ) {
    var sampler = Sampler(sampling, burst: 32, seed: seed)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
    defer { memory.deallocate() }
    var numbers: [Int] = []
    var left: UInt64 = 0
    var start = 0
    var turn = 0
    while start < count {
      let length = min(bursts[turn % bursts.count], count - start)
      let frames = (0..<length).map { _ in Frame(bytes: memory, captured: 1, wire: 100) }
      let times = (0..<length).map { UInt64(start + $0) }
      let clocks = times.map { $0 + 1_000_000 }
      let kept = sampler.select(frames, count: length, times: times, clocks: clocks, left: &left)
      for index in 0..<kept {
        numbers.append(Int(sampler.times[index]))
        #expect(sampler.clocks[index] == sampler.times[index] + 1_000_000)
        #expect(sampler.frames[index].wire == 100)
      }
      start += length
      turn += 1
    }
    return (numbers, left)
  }

  @Test("systematic: the first of each N, whatever the bursts")
  func systematic() {
    for bursts in [[32], [1], [7, 32, 3]] {
      let (numbers, left) = chosen(Sampling(.systematic, interval: 10), count: 1137, bursts: bursts)
      #expect(numbers == Array(stride(from: 0, to: 1137, by: 10)))
      #expect(left == 100 * (1137 - 114))
    }
    #expect(chosen(Sampling(.systematic, interval: 5000), count: 4000, bursts: [32]).numbers == [0])
  }

  @Test("random: one of each N, each place as likely as the others")
  func random() {
    let (numbers, _) = chosen(Sampling(.random, interval: 8), count: 80_000, bursts: [32, 5])
    #expect(numbers.count == 10_000)
    #expect(numbers.map { $0 / 8 } == Array(0..<10_000))
    for place in 0..<8 {
      // 1250 are expected, with a standard deviation of 33.
      let count = numbers.count { $0 % 8 == place }
      #expect((1050...1450).contains(count))
    }
    let again = chosen(Sampling(.random, interval: 8), count: 80_000, bursts: [9])
    #expect(again.numbers == numbers, "the seed decides, not the bursts")
    #expect(chosen(Sampling(.random, interval: 8), count: 80_000, bursts: [9], seed: 2).numbers != numbers)
  }

  @Test("flow: one in N by hash, in all buckets alike, both directions together")
  func flow() {
    let hashing = FlowHash(seed: 3)
    let sampler = Sampler(Sampling(.flow, interval: 10), burst: 32, seed: 3)
    var count = 0
    var inUpperBuckets = 0
    for number in 0..<100_000 {
      let key = Key(
        addresses: UInt64(0x0A00_0000 + number / 250) << 32 | 0xC000_0201,
        sourcePort: UInt16(1024 + number % 250), destinationPort: 443, protocolNumber: 6, vlan: 0,
        isVersion6: false)
      let hash = hashing.hash(key)
      let isChosen = sampler.isChosen(hash)
      #expect(isChosen == sampler.isChosen(hashing.hash(key.reversed)))
      guard isChosen else { continue }
      count += 1
      if hash >> 63 == 1 { inUpperBuckets += 1 }
    }
    // 10,000 are expected with a standard deviation of 95, half of them with any bit of the hash.
    #expect((9500...10_500).contains(count))
    #expect((4700...5300).contains(inUpperBuckets))
  }

  @Test("1/1 is everything")
  func everything() {
    #expect(!Sampling.all.isByPacket && !Sampling.all.isByFlow)
    #expect(Sampling(.random, interval: 2).isByPacket && !Sampling(.flow, interval: 2).isByPacket)
    #expect(!Sampling(.flow, interval: 1).isByFlow)
    #expect(Sampling(.systematic, interval: 0).interval == 1)
  }
}
