// The packet around a packet, as plugins see it.
import Wire

/// The IP packet that carries another one in a tunnel.
public struct Carrier: BitwiseCopyable {
  /// Between whom the tunnel is, from the packet's sender's side.
  public let source: IPAddress
  public let destination: IPAddress
  /// The carrying packet's protocol.
  public let protocolNumber: UInt8
  /// Its ports, the source's in the upper half; 0 where the protocol has none.
  public let ports: UInt32
}

extension PacketView {
  /// How many tunnels that were opened the packet is in; 4 of more.
  @inline(__always) public var tunnelCount: UInt8 { packet.pointee.tunnelCount }

  /// The IP packet right around this one; nil where nothing carries it, or a link layer does.
  public var carrier: Carrier? {
    guard packet.pointee.tunnelCount != 0, packet.pointee.outerVersion != 0 else { return nil }
    let header = Bytes(packet.pointee.frame, count: Int(packet.pointee.captured))
      .dropFirst(Int(packet.pointee.outerOffset))
    func address6(_ offset: Int) -> IPAddress {
      IPAddress(
        high: header.load(UInt64.self, at: offset), low: header.load(UInt64.self, at: offset &+ 8))
    }
    let isVersion6 = packet.pointee.outerVersion == 6
    return Carrier(
      source: isVersion6 ? address6(8) : IPAddress(version4: header.load(UInt32.self, at: 12)),
      destination: isVersion6 ? address6(24) : IPAddress(version4: header.load(UInt32.self, at: 16)),
      protocolNumber: packet.pointee.outerProtocol, ports: packet.pointee.outerPorts)
  }
}
