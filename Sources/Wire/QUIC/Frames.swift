// The frames of Initial packets (RFC 9000 sections 12.4 and 19): what carries the hellos, and what stands between.

extension QUIC {
  /// Bytes of the handshake and where they belong in its stream.
  package struct CryptoFrame: BitwiseCopyable {
    package let offset: Int
    package let bytes: Bytes

    @inline(__always)
    package init(offset: Int, bytes: Bytes) { (self.offset, self.bytes) = (offset, bytes) }
  }

  /// Finds the CRYPTO frames of a decrypted Initial packet.
  ///
  ///     PADDING 0 | PING 1 | ACK 2, 3: largest v, delay v, ranges n v, first v, n × (gap v, length v), 3: counts 3 × v
  ///     CRYPTO 6: offset v, n v, bytes n | CONNECTION_CLOSE 1c: code v, type v, n v, reason n; 1d: the same without type
  ///
  /// Google's versions T050 and T051 have frames of their own, but for PADDING:
  ///
  ///     CONNECTION_CLOSE 2: code 4, n 2, reason n | PING 7 | CRYPTO 8, as above
  ///     ACK 01m0llbb: largest l, delay 2, m: n 1, first b, n × (gap 1, length b), times n 1, n > 0: delta 1, time 4,
  ///                   n − 1 × (delta 1, time 2)           where ll and bb are 0 to 3, for 1, 2, 4 and 6 bytes
  ///
  /// A frame of another type must not be there, and ends the packet; so does one that leads past its end. Each step reads a
  /// byte at least.
  package struct FrameReader: BitwiseCopyable {
    private var cursor: Cursor
    private let isGoogles: Bool

    /// - Parameter version: that of the packet.
    package init(_ payload: Bytes, version: UInt32) {
      cursor = Cursor(payload)
      isGoogles = version == Version.googleT050 || version == Version.googleT051
    }

    /// The next CRYPTO frame; nil at the end.
    package mutating func next() -> CryptoFrame? { isGoogles ? try? googleFrame() : try? frame() }

    private mutating func frame() throws(Truncated) -> CryptoFrame? {
      while cursor.remaining > 0 {
        switch try cursor.unsigned8() {
        case 0: skipPadding()
        case 1: break
        case 2: try skipAcknowledgement()
        case 3:
          try skipAcknowledgement()
          try skipNumbers(3)
        case 6: return try cryptoFrame()
        case 0x1C:
          try skipNumbers(2)
          _ = try cursor.variableField()
        case 0x1D:
          try skipNumbers(1)
          _ = try cursor.variableField()
        default: return nil
        }
      }
      return nil
    }

    private mutating func googleFrame() throws(Truncated) -> CryptoFrame? {
      while cursor.remaining > 0 {
        let type = try cursor.unsigned8()
        switch type {
        case 0: skipPadding()
        case 2:
          try cursor.skip(4)
          try cursor.skip(Int(try cursor.unsigned16()))
        case 7: break
        case 8: return try cryptoFrame()
        case 0x40...0x7F: try skipGoogleAcknowledgement(type)
        default: return nil
        }
      }
      return nil
    }

    private mutating func skipGoogleAcknowledgement(_ type: UInt8) throws(Truncated) {
      /// The bytes that two bits of the type stand for.
      func length(_ code: UInt8) -> Int {
        switch code & 3 {
        case 0: 1
        case 1: 2
        case 2: 4
        default: 6
        }
      }
      let block = length(type)
      try cursor.skip(length(type &>> 2) &+ 2)
      let blocks = type & 0x20 == 0 ? 0 : Int(try cursor.unsigned8())
      try cursor.skip(block &+ blocks &* (1 &+ block))
      let times = Int(try cursor.unsigned8())
      if times > 0 { try cursor.skip(5 &+ (times &- 1) &* 3) }
    }

    private mutating func cryptoFrame() throws(Truncated) -> CryptoFrame {
      let offset = Int(clamping: try cursor.variableInteger())
      return CryptoFrame(offset: offset, bytes: try cursor.variableField())
    }

    /// Most of a client's Initial is padding: eight bytes of it at once.
    private mutating func skipPadding() {
      var ahead = cursor
      while let bytes = try? ahead.take(8), bytes.load(UInt64.self, at: 0) == 0 { cursor = ahead }
    }

    private mutating func skipAcknowledgement() throws(Truncated) {
      try skipNumbers(2)
      var ranges = try cursor.variableInteger()
      try skipNumbers(1)
      // Ends with the packet, whatever the number says.
      while ranges > 0 {
        try skipNumbers(2)
        ranges &-= 1
      }
    }

    private mutating func skipNumbers(_ count: Int) throws(Truncated) {
      var left = count
      while left > 0 {
        _ = try cursor.variableInteger()
        left &-= 1
      }
    }
  }
}
