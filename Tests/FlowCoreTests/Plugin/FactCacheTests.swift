// What is remembered of addresses and of networks.
import Testing

@testable import FlowCore

@Suite struct FactCacheTests {
  /// Who was asked for what.
  final class Source {
    var asked: [IPAddress] = []
    /// How many first bits an answer is for.
    var length: UInt8

    init(_ length: UInt8) { self.length = length }

    /// The network's number, as it would be an AS number.
    func facts(of address: IPAddress) -> AddressFacts {
      asked.append(address)
      var facts = AddressFacts()
      facts.networkLength = length
      facts.asNumber = Self.number(address, length)
      return facts
    }

    static func number(_ address: IPAddress, _ length: UInt8) -> UInt32 {
      1
        + UInt32(
          truncatingIfNeeded: address.isVersion6
            ? address.high >> (64 - UInt64(length)) : address.low >> (32 - UInt64(length)))
    }
  }

  private func check(_ source: Source, _ addresses: [IPAddress], asked: Int) {
    let cache = FactCache { source.facts(of: $0) }
    for _ in 0..<2 {
      cache.beginBurst()
      for address in addresses {
        let number = cache.number(of: address)
        #expect(number > 0 && cache.base[Int(number)].facts.asNumber == Source.number(address, source.length))
      }
    }
    #expect(source.asked.count == asked)
  }

  @Test func networksAreAskedForOnce() {
    let addresses = (0..<1024 as Range<UInt32>).map { IPAddress(version4: 0xC000_0200 + $0) }
    check(Source(24), addresses, asked: 4)
    check(Source(8), addresses, asked: 4)
    // Smaller networks: each address by itself.
    check(Source(25), addresses, asked: 1024)
  }

  @Test func networksOfIPv6() {
    let addresses = (0..<64 as Range<UInt64>).map {
      IPAddress(high: 0x2001_0DB8_0000_0000 + $0 << 14, low: $0)
    }
    // 2 to the 2 of them in each /48.
    check(Source(48), addresses, asked: 16)
    check(Source(49), addresses, asked: 64)
  }

  @Test func addressesBesideNetworks() {
    let source = Source(24)
    let cache = FactCache { source.facts(of: $0) }
    let address = IPAddress(version4: 0xC000_0201)
    _ = cache.number(of: address)
    // 192.0.2.0 is a network and an address.
    source.length = 32
    cache.removeAll()
    let number = cache.number(of: IPAddress(version4: 0xC000_0200))
    #expect(cache.base[Int(number)].facts.asNumber == 0xC000_0201)
    #expect(cache.base[Int(cache.number(of: address))].facts.asNumber == 0xC000_0202)
    #expect(source.asked.count == 3)
  }
}
