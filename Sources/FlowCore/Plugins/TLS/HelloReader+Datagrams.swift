// Hellos in DTLS datagrams (RFC 6347, RFC 9147): whole messages, and fragments put together.
//
//     record:     type 1 (22) | version 2 (fe.xx, or 01.00) | epoch 2 (0) | number 6 | length 2 | fragments …
//     fragment:   type 1 | message length 3 | message number 2 | offset 3 | length 3 | body …
import Wire

extension HelloReader {
  /// The most records looked at in a datagram, and fragments in all of them: a flight begins with its hello.
  private static let mostRecords = 8
  private static let mostFragments = 16

  /// Whether a datagram begins with an unencrypted DTLS handshake record: of versions 1.0 to 1.3, or of the draft that Cisco's
  /// AnyConnect speaks (OpenSSL's DTLS1_BAD_VER).
  @inline(__always)
  static func isHandshake(datagram: Bytes) -> Bool {
    guard datagram.count >= 13, datagram[0] == TLS.RecordStart.handshake else { return false }
    let version = datagram.load(UInt16.self, at: 1)
    return (version >= 0xFEFC && version <= 0xFEFF || version == 0x0100)
      && datagram.load(UInt16.self, at: 3) == 0
  }

  /// Takes a datagram; returns the hello that is in it or that it completes.
  mutating func take(datagram: Bytes, _ blocks: inout FlowBlocks) -> TLS.HelloMessage? {
    var records = Cursor(datagram)
    var (recordsLeft, fragmentsLeft) = (HelloReader.mostRecords, HelloReader.mostFragments)
    while recordsLeft > 0 {
      recordsLeft &-= 1
      guard HelloReader.isHandshake(datagram: datagram.dropFirst(records.position)),
        (try? records.skip(11)) != nil, let record = try? records.field16()
      else { return nil }
      var fragments = Cursor(record)
      while fragmentsLeft > 0 {
        fragmentsLeft &-= 1
        guard let fragment = try? Fragment(&fragments) else { break }
        if let message = take(fragment, &blocks) { return message }
      }
    }
    return nil
  }

  private struct Fragment {
    let type: UInt8
    let length: Int
    let number: UInt16
    let offset: Int
    let body: Bytes

    init(_ cursor: inout Cursor) throws(Truncated) {
      type = try cursor.unsigned8()
      length = Int(try cursor.unsigned24())
      number = try cursor.unsigned16()
      offset = Int(try cursor.unsigned24())
      body = try cursor.take(Int(try cursor.unsigned24()))
    }
  }

  private mutating func take(_ fragment: Fragment, _ blocks: inout FlowBlocks) -> TLS.HelloMessage? {
    guard fragment.type == TLS.HandshakeType.clientHello || fragment.type == TLS.HandshakeType.serverHello,
      fragment.length >= TLS.RecordWalk.shortestHello, fragment.length <= TLS.longestHello,
      fragment.offset &+ fragment.body.count <= fragment.length
    else { return nil }
    if fragment.body.count == fragment.length {
      // Fragments under way are given up: the block may go to the other direction.
      isCollecting = false
      return TLS.HelloMessage(type: fragment.type, body: fragment.body)
    }
    // A message under way is known by its number and length. A later one takes its place; a fragment of an earlier one is
    // late or was sent again, and what it belongs to is complete or given up.
    if isCollecting, fragment.number < fragmented >> 16 { return nil }
    let message =
      UInt32(fragment.number) << 16 | (fragment.type == TLS.HandshakeType.serverHello ? 0x8000 : 0)
      | UInt32(truncatingIfNeeded: fragment.length)
    if !isCollecting || fragmented != message {
      // What would be refused there must not take a block here.
      guard fragment.offset <= PieceBuffer.window else { return nil }
      guard PieceBuffer.begin(&block, room: fragment.offset &+ fragment.body.count, &blocks) else {
        return nil
      }
      fragmented = message
      isCollecting = true
    }
    guard PieceBuffer.put(fragment.body, at: fragment.offset, in: &block, &blocks) else { return nil }
    let buffer = PieceBuffer.read(block, blocks)
    guard buffer.filled >= fragment.length else { return nil }
    isCollecting = false
    return TLS.HelloMessage(type: fragment.type, body: buffer.bytes(block, blocks).prefix(fragment.length))
  }
}
