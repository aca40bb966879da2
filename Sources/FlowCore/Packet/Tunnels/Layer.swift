// What a header says that comes next: the one thing that link layers, tunnels and the loop that opens them tell each other.

/// What the next header is.
enum Layer: BitwiseCopyable {
  case ethernet
  case etherType(UInt16)
  case mpls
  case pppoe
  case ppp
  case trill
  case providerBackbone
  /// IP of the version that its first four bits say.
  case ip
  case ipv4
  case ipv6
}
