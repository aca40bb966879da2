// What the quic plugin keeps for a worker: cipher contexts, and memory in which packets and hellos are put together.
import Wire

/// One worker's contexts and memory; nothing in it outlives a packet.
struct QUICWorker: BitwiseCopyable {
  /// What the CRYPTO frames of a packet came to.
  enum Outcome {
    /// The rest of the hello is missing.
    case incomplete
    /// A hello's body: a view of the packet, of the worker's memory or of the stream's block.
    case hello(Bytes)
    /// They are no hello, or too long a one.
    case other
  }

  /// The most CRYPTO frames of a packet; browsers send some twenty.
  private static var mostFrames: Int { 32 }
  /// The most bytes of what `QUICHello` puts together.
  private static var longestNames: Int { 2304 }
  private static var messageOffset: Int { 8 &* mostFrames }
  private static var namesOffset: Int { messageOffset &+ QUIC.InitialCipher.longestPayload }
  private static var keysOffset: Int { namesOffset &+ longestNames }
  private static var size: Int { keysOffset &+ QUIC.InitialKeys.size }

  let cipher: QUIC.InitialCipher
  let fingerprints: TLS.FingerprintMemory
  /// | a packet's CRYPTO frames 64 × 8 | a hello 4096 | names 2304 | keys 44 |
  private let base: UnsafeMutableRawPointer
  // Safe: the memory has `size` bytes until `free`.
  private var memory: MutableBytes { MutableBytes(base, count: QUICWorker.size) }

  init?() {
    guard let cipher = QUIC.InitialCipher() else { return nil }
    self.cipher = cipher
    fingerprints = TLS.FingerprintMemory()
    base = .allocate(byteCount: QUICWorker.size, alignment: 64)
    // Safe: as many bytes were allocated.
    base.initializeMemory(as: UInt8.self, repeating: 0, count: QUICWorker.size)
  }

  func free() {
    cipher.free()
    fingerprints.free()
    base.deallocate()
  }

  /// An empty text for the names of a hello.
  var names: ScratchText {
    ScratchText(MutableBytes(memory.dropFirst(QUICWorker.namesOffset).base, count: QUICWorker.longestNames))
  }

  // MARK: Keys

  func derive(_ side: QUIC.Side, _ id: QUICConnection.ID, version: UInt32, into keys: MutableBytes) {
    id.withBytes { QUIC.InitialKeys.derive(side, $0, version: version, into: keys) }
  }

  /// Whether a Retry may be the server's: it is not where its tag is wrong for the id that the client chose.
  func isGenuine(_ retry: QUIC.LongPacket, _ original: QUICConnection.ID) -> Bool {
    !original.isKnown || original.withBytes { cipher.isGenuine(retry, to: $0) }
  }

  /// Makes `ownKeys` those of a client whose first packet this is.
  func deriveOwnKeys(_ long: QUIC.LongPacket) {
    QUIC.InitialKeys.derive(
      .client, long.destination, version: long.version, into: memory.dropFirst(QUICWorker.keysOffset))
  }

  var ownKeys: Bytes { memory.dropFirst(QUICWorker.keysOffset).prefix(QUIC.InitialKeys.size) }

  // MARK: Hellos

  /// Takes the CRYPTO frames of a decrypted packet. Where they are not a whole hello `stream` gets them; what is there
  /// already is completed.
  /// - Complexity: O(bytes of the packet), and square of its CRYPTO frames, at most 64
  func take(
    _ payload: Bytes, version: UInt32, _ type: UInt8, _ stream: inout BlockReference,
    _ blocks: inout FlowBlocks
  ) -> Outcome {
    let count = sortFrames(payload, version)
    guard count > 0 else { return .incomplete }
    if CryptoStream.bytes(stream, blocks).isEmpty {
      let outcome = QUICWorker.hello(joined(payload, count), type)
      guard case .incomplete = outcome else { return outcome }
    }
    var index = 0
    while index < count {
      CryptoStream.put(frame(index, of: payload), in: &stream, &blocks)
      index &+= 1
    }
    return QUICWorker.hello(CryptoStream.bytes(stream, blocks), type)
  }

  /// Whether a decrypted packet has the start of a ClientHello.
  func beginsHello(_ payload: Bytes, version: UInt32) -> Bool {
    guard sortFrames(payload, version) > 0 else { return false }
    let first = frame(0, of: payload)
    return first.offset == 0 && !first.bytes.isEmpty && first.bytes[0] == TLS.HandshakeType.clientHello
  }

  /// The message at the start of a stream: `| type 1 | length 3 | body |`.
  private static func hello(_ bytes: Bytes, _ type: UInt8) -> Outcome {
    var cursor = Cursor(bytes)
    guard let first = try? cursor.unsigned8() else { return .incomplete }
    guard first == type else { return .other }
    guard let length = try? cursor.unsigned24() else { return .incomplete }
    guard Int(length) &+ 4 <= CryptoStream.limit else { return .other }
    guard let body = try? cursor.take(Int(length)) else { return .incomplete }
    return .hello(body)
  }

  // MARK: A packet's frames

  /// Notes the CRYPTO frames of a packet in the order of their offsets; returns how many there are. Those behind what a
  /// stream holds, or beyond 32, are left out.
  private func sortFrames(_ payload: Bytes, _ version: UInt32) -> Int {
    let memory = memory
    var reader = QUIC.FrameReader(payload, version: version)
    var count = 0
    while count < QUICWorker.mostFrames, let frame = reader.next() {
      guard frame.offset < CryptoStream.limit, !frame.bytes.isEmpty else { continue }
      let position = frame.bytes.base - payload.base
      // | offset 32 | position 16 | length 16 |: the numbers' order is that of the offsets.
      let entry =
        UInt64(UInt32(truncatingIfNeeded: frame.offset)) &<< 32
        | UInt64(UInt16(truncatingIfNeeded: position)) &<< 16
        | UInt64(UInt16(truncatingIfNeeded: frame.bytes.count))
      var place = count
      while place > 0 {
        let before = memory.load(UInt64.self, at: 8 &* (place &- 1))
        guard before > entry else { break }
        memory.store(before, at: 8 &* place)
        place &-= 1
      }
      memory.store(entry, at: 8 &* place)
      count &+= 1
    }
    return count
  }

  private func frame(_ index: Int, of payload: Bytes) -> QUIC.CryptoFrame {
    let entry = memory.load(UInt64.self, at: 8 &* index)
    return QUIC.CryptoFrame(
      offset: Int(truncatingIfNeeded: entry &>> 32),
      bytes: payload.slice(Int(entry &>> 16 & 0xFFFF), Int(entry & 0xFFFF)))
  }

  /// The bytes of a packet's frames from the start of the stream to the first gap.
  private func joined(_ payload: Bytes, _ count: Int) -> Bytes {
    let first = frame(0, of: payload)
    if first.offset > 0 { return payload.prefix(0) }
    if count == 1 { return first.bytes }
    let message = memory.dropFirst(QUICWorker.messageOffset)
    var filled = 0
    var index = 0
    while index < count {
      let frame = frame(index, of: payload)
      index &+= 1
      guard frame.offset <= filled else { break }
      let rest = frame.bytes.dropFirst(filled &- frame.offset)
      // What overlaps is left out, so that all of it is no longer than the packet.
      message.copy(rest, to: filled)
      filled &+= rest.count
    }
    return message.prefix(filled)
  }
}
