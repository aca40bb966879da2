// The key that makes a Toeplitz hash symmetric, so that both directions of a connection reach one lcore
// (Woo and Park, "Scalable TCP Session Monitoring with Symmetric RSS", 2012).

/// Symmetric keys for RSS.
enum RSSKey {
  /// 0x6d5a repeated to `length` bytes: source and destination can change places without changing the hash.
  static func symmetric(length: Int) -> [UInt8] { (0..<length).map { $0.isMultiple(of: 2) ? 0x6d : 0x5a } }
}
