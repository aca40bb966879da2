// A packet as plugins see it: what dissecting found, read when asked for.
import Wire

/// One packet as a plugin sees it.
public struct PacketView: BitwiseCopyable {
  let packet: UnsafePointer<Packet>
  /// Whether the packet was sent by the flow's source.
  public let isForward: Bool
  /// When it was received, whole microseconds since 1970: divided once for all plugins.
  public let microseconds: UInt64

  @inline(__always)
  init(packet: UnsafePointer<Packet>, isForward: Bool) {
    self.packet = packet
    self.isForward = isForward
    microseconds = packet.pointee.time / 1000
  }

  /// When it was received, nanoseconds since 1970.
  @inline(__always) public var time: UInt64 { packet.pointee.time }
  /// The payload's length from the headers; may be more than was captured.
  @inline(__always) public var payloadLength: Int { Int(packet.pointee.payloadLength) }
  /// The captured payload.
  @inline(__always) public var payload: Bytes { packet.pointee.payload }
  /// How many bytes of the payload were captured.
  @inline(__always) public var payloadCaptured: Int { Int(packet.pointee.payloadCaptured) }
  /// IPv4 total length or IPv6 payload length + 40.
  @inline(__always) public var octets: Int { Int(packet.pointee.octets) }
  /// The frame's length on the wire.
  @inline(__always) public var frameLength: Int { Int(packet.pointee.wire) }
  /// The IP protocol number.
  @inline(__always) public var protocolNumber: UInt8 { packet.pointee.key.protocolNumber }
  /// The packet's own source and destination port.
  @inline(__always) public var sourcePort: UInt16 { packet.pointee.key.sourcePort }
  @inline(__always) public var destinationPort: UInt16 { packet.pointee.key.destinationPort }
  /// The outermost VLAN id, 0 when untagged.
  @inline(__always) public var vlan: UInt16 { packet.pointee.key.vlan }
  @inline(__always) public var isVersion6: Bool { packet.pointee.key.isVersion6 }
  /// IPv4 time to live or IPv6 hop limit.
  @inline(__always) public var timeToLive: UInt8 { packet.pointee.timeToLive }
  /// IPv4 flags: bit 2 reserved, bit 1 DF, bit 0 MF.
  @inline(__always) public var fragmentFlags: UInt8 { packet.pointee.fragmentFlags }
  /// Whether this is a fragment other than the first of its datagram: its payload does not begin with a header.
  @inline(__always) public var isLaterFragment: Bool { packet.pointee.isLaterFragment }
  /// The TCP flags octet, 0 where there is no TCP header.
  @inline(__always) public var tcpFlags: UInt8 { packet.pointee.tcpFlags }
  /// The outermost MPLS label stack entry, 0 without MPLS.
  @inline(__always) public var mplsEntry: UInt32 { packet.pointee.mplsEntry }

  /// The transport header; empty for later fragments and protocols without one.
  @inline(__always)
  var transportHeader: Bytes {
    let packet = packet.pointee
    return Bytes(packet.frame, count: Int(packet.captured))
      .slice(Int(packet.transportOffset), Int(packet.payloadOffset) &- Int(packet.transportOffset))
  }

  /// The TCP header, or nil where there is none.
  @inline(__always)
  public var tcpHeader: Bytes? {
    guard protocolNumber == IPProtocol.tcp else { return nil }
    let header = transportHeader
    return header.count >= 20 ? header : nil
  }
}
