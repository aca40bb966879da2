// Addresses that stand in records for those of the packets (`--anonymise`). The export lcore puts them into a record once, before
// the first of its outputs reads it, so that all outputs have the same, and nothing is made of the true ones: no flowId either.
import Wire

/// How addresses are made unrecognisable.
public enum AddressMasking: Equatable, Sendable {
  /// By Crypto-PAn with this key: prefixes stay together.
  case cryptoPAn(key: [UInt8])
  /// Only so many of the first bits stay, the others are 0.
  case truncate(version4: Int, version6: Int)
}

/// Replaces addresses, for one thread. Those of late are remembered: the same come again and again.
public final class Anonymiser {
  private let cipher: CryptoPAn?
  private let mask4: UInt32
  private let mask6: (high: UInt64, low: UInt64)
  private let zeroesMAC: Bool
  private let known4: UnsafeMutablePointer<Known4>
  private let known6: UnsafeMutablePointer<Known6>

  /// An IPv4 address and the one in its place. A place of the memory begins with a pair that is right, so it is always one.
  private struct Known4: BitwiseCopyable {
    var address: UInt32
    var replacement: UInt32
  }

  private struct Known6: BitwiseCopyable {
    var high: UInt64
    var low: UInt64
    var replacement: (high: UInt64, low: UInt64)
  }

  /// Addresses that are remembered: 128 and 256 KiB, of the second-level cache.
  private static let places4 = 16384
  private static let places6 = 8192

  /// - Parameter zeroesMAC: MAC addresses become zeros.
  /// - Returns: nil for a key that is none.
  public init?(_ masking: AddressMasking, zeroesMAC: Bool) {
    self.zeroesMAC = zeroesMAC
    switch masking {
    case .cryptoPAn(let key):
      guard let cipher = CryptoPAn(key: key) else { return nil }
      self.cipher = cipher
      (mask4, mask6) = (.max, (.max, .max))
    case .truncate(let version4, let version6):
      cipher = nil
      // The smart shift gives 0 for all bits and more.
      mask4 = .max << (32 - version4)
      mask6 = (.max << max(0, 64 - version6), version6 <= 64 ? 0 : .max << (128 - version6))
    }
    known4 = .allocate(capacity: Self.places4)
    known6 = .allocate(capacity: Self.places6)
    known4.initialize(repeating: Known4(address: 0, replacement: 0), count: Self.places4)
    known6.initialize(repeating: Known6(high: 0, low: 0, replacement: (0, 0)), count: Self.places6)
    let none4 = Known4(address: 0, replacement: compute(0))
    let none6 = Known6(high: 0, low: 0, replacement: compute(0, 0))
    for index in 0..<Self.places4 { known4[index] = none4 }
    for index in 0..<Self.places6 { known6[index] = none6 }
  }

  deinit {
    known4.deallocate()
    known6.deallocate()
  }

  /// The address in place of another.
  public func replacement(of address: IPAddress) -> IPAddress {
    guard address.isVersion6 else { return IPAddress(version4: replacement(of: address.version4)) }
    let (high, low) = replacement(high: address.high, low: address.low)
    return IPAddress(high: high, low: low)
  }

  /// The MAC address in place of another.
  func replacement(ofMAC address: UInt64) -> UInt64 { zeroesMAC ? 0 : address }

  func replacement(of address: UInt32) -> UInt32 {
    let place = Int(truncatingIfNeeded: (address &* 0x9E37_79B1) &>> 18) & (Self.places4 &- 1)
    // Safe: the mask is one less than the places, which are a power of two.
    if known4[place].address == address { return known4[place].replacement }
    let replacement = compute(address)
    known4[place] = Known4(address: address, replacement: replacement)
    return replacement
  }

  func replacement(high: UInt64, low: UInt64) -> (high: UInt64, low: UInt64) {
    let mixed = (high &* 0x9E37_79B9_7F4A_7C15 ^ low) &* 0xBF58_476D_1CE4_E5B9
    let place = Int(truncatingIfNeeded: mixed &>> 51) & (Self.places6 &- 1)
    // Safe: as above.
    if known6[place].high == high, known6[place].low == low { return known6[place].replacement }
    let replacement = compute(high, low)
    known6[place] = Known6(high: high, low: low, replacement: replacement)
    return replacement
  }

  private func compute(_ address: UInt32) -> UInt32 {
    cipher?.map(address) ?? address & mask4
  }

  private func compute(_ high: UInt64, _ low: UInt64) -> (high: UInt64, low: UInt64) {
    cipher?.map(high: high, low: low) ?? truncated(high, low)
  }

  /// An IPv6 address without its last bits. One with a host's IPv4 address in it keeps of that what IPv4 addresses keep, too.
  ///
  ///     | 20 02 | IPv4 | …                                 6to4 (RFC 3056 section 2)
  ///     | 20 01 00 00 | server's IPv4 | … | client's IPv4, inverted |    Teredo (RFC 4380 section 4)
  ///     | 0 … FF FF | IPv4 |   or   | 00 64 FF 9B 0 … | IPv4 |           mapped (RFC 4291), translated (RFC 6052)
  private func truncated(_ high: UInt64, _ low: UInt64) -> (high: UInt64, low: UInt64) {
    let removed = UInt64(~mask4)
    var (high, low) = (high & mask6.high, low & mask6.low)
    if high &>> 48 == 0x2002 {
      high &= ~(removed &<< 16)
    } else if high &>> 32 == 0x2001_0000 {
      (high, low) = (high & ~removed, low & ~removed)
    } else if (high == 0 && low &>> 32 == 0xFFFF) || (high == 0x0064_FF9B_0000_0000 && low &>> 32 == 0) {
      low &= ~removed
    }
    return (high, low)
  }
}

extension FlowRecord {
  /// Replaces the addresses of a record that has left the table.
  mutating func anonymise(_ anonymiser: Anonymiser) {
    if key.isVersion6 {
      (sourceHigh, sourceLow) = anonymiser.replacement(high: sourceHigh, low: sourceLow)
      (destinationHigh, destinationLow) = anonymiser.replacement(high: destinationHigh, low: destinationLow)
      key.addresses = sourceLow &<< 32 | destinationLow & 0xFFFF_FFFF
    } else {
      let source = anonymiser.replacement(of: UInt32(truncatingIfNeeded: key.addresses &>> 32))
      let destination = anonymiser.replacement(of: UInt32(truncatingIfNeeded: key.addresses))
      key.addresses = UInt64(source) &<< 32 | UInt64(destination)
    }
    let others: UInt64 = 0xFFFF &<< 48
    sourceMACAndWorker = sourceMACAndWorker & others | anonymiser.replacement(ofMAC: sourceMAC)
    destinationMACAndPort = destinationMACAndPort & others | anonymiser.replacement(ofMAC: destinationMAC)
  }
}
