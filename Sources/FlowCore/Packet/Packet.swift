// What dissecting one frame leaves behind: the flow key, the lengths and where the payload lies. It is the only
// thing the later passes and the plugins see of a frame.
import Wire

/// The key of a flow in two words that a lookup compares at once.
///
///     addresses   |      source address       |    destination address    |   IPv4; IPv6: the last 32 bits of each
///                 63                        32 31                         0
///     rest        | source port | dest. port  |0|T|6| VLAN id | protocol |0|
///                 63         48 47         32    29 28 27   16 15       8 7
///
/// Bit 28 is set for IPv6, whose full addresses are compared as well, bit 29 for a packet in tunnels that are part of the key
/// (`TunnelPath`) and are compared, too. The low byte is zero in a packet's key; a record
/// that has left the table has `Key.departed` there, so that no packet can match it.
struct Key: BitwiseCopyable, Equatable {
  var addresses: UInt64
  var rest: UInt64

  static let version6: UInt64 = 1 << 28
  static let tunnelled: UInt64 = 1 << 29
  static let departed: UInt64 = 0xFF

  @inline(__always)
  init(
    addresses: UInt64, sourcePort: UInt16, destinationPort: UInt16, protocolNumber: UInt8, vlan: UInt16,
    isVersion6: Bool
  ) {
    self.addresses = addresses
    rest =
      UInt64(sourcePort) << 48 | UInt64(destinationPort) << 32 | (isVersion6 ? Key.version6 : 0)
      | UInt64(vlan) << 16 | UInt64(protocolNumber) << 8
  }

  /// A key from its two words.
  init(addresses: UInt64, rest: UInt64) {
    self.addresses = addresses
    self.rest = rest
  }

  /// The key that packets of the opposite direction have.
  @inline(__always)
  var reversed: Key {
    let ports = UInt32(truncatingIfNeeded: rest >> 32)
    return Key(
      addresses: addresses << 32 | addresses >> 32,
      rest: UInt64(ports << 16 | ports >> 16) << 32 | rest & 0xFFFF_FFFF)
  }

  /// The key with the mark of a record that has left the table.
  var departed: Key { Key(addresses: addresses, rest: rest | Key.departed) }

  /// The key without the mark of a record that has left the table.
  var present: Key { Key(addresses: addresses, rest: rest & ~Key.departed) }

  /// 0 when the keys are equal.
  @inline(__always)
  func difference(_ other: Key) -> UInt64 { (addresses ^ other.addresses) | (rest ^ other.rest) }

  @inline(__always) var isVersion6: Bool { rest & Key.version6 != 0 }
  @inline(__always) var isTunnelled: Bool { rest & Key.tunnelled != 0 }
  /// Whether equal keys may be those of different flows: there is more to compare.
  @inline(__always) var hasMore: Bool { rest & (Key.version6 | Key.tunnelled) != 0 }
  @inline(__always) var protocolNumber: UInt8 { UInt8(truncatingIfNeeded: rest >> 8) }
  @inline(__always) var vlan: UInt16 { UInt16(truncatingIfNeeded: rest >> 16) & 0xFFF }
  @inline(__always) var sourcePort: UInt16 { UInt16(truncatingIfNeeded: rest >> 48) }
  @inline(__always) var destinationPort: UInt16 { UInt16(truncatingIfNeeded: rest >> 32) }
}

/// One dissected IP packet of a burst.
///
/// Offsets count from the frame's first byte. Fields are grouped so that a flow without plugins touches the first line.
struct Packet: BitwiseCopyable {
  var key: Key
  /// The seeded, symmetric hash of the key.
  var hash: UInt64
  /// When the packet was received, nanoseconds since 1970.
  var time: UInt64
  /// What the worker's clock showed when the packet was received.
  var clock: UInt64
  /// The flow record whose signature matched when the burst was looked at; nil when none did.
  var candidate: UnsafeMutableRawPointer?
  /// IPv4 total length, or IPv6 payload length + 40: from the header, not from the capture.
  var octets: UInt32
  /// The TCP flags octet (CWR…FIN), 0 for later fragments and other protocols.
  var tcpFlags: UInt8
  /// Where the MAC addresses are.
  var macAddresses: MACAddressLocation
  /// A fragment other than the first of its datagram: there is no transport header, the payload is the middle of something.
  var isLaterFragment = false
  /// How many tunnels the packet is in; of more than `TunnelPath.most` that many.
  var tunnelCount: UInt8 = 0
  /// The frame's captured bytes.
  var frame: UnsafeRawPointer
  var captured: UInt32
  /// The frame's length on the wire.
  var wire: UInt32
  /// The first MPLS label stack entry, or 0.
  var mplsEntry: UInt32
  /// Where the link-layer header lies that holds the MAC addresses.
  var linkOffset: UInt32
  var networkOffset: UInt32
  var transportOffset: UInt32
  var payloadOffset: UInt32
  /// The payload's length as the headers give it, 0 where they contradict each other.
  var payloadLength: UInt32
  /// How many bytes of the payload were captured; at most `payloadLength`.
  var payloadCaptured: UInt32
  /// Where the header of the IP packet lies that carries this one, and which version it is: 0 where none does. Valid, as what
  /// follows, in a tunnel.
  var outerOffset: UInt32
  var outerVersion: UInt8
  /// The carrying packet's protocol, and its ports (source in the upper half) where that has some.
  var outerProtocol: UInt8
  var outerPorts: UInt32
  /// The tunnels, the outermost first.
  var tunnels: TunnelPath
}

/// Which link-layer header holds a frame's MAC addresses.
enum MACAddressLocation: UInt8, BitwiseCopyable {
  /// Raw IP, PPP, loopback: there are none.
  case none
  /// Destination at `linkOffset`, source six bytes on.
  case ethernet
  /// A Linux cooked capture: only the source, at `linkOffset`.
  case sourceOnly
}

extension Packet {
  /// The IPv6 source address, or zeros: high and low half.
  @inline(__always)
  var sourceAddress6: (high: UInt64, low: UInt64) { address6(at: 8) }

  /// The IPv6 destination address, or zeros: high and low half.
  @inline(__always)
  var destinationAddress6: (high: UInt64, low: UInt64) { address6(at: 24) }

  @inline(__always)
  private func address6(at offset: Int) -> (high: UInt64, low: UInt64) {
    let bytes = Bytes(frame, count: Int(captured))
    let start = Int(networkOffset) &+ offset
    return (bytes.load(UInt64.self, at: start), bytes.load(UInt64.self, at: start &+ 8))
  }

  /// IPv4 time to live or IPv6 hop limit; read when asked for, because few plugins do.
  @inline(__always)
  var timeToLive: UInt8 {
    Bytes(frame, count: Int(captured))[Int(networkOffset) &+ (key.isVersion6 ? 7 : 8)]
  }

  /// The IPv4 flags (bit 2 reserved, bit 1 DF, bit 0 MF) in the low three bits; 0 for IPv6.
  @inline(__always)
  var fragmentFlags: UInt8 {
    key.isVersion6 ? 0 : Bytes(frame, count: Int(captured))[Int(networkOffset) &+ 6] >> 5
  }

  /// The captured payload.
  @inline(__always)
  var payload: Bytes {
    Bytes(frame, count: Int(captured)).slice(Int(payloadOffset), Int(payloadCaptured))
  }
}
