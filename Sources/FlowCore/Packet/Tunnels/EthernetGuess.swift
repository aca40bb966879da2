// Where a tunnel's header does not say whether an Ethernet frame follows, its bytes have to.
import Wire

/// Tells Ethernet frames with IP in them from other bytes.
enum EthernetGuess {
  /// Whether `bytes` look like a frame: up to two VLAN tags, then IPv4 or IPv6 whose header begins as it must.
  ///
  ///     | destination 6 | source 6 | [81 00, tag 2] … | 08 00 or 86 DD | IP …
  static func isFrame(_ bytes: Bytes) -> Bool {
    var place = 12
    var tags = 0
    while bytes.count > place &+ 2 {
      switch bytes.load(UInt16.self, at: place) {
      case EtherType.ipv4: return bytes[place &+ 2] >> 4 == 4 && bytes[place &+ 2] & 0xF >= 5
      case EtherType.ipv6: return bytes[place &+ 2] >> 4 == 6
      case EtherType.vlan, EtherType.providerVLAN, EtherType.oldProviderVLAN: break
      default: return false
      }
      guard tags < 2 else { return false }
      tags &+= 1
      place &+= 4
    }
    return false
  }
}
