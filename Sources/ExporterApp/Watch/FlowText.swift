// A flow in a line, as a crash report has it.
import FlowCore
import Wire

/// Text that is being made.
struct FlowText: TextSink {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ character: UInt8) { bytes.append(character) }

  /// "192.0.2.1:40164 > 198.51.100.2:443 tcp", from the side of the flow's first packet; IPv6 addresses have brackets.
  static func text(_ flow: SeenFlow) -> String {
    var text = FlowText()
    text.append(flow.source, port: flow.sourcePort, flow)
    text.bytes += " > ".utf8
    text.append(flow.destination, port: flow.destinationPort, flow)
    text.bytes += " \(name(flow.protocolNumber))".utf8
    if flow.vlan != 0 { text.bytes += " vlan \(flow.vlan)".utf8 }
    return String(decoding: text.bytes, as: UTF8.self)
  }

  /// One end of the flow, with its port where the protocol has some.
  private mutating func append(_ address: (high: UInt64, low: UInt64), port: UInt16, _ flow: SeenFlow) {
    if flow.isVersion6 {
      append(UInt8(ascii: "["))
      append(version6High: address.high, low: address.low)
      append(UInt8(ascii: "]"))
    } else {
      append(version4: UInt32(truncatingIfNeeded: address.low))
    }
    switch flow.protocolNumber {
    case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp, IPProtocol.udpLite:
      append(UInt8(ascii: ":"))
      append(decimal: UInt32(port))
    default: break
    }
  }

  /// The protocol's name in IANA's registry, in lower case; its number where it is none of the usual ones.
  private static func name(_ number: UInt8) -> String {
    switch number {
    case IPProtocol.icmp: "icmp"
    case IPProtocol.tcp: "tcp"
    case IPProtocol.udp: "udp"
    case IPProtocol.gre: "gre"
    case IPProtocol.icmp6: "icmpv6"
    case IPProtocol.sctp: "sctp"
    case IPProtocol.udpLite: "udplite"
    default: "protocol \(number)"
    }
  }
}
