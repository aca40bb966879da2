// The parser of QUIC's packets and their protection, held against the samples of RFC 9001 and RFC 9369.
import QUICSealing
import Testing
import Wire

@Suite struct QUICWireTests {
  private func keys(_ side: QUIC.Side, version: UInt32, connection: [UInt8] = QUICVectors.connection)
    -> [UInt8]
  {
    var keys = [UInt8](repeating: 0, count: QUIC.InitialKeys.size)
    keys.withUnsafeMutableBytes { memory in
      connection.withUnsafeBytes {
        QUIC.InitialKeys.derive(
          side, Bytes($0), version: version, into: MutableBytes(memory.baseAddress!, count: memory.count))
      }
    }
    return keys
  }

  /// The frames of the first packet of a datagram; nil where the keys do not open it.
  private func open(_ datagram: [UInt8], _ keys: [UInt8]) throws -> [UInt8]? {
    let cipher = try #require(QUIC.InitialCipher())
    defer { cipher.free() }
    return datagram.withUnsafeBytes { datagram in
      keys.withUnsafeBytes { keys in
        var reader = QUIC.DatagramReader(Bytes(datagram), length: datagram.count)
        guard let packet = reader.next(), let frames = cipher.open(packet, Bytes(keys)) else { return nil }
        return Array(frames.buffer)
      }
    }
  }

  @Test func keysAreThoseOfTheSamples() {
    let expected: [(QUIC.Side, UInt32, String)] = [
      (
        .client, 1,
        "1f369613dd76d5467730efcbe3b1a22d fa044b2f42a3fd3b46fb255c 9f50449e04a0e810283a1e9933adedd2"
      ),
      (
        .server, 1,
        "cf3a5331653c364c88f0f379b6067e37 0ac1493ca1905853b0bba03e c206b8d9b9f0f37644430b490eeaa314"
      ),
      (
        .client, 0x6B33_43CF,
        "8b1a0bc121284290a29e0971b5cd045d 91f73e2351d8fa91660e909f 45b95e15235d6f45a6b19cbcb0294ba9"
      ),
      (
        .server, 0x6B33_43CF,
        "82db637861d55e1d011f19ea71d5d2a7 dd13c276499c0249d3310652 edf6d05c83121201b436e16877593c3a"
      ),
    ]
    for (side, version, text) in expected {
      #expect(keys(side, version: version) == QUICVectors.bytes(text))
    }
  }

