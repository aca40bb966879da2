// The hash spreads what traffic is made of, whatever the seed: scans, sweeps over ports, one server's clients.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct FlowHashTests {
  /// Keys in which something counts and the rest stays the same.
  enum Pattern: CaseIterable {
    case destinations, sources, sourcePorts, destinationPorts, networks, both

    func key(_ number: UInt32) -> Key {
      var (source, destination): (UInt32, UInt32) = (0x0A00_0001, 0xC0A8_0000)
      var ports: (UInt16, UInt16) = (9, 9)
      switch self {
      case .destinations: destination += number
      case .sources: source += number
      case .sourcePorts:
        ports.0 = UInt16(truncatingIfNeeded: number)
        source += number >> 16
      case .destinationPorts:
        ports.1 = UInt16(truncatingIfNeeded: number)
        destination += number >> 16
      case .networks: destination &+= number << 8
      case .both:
        source += number
        destination += number
      }
      return Key(
        addresses: UInt64(source) << 32 | UInt64(destination), sourcePort: ports.0, destinationPort: ports.1,
        protocolNumber: 17, vlan: 0, isVersion6: false)
    }
  }

  /// As many flows as the table is for, two for each bucket: by Poisson's distribution one bucket in 4200 gets more than
  /// eight, so of 8192 buckets two, and in no run of thousands more than 20.
  @Test(arguments: Pattern.allCases)
  func bucketsFillEvenly(pattern: Pattern) throws {
    try forEachSeed(200) { hashes, table in
      var filled = [UInt16](repeating: 0, count: Int(table.bucketCount))
      for hash in hashes(pattern) { filled[Int(table.bucketIndex(hash))] += 1 }
      let crowded = filled.count { $0 > FlowTable.ways }
      #expect(crowded <= 20)
    }
  }

  /// Where the bucket is the same, the signature tells: of 16 384 keys two in one bucket share it once in some four runs.
  @Test(arguments: Pattern.allCases)
  func signaturesDiffer(pattern: Pattern) throws {
    try forEachSeed(50) { hashes, table in
      var seen = Set<UInt64>()
      var equal = 0
      for hash in hashes(pattern) {
        let place = table.bucketIndex(hash) << 16 | UInt64(FlowTable.signature(hash))
        if !seen.insert(place).inserted { equal += 1 }
      }
      #expect(equal <= 8)
    }
  }

  /// Calls `check` with what hashes 16 384 keys of a pattern by one of `count` random seeds, and a table for as many flows.
  private func forEachSeed(
    _ count: Int, check: ((Pattern) -> [UInt64], borrowing FlowTable) -> Void
  ) throws {
    let table = try FlowTable(limit: 16384, spare: 0, stride: FlowRecord.size, memory: PlainMemory())
    var random = SeededGenerator(seed: 7)
    for _ in 0..<count {
      let hashing = FlowHash(seed: UInt64.random(in: 0...(.max), using: &random))
      check({ pattern in (0..<UInt32(16384)).map { hashing.hash(pattern.key($0)) } }, table)
    }
  }
}
