// Addresses that stand for others: Crypto-PAn's published results, the prefixes that it keeps, and what is cut off.
import Testing
import Wire

@testable import FlowCore

@Suite("Anonymised addresses") struct AnonymiserTests {
  /// The key of Crypto-PAn's sample.
  static let key: [UInt8] = [
    21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121, 121, 101,
    39, 98, 87, 76, 45, 42, 132, 34, 2,
  ]

  private static func number(_ text: String) -> UInt32 {
    text.split(separator: ".").reduce(0) { $0 << 8 | UInt32($1)! }
  }

  /// Of `sample_trace_raw.dat` and `sample_trace_sanitized.dat` of its distribution (Georgia Tech, 2002).
  @Test(
    "the sample trace of Crypto-PAn",
    arguments: [
      ("128.11.68.132", "135.242.180.132"), ("129.118.74.4", "134.136.186.123"),
      ("130.132.252.244", "133.68.164.234"), ("141.223.7.43", "141.167.8.160"),
      ("141.233.145.108", "141.129.237.235"), ("152.163.225.39", "151.140.114.167"),
      ("156.29.3.236", "147.225.12.42"), ("165.247.96.84", "162.9.99.234"),
      ("166.107.77.190", "160.132.178.185"), ("192.102.249.13", "252.138.62.131"),
      ("192.215.32.125", "252.43.47.189"), ("192.41.57.43", "252.222.221.184"),
      ("193.150.244.223", "253.169.52.216"), ("195.205.63.100", "255.186.223.5"),
      ("199.217.79.101", "248.38.184.213"), ("202.49.198.20", "245.206.7.234"),
      ("204.29.20.4", "243.33.20.123"), ("207.33.151.131", "241.1.233.131"),
      ("208.52.56.122", "227.8.63.165"), ("212.206.130.201", "228.69.242.193"),
      ("216.35.217.178", "235.195.157.81"), ("24.0.250.221", "100.15.198.226"),
      ("38.15.67.68", "64.3.66.187"), ("4.3.88.225", "124.60.155.63"), ("63.14.55.111", "95.9.215.7"),
      ("64.39.15.238", "0.219.7.41"), ("10.185.25.118", "117.161.29.118"),
    ])
  func sampleTrace(address: String, expected: String) throws {
    let cipher = try #require(CryptoPAn(key: Self.key))
    #expect(cipher.map(Self.number(address)) == Self.number(expected))
  }

  /// As Yawning Angel's cryptopan for Go has it, and what follows it.
  @Test(
    "IPv6 as other implementations have it",
    arguments: [
      (0, 1, 0x78ff_f001_9fc0_20df, 0x8380_b1f1_0704_00ed),
      (0, 2, 0x78ff_f001_9fc0_20df, 0x8380_b1f1_0704_00ef),
      (0, 0xffff, 0x78ff_f001_9fc0_20df, 0x8380_b1f1_0704_f838),
      (0x2001_0db8_0000_0000, 1, 0x4401_02bc_603f_d91d, 0x027f_ff8e_e6f1_dc1e),
      (0x2001_0db8_0000_0000, 2, 0x4401_02bc_603f_d91d, 0x027f_ff8e_e6f1_dc1c),
    ] as [(UInt64, UInt64, UInt64, UInt64)])
  func version6(high: UInt64, low: UInt64, newHigh: UInt64, newLow: UInt64) throws {
    let cipher = try #require(CryptoPAn(key: Self.key))
    let mapped = cipher.map(high: high, low: low)
    #expect([mapped.high, mapped.low] == [newHigh, newLow])
  }

