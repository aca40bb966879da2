// The key that makes a Toeplitz hash symmetric, so that both directions of a connection reach one lcore
// (Woo and Park, "Scalable TCP Session Monitoring with Symmetric RSS", 2012).

/// Symmetric keys for RSS.
enum RSSKey {
  /// 0x6d5a repeated to `length` bytes: source and destination can change places without changing the hash.
  static func symmetric(length: Int) -> [UInt8] { (0..<length).map { $0.isMultiple(of: 2) ? 0x6d : 0x5a } }

  /// The Toeplitz hash of `input` under `key` (which must be four bytes longer), as NICs compute it.
  ///
  /// For tests: the hash that matters is computed by the device.
  static func toeplitz(_ input: [UInt8], key: [UInt8]) -> UInt32 {
    var hash: UInt32 = 0
    for (index, byte) in input.enumerated() {
      for bit in 0..<8 where byte & (0x80 >> UInt8(bit)) != 0 {
        var window: UInt64 = 0
        for offset in 0..<5 { window = window << 8 | UInt64(key[(index + offset) % key.count]) }
        hash ^= UInt32(truncatingIfNeeded: window >> UInt64(8 - bit))
      }
    }
    return hash
  }
}
