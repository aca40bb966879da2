// The words of the text table: protocols, TCP flags, end reasons, endpoints.
import IPFIX

extension OutputBuffer {
  /// The protocol's usual name, else its number (IANA "Protocol Numbers").
  mutating func append(protocolName number: UInt8) {
    switch number {
    case 1: append("ICMP")
    case 2: append("IGMP")
    case 4: append("IPIP")
    case 6: append("TCP")
    case 17: append("UDP")
    case 33: append("DCCP")
    case 41: append("IPv6")
    case 46: append("RSVP")
    case 47: append("GRE")
    case 50: append("ESP")
    case 51: append("AH")
    case 58: append("ICMPv6")
    case 88: append("EIGRP")
    case 89: append("OSPF")
    case 103: append("PIM")
    case 112: append("VRRP")
    case 115: append("L2TP")
    case 132: append("SCTP")
    case 136: append("UDPL")
    default: appendDecimal(UInt64(number))
    }
  }

  /// TCP flags as `CEUAPRSF`, a dot for each that is not set.
  mutating func append(flags: UInt8) {
    let letters: StaticString = "CEUAPRSF"
    var bit = 0
    while bit < 8 {
      let isSet = flags & (0x80 &>> UInt8(truncatingIfNeeded: bit)) != 0
      append(isSet ? letters.utf8Start[bit] : UInt8(ascii: "."))
      bit &+= 1
    }
  }

  /// The word for a flowEndReason, the number where there is none.
  mutating func append(endReason number: UInt8) {
    if let reason = FlowEndReason(rawValue: number) {
      append(reason.name)
    } else {
      appendDecimal(UInt64(number))
    }
  }

  /// `192.0.2.1:443` or `[2001:db8::1]:443`; without a port when it is 0.
  mutating func append(endpoint address: (high: UInt64, low: UInt64), port: UInt64, version: UInt8) {
    if version == 6 {
      if port != 0 { append(UInt8(ascii: "[")) }
      append(version6High: address.high, low: address.low)
      if port != 0 { append(UInt8(ascii: "]")) }
    } else {
      append(version4: UInt32(truncatingIfNeeded: address.low))
    }
    guard port != 0 else { return }
    append(UInt8(ascii: ":"))
    appendDecimal(port)
  }
}
