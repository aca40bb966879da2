// An IP address as plugins get it: a small value, so that it costs no more than the bytes it is read from.
import IPFIX
import Wire

/// An IPv4 or IPv6 address.
public struct IPAddress: BitwiseCopyable, Hashable, Sendable {
  /// The first eight bytes of an IPv6 address as a number; 0 for IPv4.
  public let high: UInt64
  /// The last eight bytes of an IPv6 address as a number; the IPv4 address as one: 192.0.2.1 is 0xC0000201.
  public let low: UInt64
  /// Whether this is an IPv6 address. `::192.0.2.1` is not the same as 192.0.2.1.
  public let isVersion6: Bool

  /// The IPv4 address of that number.
  @inline(__always)
  public init(version4 number: UInt32) { (high, low, isVersion6) = (0, UInt64(number), false) }

  /// The IPv6 address of these halves.
  @inline(__always)
  public init(high: UInt64, low: UInt64) { (self.high, self.low, isVersion6) = (high, low, true) }

  /// The IPv4 address as a number; 0 for an IPv6 address.
  @inline(__always)
  public var version4: UInt32 { isVersion6 ? 0 : UInt32(truncatingIfNeeded: low) }
}

extension PacketView {
  /// The address that the packet comes from.
  @inline(__always) public var source: IPAddress {
    guard isVersion6 else {
      return IPAddress(version4: UInt32(truncatingIfNeeded: packet.pointee.key.addresses >> 32))
    }
    let (high, low) = packet.pointee.sourceAddress6
    return IPAddress(high: high, low: low)
  }

  /// The address that the packet goes to.
  @inline(__always) public var destination: IPAddress {
    guard isVersion6 else {
      return IPAddress(version4: UInt32(truncatingIfNeeded: packet.pointee.key.addresses))
    }
    let (high, low) = packet.pointee.destinationAddress6
    return IPAddress(high: high, low: low)
  }

  /// The first four bytes of the IP header: IPv4 has version, header length, traffic class and total length there
  /// (RFC 791 section 3.1), IPv6 version, traffic class and flow label (RFC 8200 section 3).
  @inline(__always) private var headerWord: UInt32 {
    Bytes(packet.pointee.frame, count: Int(packet.pointee.captured))
      .load(UInt32.self, at: Int(packet.pointee.networkOffset))
  }

  /// The IPv6 traffic class, or the IPv4 octet that was called type of service: DSCP and ECN.
  @inline(__always) public var trafficClass: UInt8 {
    UInt8(truncatingIfNeeded: headerWord >> (isVersion6 ? 20 : 16))
  }
  /// The differentiated services code point, 0 to 63 (RFC 2474 section 3).
  @inline(__always) public var differentiatedServices: UInt8 { trafficClass >> 2 }
  /// Explicit congestion notification: 0 not capable, 1 and 2 capable, 3 congestion experienced (RFC 3168 section 5).
  @inline(__always) public var congestionNotification: UInt8 { trafficClass & 3 }
  /// Traffic class and flow label, as IPv6's header has them one behind the other: 8 bits and 20.
  @inline(__always) var trafficClassAndLabel: UInt32 {
    isVersion6 ? headerWord & 0xFFF_FFFF : headerWord << 4 & 0xFF0_0000
  }
  /// The IPv6 flow label, 20 bits (RFC 6437); 0 for IPv4.
  @inline(__always) public var flowLabel: UInt32 { isVersion6 ? headerWord & 0xF_FFFF : 0 }
}

extension FlowRecord {
  /// The address of the flow's source.
  @inline(__always) var source: IPAddress {
    key.isVersion6
      ? IPAddress(high: sourceHigh, low: sourceLow)
      : IPAddress(version4: UInt32(truncatingIfNeeded: key.addresses >> 32))
  }
  /// The address that the flow's first packet went to.
  @inline(__always) var destination: IPAddress {
    key.isVersion6
      ? IPAddress(high: destinationHigh, low: destinationLow)
      : IPAddress(version4: UInt32(truncatingIfNeeded: key.addresses))
  }
}

extension FinishedFlow {
  /// The address of the flow's source: the first packet's sender.
  @inline(__always) public var source: IPAddress { record.pointee.source }
  /// The address that the flow's first packet went to.
  @inline(__always) public var destination: IPAddress { record.pointee.destination }
  /// Whether the flow's packets are IPv6.
  @inline(__always) public var isVersion6: Bool { record.pointee.key.isVersion6 }
  /// The IP protocol number.
  @inline(__always) public var protocolNumber: UInt8 { record.pointee.key.protocolNumber }
  /// The port of the flow's source; 0 where the protocol has none.
  @inline(__always) public var sourcePort: UInt16 { record.pointee.key.sourcePort }
  /// The port of the flow's destination; 0 where the protocol has none.
  @inline(__always) public var destinationPort: UInt16 { record.pointee.key.destinationPort }
  /// When the last packet was received, nanoseconds since 1970; in a capture it may be before `first`.
  @inline(__always) public var last: UInt64 { record.pointee.last }
  /// The packets that the source sent.
  @inline(__always) public var forwardPackets: UInt32 { record.pointee.forwardPackets }
  /// The packets that the destination sent.
  @inline(__always) public var reversePackets: UInt32 { record.pointee.reversePackets }
  /// The IP total lengths of the packets that the source sent, in octets.
  @inline(__always) public var forwardOctets: UInt64 { record.pointee.forwardOctets }
  /// The IP total lengths of the packets that the destination sent, in octets.
  @inline(__always) public var reverseOctets: UInt64 { record.pointee.reverseOctets }
  /// The union of the TCP flags octets of the source's packets.
  @inline(__always) public var forwardFlags: UInt8 { record.pointee.forwardFlags }
  /// The union of the TCP flags octets of the destination's packets.
  @inline(__always) public var reverseFlags: UInt8 { record.pointee.reverseFlags }
  /// Why the flow ended.
  @inline(__always) public var endReason: FlowEndReason { record.pointee.endReason }
}

extension FlowContext {
  /// The address of the flow's source: the first packet's sender.
  @inline(__always) public var source: IPAddress { record.pointee.source }
  /// The address that the flow's first packet went to.
  @inline(__always) public var destination: IPAddress { record.pointee.destination }
  /// The octets counted so far of the packets that the source sent.
  @inline(__always) public var forwardOctets: UInt64 { record.pointee.forwardOctets }
  /// The octets counted so far of the packets that the destination sent.
  @inline(__always) public var reverseOctets: UInt64 { record.pointee.reverseOctets }
}
