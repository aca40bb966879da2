// Packets of QUIC whose frames the input says: it is they that a fuzzer of plain bytes cannot change, because they are encrypted
// under a tag.
import QUICSealing
import Wire

/// An input: `| shape 1 |`, then for each packet
///
///     | kind 1 | length 2 | bytes |                                     little-endian
///
/// kind: bit 0 the direction; bit 1 the bytes are frames and are sealed, else they are a datagram; 2–3 the version; 4 sealed
/// under a Retry's id; 5 sent to the server's own id, or by a further connection; 6 the next packet is in the same datagram.
public enum QUICInput {
  private static let versions: [UInt32] = [1, 0x6B33_43CF, 0xFF00_001D, 0x5430_3531]
  private static let original: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
  private static let client: [UInt8] = [0xC1, 0xC2, 0xC3, 0xC4]
  private static let server: [UInt8] = [0x51, 0x52, 0x53, 0x54, 0x55]
  private static let retry: [UInt8] = [0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6]
  private static let isReverse: UInt8 = 1
  private static let isSealed: UInt8 = 2
  private static let longest = 1400

  static func run(_ input: UnsafeRawBufferPointer, _ harness: EngineHarness) -> String? {
    var reader = InputReader(input)
    var run = harness.makeRun(reader.byte())
    var conversation = SegmentInput.Conversation()
    var datagram: [UInt8] = []
    var number: UInt32 = 0
    while reader.remaining > 2, number < 96 {
      let kind = reader.byte()
      let bytes = reader.take(Int(reader.word()) % longest)
      datagram += kind & isSealed == 0 ? bytes : seal(bytes, kind, number)
      number += 1
      if kind & 0x40 != 0, datagram.count < 2048 { continue }
      conversation.send(
        SegmentInput.Segment(kind: 0x10 | kind & isReverse, flags: 0, offset: 0, port: 0, payload: datagram),
        &run)
      datagram = []
    }
    return run.finish()
  }

  private static func seal(_ frames: [UInt8], _ kind: UInt8, _ number: UInt32) -> [UInt8] {
    let isServers = kind & isReverse != 0
    var sealer = InitialSealer(to: isServers ? client : original)
    sealer.source = isServers ? server : client
    sealer.sender = isServers ? .server : .client
    sealer.keyed = original
    if kind & 0x10 != 0 {
      sealer.keyed = retry
      if !isServers { sealer.destination = retry }
    }
    if kind & 0x20 != 0, !isServers {
      sealer.destination = number & 1 == 0 ? server : [9, 9, 9, 9, UInt8(truncatingIfNeeded: number)]
      if number & 3 == 3 { sealer.keyed = sealer.destination }
    }
    sealer.version = versions[Int(kind >> 2 & 3)]
    sealer.number = number
    return sealer.seal(frames)
  }

  /// The input that stands for some datagrams: client's Initials that can be opened as frames, everything else as it is.
  public static func encode(_ datagrams: [(isReverse: Bool, bytes: [UInt8])]) -> [UInt8] {
    guard let cipher = QUIC.InitialCipher() else { return [] }
    defer { cipher.free() }
    var input: [UInt8] = [3]
    func append(_ bytes: [UInt8], _ kind: UInt8) {
      let length = min(bytes.count, longest - 1)
      input += [kind, UInt8(length & 0xFF), UInt8(length >> 8)] + bytes.prefix(length)
    }
    for datagram in datagrams {
      append(
        frames(of: datagram.bytes, cipher) ?? datagram.bytes,
        (datagram.isReverse ? isReverse : 0) | (frames(of: datagram.bytes, cipher) == nil ? 0 : isSealed))
    }
    return input
  }

  private static func frames(of datagram: [UInt8], _ cipher: QUIC.InitialCipher) -> [UInt8]? {
    datagram.withUnsafeBytes { bytes in
      var reader = QUIC.DatagramReader(Bytes(bytes), length: bytes.count)
      guard let packet = reader.next(), packet.type.rawValue == QUIC.PacketType.initial.rawValue else {
        return nil
      }
      var keys = [UInt8](repeating: 0, count: QUIC.InitialKeys.size)
      return keys.withUnsafeMutableBytes { memory in
        guard let base = memory.baseAddress else { return nil }
        let keys = MutableBytes(base, count: memory.count)
        QUIC.InitialKeys.derive(.client, packet.destination, version: packet.version, into: keys)
        return cipher.open(packet, keys.prefix(memory.count)).map { Array($0.buffer) }
      }
    }
  }
}
