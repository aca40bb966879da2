// The packets of a datagram: long headers are in clear, several packets may lie one behind the other (RFC 9000 section 12.2).

extension QUIC {
  /// A packet with a long header.
  ///
  ///     | 1 1 type 2, protected 4 | version 4 | n 1, destination id n | n 1, source id n | of each type …
  ///
  ///     Initial           … | n v, token n | length v | protected: packet number 1–4, frames, tag 16 |
  ///     0-RTT, Handshake  … | length v | protected … |
  ///     Retry             … | token | tag 16 |
  ///     Negotiation       … | version 4 | version 4 | …           in which the header's version is 0
  ///
  /// v stands for a number of variable length.
  package struct LongPacket: BitwiseCopyable {
    package let type: PacketType
    package let version: UInt32
    package let destination: Bytes
    package let source: Bytes
    /// The bytes of an Initial's or Retry's token; of one that was not captured, too.
    package let tokenLength: Int
    /// The packet from its first byte to its end, or as far as it was captured.
    package let bytes: Bytes
    /// Where in it the packet number stands.
    package let numberOffset: Int
  }

  /// Reads the packets of a datagram from front to back.
  package struct DatagramReader: BitwiseCopyable {
    private let datagram: Bytes
    /// The datagram's length on the wire.
    private let length: Int
    private var offset = 0

    /// - Parameter length: the bytes on the wire, of which `datagram` are those captured.
    package init(_ datagram: Bytes, length: Int) {
      self.datagram = datagram
      self.length = max(length, datagram.count)
    }

    /// The next packet; nil at the end, which is also a short header, bytes that are no packet, or a header that was not
    /// captured whole.
    package mutating func next() -> LongPacket? {
      let rest = datagram.dropFirst(offset)
      guard QUIC.mayBeLongHeader(rest), let packet = try? DatagramReader.packet(rest, length &- offset) else {
        return nil
      }
      offset &+= packet.end
      return packet.packet
    }

    /// The packet at the start of `bytes`, which had `length` bytes on the wire, and where it ends.
    private static func packet(_ bytes: Bytes, _ length: Int) throws(Truncated) -> (
      packet: LongPacket, end: Int
    ) {
      var cursor = Cursor(bytes)
      let first = try cursor.unsigned8()
      let version = try cursor.unsigned32()
      let (destination, source) = try connectionIDs(&cursor, version)
      let type = packetType(first, version)
      var tokenLength = 0
      var end = length
      switch type {
      case .initial:
        let token = try cursor.variableInteger()
        tokenLength = Int(clamping: token)
        try cursor.skip(tokenLength)
        fallthrough
      case .zeroRTT, .handshake:
        let protected = Int(clamping: try cursor.variableInteger())
        // A packet number and a tag are always there.
        guard protected > tagLength, protected <= length &- cursor.position else { try Truncated.fail() }
        end = cursor.position &+ protected
      case .retry:
        tokenLength = length &- cursor.position &- tagLength
        guard tokenLength > 0 else { try Truncated.fail() }
      case .versionNegotiation:
        let versions = length &- cursor.position
        guard versions > 0, versions & 3 == 0 else { try Truncated.fail() }
      }
      let packet = LongPacket(
        type: type, version: version, destination: destination, source: source, tokenLength: tokenLength,
        bytes: bytes.prefix(end), numberOffset: cursor.position)
      return (packet, end)
    }

    /// The ids; up to the 21st draft their lengths had four bits each, for 0 and 4 to 18.
    private static func connectionIDs(_ cursor: inout Cursor, _ version: UInt32) throws(Truncated) -> (
      destination: Bytes, source: Bytes
    ) {
      if Version.draft(version) < 22 {
        let lengths = Int(try cursor.unsigned8())
        let (destination, source) = (lengths &>> 4, lengths & 15)
        return (
          try cursor.take(destination == 0 ? 0 : destination &+ 3),
          try cursor.take(source == 0 ? 0 : source &+ 3)
        )
      }
      let destination = try cursor.field8()
      let source = try cursor.field8()
      guard destination.count <= longestConnectionID, source.count <= longestConnectionID else {
        try Truncated.fail()
      }
      return (destination, source)
    }

    private static func packetType(_ first: UInt8, _ version: UInt32) -> PacketType {
      if version == Version.negotiation { return .versionNegotiation }
      // Version 2 counts from its Retry.
      let code = Version.isTwo(version) ? first &>> 4 &+ 3 : first &>> 4
      switch code & 3 {
      case 0: return .initial
      case 1: return .zeroRTT
      case 2: return .handshake
      default: return .retry
      }
    }
  }

  /// The bytes of a packet's authentication tag.
  static var tagLength: Int { 16 }
}