  @Test("two addresses share as many first bits as before")
  func prefixes() throws {
    let anonymiser = try #require(Anonymiser(.cryptoPAn(key: Self.key), zeroesMAC: true))
    var random = SplitMix64(state: 7)
    var seen: [UInt32: UInt32] = [:]
    for _ in 0..<5000 {
      let one = UInt32(truncatingIfNeeded: random.next())
      // Shares a random number of bits with it.
      let other = one ^ (UInt32(truncatingIfNeeded: random.next()) >> random.below(32))
      let (newOne, newOther) = (anonymiser.replacement(of: one), anonymiser.replacement(of: other))
      #expect((one ^ other).leadingZeroBitCount == (newOne ^ newOther).leadingZeroBitCount)
      seen[one] = newOne
    }
    #expect(Set(seen.values).count == seen.count, "no two become one")
    for (address, replacement) in seen { #expect(anonymiser.replacement(of: address) == replacement) }
    for _ in 0..<2000 {
      let (high, low) = (random.next(), random.next())
      let bit = random.below(128)
      let other = bit < 64 ? (high ^ 1 << (63 - UInt64(bit)), low) : (high, low ^ 1 << (127 - UInt64(bit)))
      let (newHigh, newLow) = anonymiser.replacement(high: high, low: low)
      let (otherHigh, otherLow) = anonymiser.replacement(high: other.0, low: other.1)
      let shared =
        newHigh == otherHigh
        ? 64 + (newLow ^ otherLow).leadingZeroBitCount : (newHigh ^ otherHigh).leadingZeroBitCount
      #expect(shared == Int(bit))
    }
  }

  @Test("what is remembered is what is computed, whatever came between")
  func memory() throws {
    let cipher = try #require(CryptoPAn(key: Self.key))
    let anonymiser = try #require(Anonymiser(.cryptoPAn(key: Self.key), zeroesMAC: true))
    var random = SplitMix64(state: 9)
    for _ in 0..<3 {
      for address: UInt32 in [0, 1, .max, 0x0A00_0001] {
        #expect(anonymiser.replacement(of: address) == cipher.map(address))
        let mapped = anonymiser.replacement(high: 0, low: UInt64(address))
        let expected = cipher.map(high: 0, low: UInt64(address))
        #expect([mapped.high, mapped.low] == [expected.high, expected.low])
      }
      for _ in 0..<50_000 { _ = anonymiser.replacement(of: UInt32(truncatingIfNeeded: random.next())) }
      for _ in 0..<5000 { _ = anonymiser.replacement(high: random.next(), low: random.next()) }
    }
  }

  @Test("truncated: the first bits stay")
  func truncated() throws {
    func anonymiser(_ version4: Int, _ version6: Int) throws -> Anonymiser {
      try #require(Anonymiser(.truncate(version4: version4, version6: version6), zeroesMAC: false))
    }
    func halves(_ anonymiser: Anonymiser, _ high: UInt64, low: UInt64) -> [UInt64] {
      let (high, low) = anonymiser.replacement(high: high, low: low)
      return [high, low]
    }
    let usual = try anonymiser(24, 64)
    #expect(usual.replacement(of: 0xC000_02FF) == 0xC000_0200)
    #expect(halves(usual, 0x2001_0db8_1234_5678, low: .max) == [0x2001_0db8_1234_5678, 0])
    #expect(usual.replacement(ofMAC: 0x0200_0000_0001) == 0x0200_0000_0001)
    let nothing = try anonymiser(0, 0)
    #expect(nothing.replacement(of: .max) == 0)
    #expect(halves(nothing, .max, low: .max) == [0, 0])
    let all = try anonymiser(32, 128)
    #expect(all.replacement(of: 0x1234_5678) == 0x1234_5678)
    #expect(halves(all, 5, low: 6) == [5, 6])
    #expect(try halves(anonymiser(24, 48), .max, low: .max) == [0xFFFF_FFFF_FFFF_0000, 0])
    #expect(try halves(anonymiser(24, 72), .max, low: .max) == [.max, 0xFF00_0000_0000_0000])
    // 203.0.113.77 in 6to4 and as Teredo's server; mapped, translated, and as Teredo's client where the last bits stay.
    #expect(halves(usual, 0x2002_CB00_714D_0001, low: 1) == [0x2002_CB00_7100_0001, 0])
    #expect(halves(usual, 0x2001_0000_CB00_714D, low: .max) == [0x2001_0000_CB00_7100, 0])
    let whole6 = try anonymiser(24, 128)
    #expect(halves(whole6, 0, low: 0xFFFF_CB00_714D) == [0, 0xFFFF_CB00_7100])
    #expect(
      halves(whole6, 0x0064_FF9B_0000_0000, low: 0xCB00_714D) == [0x0064_FF9B_0000_0000, 0xCB00_7100])
    #expect(
      halves(whole6, 0x2001_0000_0102_0304, low: 0x34FF_8EB2) == [0x2001_0000_0102_0300, 0x34FF_8E00])
    #expect(halves(whole6, 0x2001_0DB8_0102_0304, low: 5) == [0x2001_0DB8_0102_0304, 5])
  }

  @Test("a key has 32 octets")
  func keys() {
    for count in [0, 16, 31, 33] {
      let made = CryptoPAn(key: [UInt8](repeating: 1, count: count)) != nil
      #expect(!made)
    }
  }

  @Test("plugins say whether they export payload or names")
  func plugins() throws {
    let all = PluginPreset.all.selections
    let schema = try BuiltInSchema(plugins: all)
    let harmless = Set(all.map(\.name)).subtracting(schema.contentPlugins)
    #expect(
      harmless == [
        "basicplus", "bstats", "flowhash", "flowstats", "icmp", "mpls", "nettisa", "ovpn", "phists", "pstats",
        "qos",
        "rtt", "ssadetector", "tunnel", "vlan", "wg",
      ])
  }
}
