// Where a handler that cannot run Swift finds a flow's key in what a thread's trace points to.

/// Offsets in bytes, from the start of a packet or of a flow record.
public enum TraceLayout {
  /// The packet's word with both IPv4 addresses, see `Key`.
  public static var packetAddresses: Int { offset(of: \Packet.key) + offset(of: \Key.addresses) }
  /// The packet's word with ports, IP version, VLAN id and protocol, see `Key`.
  public static var packetRest: Int { offset(of: \Packet.key) + offset(of: \Key.rest) }
  /// The address of the frame's first byte.
  public static var packetFrame: Int { offset(of: \Packet.frame) }
  /// The frame's captured bytes, 32 bits.
  public static var packetCaptured: Int { offset(of: \Packet.captured) }
  /// Where in the frame the IP header begins, 32 bits.
  public static var packetNetwork: Int { offset(of: \Packet.networkOffset) }
  /// As `packetAddresses`, of a record.
  public static var recordAddresses: Int { offset(of: \FlowRecord.key) + offset(of: \Key.addresses) }
  /// As `packetRest`, of a record.
  public static var recordRest: Int { offset(of: \FlowRecord.key) + offset(of: \Key.rest) }
  /// The halves of a record's IPv6 source address, upper first, then those of the destination.
  public static var recordAddresses6: Int { offset(of: \FlowRecord.sourceHigh) }

  /// Every field asked for is stored, so that it has an offset.
  private static func offset<Whole>(of field: PartialKeyPath<Whole>) -> Int {
    MemoryLayout<Whole>.offset(of: field) ?? 0
  }
}
