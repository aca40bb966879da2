// `--exporter-address`: under which address a probe's records are known.
import FlowCore
import Glibc

extension IPAddress {
  /// Reads a numeric address of either kind.
  init(exporter text: String) throws {
    var version4 = in_addr()
    var version6 = in6_addr()
    if inet_pton(AF_INET, text, &version4) == 1 {
      self.init(version4: UInt32(bigEndian: version4.s_addr))
    } else if inet_pton(AF_INET6, text, &version6) == 1 {
      // Safe: an IPv6 address has 16 octets.
      let (high, low) = withUnsafeBytes(of: &version6) {
        ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      }
      self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    } else {
      throw InvalidValue("'\(text)' is no IPv4 or IPv6 address, as 192.0.2.1 or 2001:db8::1")
    }
  }
}
