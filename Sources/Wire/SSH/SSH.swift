// How a direction of SSH begins, in clear: what its side is, and what it can do (RFC 4253 sections 4.2 and 7.1).
//
//     SSH-protoversion-softwareversion [SP comments] CR LF          255 bytes at the most; a server may send other lines before
//     | length 32 | padding's length 8 | message 8 = 20 | cookie 16 | ten lists of names | first packet follows 8 | 0 32 | padding |

/// The Secure Shell protocol.
package enum SSH {
  /// What the first bytes of a direction are.
  package enum Start {
    /// They may be its identification; more of them are needed.
    case incomplete
    /// The identification without its end of line, and how many bytes it takes with it.
    case identification(Bytes, length: Int)
    /// Another line of this length, end included.
    case line(length: Int)
    /// No line of SSH's.
    case other
  }

  /// The longest identification, its end included.
  private static var longestIdentification: Int { 255 }
  /// The longest other line that is passed over.
  private static var longestLine: Int { 1024 }

  /// Whether `bytes` begin with `SSH-`, as far as they go.
  @inline(__always)
  package static func mayBegin(_ bytes: Bytes) -> Bool {
    bytes.count >= 4 ? bytes.load(UInt32.self, at: 0) == 0x5353_482D : isPartOfMark(bytes)
  }

  @inline(never)
  private static func isPartOfMark(_ bytes: Bytes) -> Bool {
    let mark = Bytes("SSH-")
    return bytes.isEqual(to: mark.prefix(bytes.count))
  }

  /// What `bytes` begin with, where the next line begins.
  package static func start(_ bytes: Bytes) -> Start {
    let lineFeed: UInt8 = 0x0A
    guard mayBegin(bytes) else {
      if let end = bytes.prefix(longestLine).index(of: lineFeed) { return .line(length: end &+ 1) }
      return bytes.count < longestLine ? .incomplete : .other
    }
    guard let end = bytes.prefix(longestIdentification).index(of: lineFeed) else {
      return bytes.count < longestIdentification ? .incomplete : .other
    }
    return .identification(bytes.prefix(end).withoutReturn, length: end &+ 1)
  }

  // MARK: Key exchange

  /// What a direction's first packet is.
  package enum FirstPacket {
    case incomplete
    case keyExchange(KeyExchange)
    /// No list of algorithms, or one that is too long.
    case other
  }

  /// The longest packet that is read, of the 16 KiB that a stream keeps.
  private static var longestPacket: UInt32 { 16_000 }
  /// SSH_MSG_KEXINIT.
  private static var keyExchangeMessage: UInt8 { 20 }

  /// The packet that `bytes` begin with, which is what follows the identification.
  package static func firstPacket(_ bytes: Bytes) -> FirstPacket {
    guard bytes.count >= 6 else { return .incomplete }
    let length = bytes.load(UInt32.self, at: 0)
    let padding = Int(bytes[4])
    guard length <= longestPacket, bytes[5] == keyExchangeMessage else { return .other }
    guard bytes.count &- 4 >= Int(length) else { return .incomplete }
    guard Int(length) > 1 &+ padding,
      let exchange = KeyExchange(bytes.slice(5, Int(length) &- 1 &- padding))
    else { return .other }
    return .keyExchange(exchange)
  }
}
