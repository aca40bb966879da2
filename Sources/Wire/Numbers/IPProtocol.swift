// Protocols above IP, and IPv6's extension headers, by their numbers.

/// Protocol numbers (IANA "Protocol Numbers"), those that Martlet looks into.
public enum IPProtocol {
  public static let hopByHopOptions: UInt8 = 0
  public static let icmp: UInt8 = 1
  /// IPv4 inside of another packet.
  public static let ipv4: UInt8 = 4
  public static let tcp: UInt8 = 6
  public static let udp: UInt8 = 17
  /// IPv6 inside of another packet.
  public static let ipv6: UInt8 = 41
  public static let routing: UInt8 = 43
  public static let fragment: UInt8 = 44
  public static let gre: UInt8 = 47
  public static let authentication: UInt8 = 51
  public static let icmp6: UInt8 = 58
  public static let destinationOptions: UInt8 = 60
  public static let l2tp: UInt8 = 115
  public static let sctp: UInt8 = 132
  public static let mobility: UInt8 = 135
  public static let udpLite: UInt8 = 136
}
