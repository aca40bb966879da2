// The hash that places flows in the table. It is keyed by random words, because a sender chooses the keys: with a known
// or linear function (CRC, Toeplitz) anyone can aim many flows at one bucket. It gives both directions of a flow the
// same value, so that one lookup finds a biflow.

/// A keyed, symmetric 64-bit hash by folded 64×64-bit multiplications.
///
/// An endpoint (address and port) is one word; the smaller and the larger of a packet's two endpoints are each combined
/// with a secret word and multiplied, and the product's halves are folded together; the result is multiplied with a third
/// and fourth (as wyhash ends, Wang Yi 2019).
public struct FlowHash: BitwiseCopyable, Sendable {
  private let secrets: (UInt64, UInt64, UInt64, UInt64)

  /// A hash keyed by `seed`; live workers use a random one, offline runs a fixed one so that they repeat.
  public init(seed: UInt64) {
    // The seed is spread over the four secret words.
    var words = SplitMix64(state: seed)
    secrets = (words.next() | 1, words.next(), words.next(), words.next() | 1)
  }

  @inline(__always)
  private func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  /// The hash of two endpoints in either order and of what both directions share: VLAN, version and protocol go into
  /// the top 16 bits, which IPv4 endpoints leave free.
  @inline(__always)
  private func combine(_ one: UInt64, _ other: UInt64, _ key: Key) -> UInt64 {
    let product = fold(
      min(one, other) ^ secrets.0 ^ key.rest << 32 & 0xFFFF_0000_0000_0000,
      max(one, other) ^ secrets.1 ^ key.rest << 48)
    // Once more: where one endpoint stays the same and the other counts, as in a scan, a single multiplication gives
    // multiples of one number, and with one secret in twenty these crowd in few buckets.
    return fold(product ^ secrets.2, secrets.3)
  }

  /// The hash of what has the hash `hash` and of a word.
  @inline(__always)
  func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 { fold(hash ^ secrets.1, word ^ secrets.3) }

  /// The hash of an IPv4 flow's key.
  @inline(__always)
  func hash(_ key: Key) -> UInt64 {
    let source = (key.addresses >> 32) << 16 | key.rest >> 48
    let destination = (key.addresses << 32) >> 16 | (key.rest >> 32) & 0xFFFF
    return combine(source, destination, key)
  }

  /// The hash of an IPv6 flow's key, whose full addresses are given by their halves.
  @inline(__always)
  func hash(_ key: Key, source: (high: UInt64, low: UInt64), destination: (high: UInt64, low: UInt64))
    -> UInt64
  {
    let one = fold(source.high ^ secrets.2 ^ key.rest >> 48, source.low ^ secrets.3)
    let other = fold(destination.high ^ secrets.2 ^ (key.rest >> 32) & 0xFFFF, destination.low ^ secrets.3)
    return combine(one, other, key)
  }

  /// Two independent hashes of a datagram's addresses, in this order, and of what else tells it from others; the first is
  /// never 0.
  @inline(__always)
  func hashes(_ source: (UInt64, UInt64), _ destination: (UInt64, UInt64), _ number: UInt64) -> (
    UInt64, UInt64
  ) {
    let one = fold(source.0 ^ secrets.2, source.1 ^ secrets.3)
    let other = fold(destination.0 ^ secrets.3, destination.1 ^ secrets.1)
    return (
      fold(one ^ secrets.0 ^ number, other ^ secrets.3) | 1,
      fold(one &+ secrets.1, other ^ secrets.2 ^ number)
    )
  }
}

extension FlowHash {
  /// What every run and every probe makes the exported flowId of a key with.
  static var ofIdentifiers: FlowHash { FlowHash(seed: 0) }
}