  @Test func samplesAreOpened() throws {
    #expect(try open(QUICVectors.clientPacket, keys(.client, version: 1)) == QUICVectors.clientFrames)
    #expect(try open(QUICVectors.serverPacket, keys(.server, version: 1)) == QUICVectors.serverFrames)
    #expect(
      try open(QUICVectors.serverPacket2, keys(.server, version: 0x6B33_43CF)) == QUICVectors.serverFrames)
    // And no others' packets.
    #expect(try open(QUICVectors.clientPacket, keys(.server, version: 1)) == nil)
    #expect(try open(QUICVectors.serverPacket2, keys(.server, version: 1)) == nil)
  }

  /// What tests seal is what the samples are, so that the other tests may rely on it.
  @Test func sealedPacketsAreTheSamples() {
    var client = InitialSealer(to: QUICVectors.connection)
    (client.number, client.numberLength) = (2, 4)
    #expect(client.seal(QUICVectors.clientFrames) == QUICVectors.clientPacket)
    var server = InitialSealer(to: [])
    (server.sender, server.keyed, server.source) = (.server, QUICVectors.connection, QUICVectors.server)
    (server.number, server.numberLength) = (1, 2)
    #expect(server.seal(QUICVectors.serverFrames) == QUICVectors.serverPacket)
    (server.version, server.number) = (0x6B33_43CF, 1)
    #expect(server.seal(QUICVectors.serverFrames) == QUICVectors.serverPacket2)
  }

  /// The tag covers the header and what is encrypted.
  @Test func everyChangedBitIsFound() throws {
    let cipher = try #require(QUIC.InitialCipher())
    defer { cipher.free() }
    let keys = keys(.server, version: 1)
    for offset in 0..<QUICVectors.serverPacket.count {
      var packet = QUICVectors.serverPacket
      packet[offset] ^= 1 << UInt8(offset & 7)
      #expect(try open(packet, keys) == nil, "byte \(offset)")
    }
  }

  /// RFC 9001 and RFC 9369, A.4; drafts 29 and 27 of what became RFC 9001, A.4; all for the same connection.
  @Test func retriesHaveTheirTags() throws {
    let cipher = try #require(QUIC.InitialCipher())
    defer { cipher.free() }
    func isGenuine(_ packet: [UInt8], captured: Int? = nil, _ connection: [UInt8] = QUICVectors.connection)
      -> Bool
    {
      packet.withUnsafeBytes { packet in
        connection.withUnsafeBytes { connection in
          var reader = QUIC.DatagramReader(
            Bytes(packet).prefix(captured ?? packet.count), length: packet.count)
          return reader.next().map { cipher.isGenuine($0, to: Bytes(connection)) } ?? false
        }
      }
    }
    let draft29 = QUICVectors.bytes(
      "ffff00001d0008f067a5502a4262b5746f6b656ed16926d81f6f9ca2953a8aa4575e1e49")
    let draft27 = QUICVectors.bytes(
      "ffff00001b0008f067a5502a4262b5746f6b656ea523cb5ba524695f6569f293a1359d8e")
    for packet in [QUICVectors.retry, QUICVectors.retry2, draft29, draft27] {
      #expect(isGenuine(packet))
      #expect(!isGenuine(packet, [1, 2, 3]))
      #expect(!isGenuine(packet, []))
      // Every byte is part of it, but for those that make it another packet: type, version, lengths of ids.
      for offset in 7..<packet.count {
        var changed = packet
        changed[offset] ^= 0x10
        #expect(!isGenuine(changed), "byte \(offset)")
      }
      // What was not captured whole may be genuine, as what has no tag.
      #expect(isGenuine(packet, captured: packet.count - 1, [1, 2, 3]))
    }
    // Of version 1 under the number of another: not with its key. Draft 24 has none.
    var other = QUICVectors.retry
    for version: [UInt8] in [
      [0xFF, 0, 0, 0x1D], [0xFF, 0, 0, 0x1B], [0x54, 0x30, 0x35, 0x31], [0x54, 0x30, 0x35, 0x30],
    ] {
      other.replaceSubrange(1..<5, with: version)
      #expect(!isGenuine(other))
    }
    other.replaceSubrange(1..<5, with: [0xFF, 0, 0, 0x18])
    #expect(isGenuine(other))
  }

  @Test func headersAreRead() throws {
    for (bytes, version) in [(QUICVectors.retry, UInt32(1)), (QUICVectors.retry2, 0x6B33_43CF)] {
      bytes.withUnsafeBytes { bytes in
        var reader = QUIC.DatagramReader(Bytes(bytes), length: bytes.count)
        let packet = reader.next()
        #expect(packet?.type == .retry)
        #expect(packet?.version == version)
        #expect(packet?.destination.count == 0)
        #expect(packet.map { Array($0.source.buffer) } == QUICVectors.server)
        #expect(packet?.tokenLength == "token".utf8.count)
        #expect(reader.next() == nil)
      }
    }
    // RFC 9000, A.1: numbers of variable length.
    let numbers = QUICVectors.bytes("c2197c5eff14e88c 9d7f3e7d 7bbd 25 4025")
    numbers.withUnsafeBytes { bytes in
      var cursor = Cursor(Bytes(bytes))
      for expected: UInt64 in [151_288_809_941_952_652, 494_878_333, 15_293, 37, 37] {
        #expect((try? cursor.variableInteger()) == expected)
      }
      #expect((try? cursor.variableInteger()) == nil)
    }
  }

  /// Each salt by a version that has it: an Initial of draft 29 that the corpus has is opened by tshark, too
  /// (`test_quic.py`); here no two drafts' keys are the same where their salts differ.
  @Test func draftsHaveTheirSalts() {
    let versions: [UInt32] = [
      0xFF00_0014, 0xFF00_0016, 0xFF00_001C, 0xFF00_0020, 0xFF00_0022, 0x6B33_43CF, 0x709A_50C4, 0x5430_3530,
      0x5430_3531,
    ]
    #expect(Set(versions.map { keys(.client, version: $0) }).count == versions.count)
    for (one, other): (UInt32, UInt32) in [
      (0xFF00_0011, 0xFF00_0014), (0xFF00_0015, 0xFACE_B001), (0xFF00_0017, 0xFACE_B002),
      (0xFF00_001D, 0xFF00_0020),
      (0xFF00_0021, 1), (0x1A2A_3A4A, 1), (0x5043_5130, 1), (0xFF02_0000, 0x709A_50C4),
    ] {
      #expect(keys(.client, version: one) == keys(.client, version: other))
    }
    for version: UInt32 in [2, 0xFF00_0010, 0xFF00_0023, 0x5130_3433, 0x0A0A_0A0B] {
      #expect(!QUIC.isKnown(version))
    }
  }

  /// Frames that end in the midst, and numbers as large as they can be.
  @Test func framesMayLie() {
    func frames(_ text: String, version: UInt32 = 1) -> [[UInt8]] {
      QUICVectors.bytes(text).withUnsafeBytes { bytes in
        var reader = QUIC.FrameReader(Bytes(bytes), version: version)
        var found: [[UInt8]] = []
        while let frame = reader.next() { found.append([UInt8(clamping: frame.offset)] + frame.bytes.buffer) }
        return found
      }
    }
    #expect(frames("01 00000000000000000000 0600 02 aabb 01 0602 01 cc") == [[0, 0xAA, 0xBB], [2, 0xCC]])
    #expect(frames("02 05 00 01 02 01 01 0600 01 aa") == [[0, 0xAA]])
    #expect(frames("03 05 00 00 02 01 01 01 0600 01 aa") == [[0, 0xAA]])
    #expect(frames("1c 05 06 02 6869 0600 01 aa") == [[0, 0xAA]])
    // More than there is; a frame that may not be there; ranges without end.
    #expect(frames("0600 03 aabb") == [])
    #expect(frames("0600 01 aa 0400 0600 01 aa") == [[0, 0xAA]])
    #expect(frames("02 05 00 ffffffffffffffff 02 01 01 0600 01 aa") == [])
    #expect(frames("06 ffffffffffffffff 01 aa") == [[255, 0xAA]])
    #expect(frames("06 00 ffffffffffffffff aa") == [])
    #expect(frames("0800 01 aa") == [])
    // Google's: PING and PADDING; acknowledgements as QUICHE's tests have them, of one block and of five; with three times; in
    // all lengths of numbers; CONNECTION_CLOSE.
    for before in [
      "", "07 000000", "45 1234 0000 1234 00", "65 1234 0000 04 0001 01 0eaf ff 0000 91 01ea 05 0004 00",
      "40 12 0000 12 03 01 32103254 02 3210 03 3210", "4f 123456789abc 0000 123456789abc 00",
      "5a 12345678 0000 12345678 00",
      "02 00000011 0002 6869",
    ] {
      #expect(frames("\(before) 0800 01 aa", version: 0x5430_3531) == [[0, 0xAA]], "\(before)")
    }
    for before in ["06", "65 1234 0000 ff 0001", "45 1234 0000 1234 ff", "02 00000011 ffff", "01", "80"] {
      #expect(frames("\(before) 0800 01 aa", version: 0x5430_3531) == [], "\(before)")
    }
  }
}
