// IPFIX over TCP, compressed as ipfixcol2's TCP input and ipfixprobe have it: LZ4 blocks that each have those before them as
// their dictionary.
import CLZ4
import Wire

/// A TCP connection whose octets are compressed.
///
/// A connection begins with `LZ4c` and the length of the ring; then comes for each message its length, the length of the block
/// (two octets each, network byte order) and the block. The receiver keeps messages in a ring of that length as is done here:
/// a message that does not fit behind the one before goes to its beginning. A message that LZ4 might make longer than a block
/// may be goes in two.
final class LZ4Connection: ByteConnection {
  private let tcp: TCPConnection
  /// nil where there is no memory for it: nothing can be sent then.
  private let stream: UnsafeMutablePointer<LZ4_stream_t>?
  private var ring = OwnedBytes(count: ringLength)
  private var position = 0
  /// The block that was made last, behind its two lengths.
  private var block = OwnedBytes(count: 4 + largestBlock)
  /// Octets of the message that is being sent which are in no block yet.
  private var restOfMessage = 0
  private var wire = WireQueue(capacity: 1 << 18)
  private var isFinishing = false

  /// LZ4 looks back 64 KiB; behind them there is always room for the longest messages.
  private static let ringLength = 1 << 18
  /// What LZ4 never makes longer than `largestBlock`: n + n / 255 + 16 (LZ4_COMPRESSBOUND).
  private static let longestPart = 65_000
  /// What two octets can say.
  private static let largestBlock = 65_535
  /// Octets that are compressed at most in one call.
  private static let portion = 1 << 17

  /// Compresses what goes through `tcp`.
  init(_ tcp: TCPConnection) {
    self.tcp = tcp
    stream = LZ4_createStream()
  }

  deinit { LZ4_freeStream(stream) }

  var isOpen: Bool { tcp.isOpen }

  func advance(_ now: Moment) -> ConnectionEvent {
    let event = tcp.advance(now)
    if event == .opened { begin() }
    return event
  }

  private func begin() {
    if let stream { LZ4_resetStream_fast(stream) }
    (position, restOfMessage, isFinishing) = (0, 0, false)
    wire.restart()
    // "LZ4c"
    wire.append(0x4C5A_3463 as UInt32)
    wire.append(UInt32(truncatingIfNeeded: Self.ringLength))
    wire.note(length: 8, plain: 0)
  }

  func delay(_ now: Moment) -> String? { tcp.delay(now) }

  func send(_ bytes: Bytes) -> SendResult {
    if let reason = flush() { return .broken(reason) }
    guard wire.isEmpty else { return .full }
    var taken = 0
    while taken < min(bytes.count, Self.portion) {
      let rest = bytes.dropFirst(taken)
      if restOfMessage == 0 {
        restOfMessage = rest.count >= 4 ? max(16, Int(rest.load(UInt16.self, at: 2))) : rest.count
      }
      let count = min(restOfMessage, rest.count, Self.longestPart)
      guard wire.room >= block.count, compress(rest.prefix(count)) else { break }
      restOfMessage &-= count
      taken &+= count
    }
    if taken == 0 { return .broken("LZ4 has no memory") }
    // Whatever becomes of the blocks: these octets are in them. A connection that is broken says so next time.
    _ = flush()
    return .sent(taken)
  }

  /// Adds one block; false when LZ4 fails, which it does not where there is memory.
  private func compress(_ bytes: Bytes) -> Bool {
    guard let stream else { return false }
    if ring.count &- position < bytes.count { position = 0 }
    ring.copy(bytes, to: position)
    let source = ring.view(position, bytes.count)
    let length = LZ4_compress_fast_continue(
      stream, source.base, block.base + 4, Int32(truncatingIfNeeded: bytes.count), Int32(Self.largestBlock), 1
    )
    guard length > 0 else { return false }
    block.store(UInt16(truncatingIfNeeded: bytes.count), at: 0)
    block.store(UInt16(truncatingIfNeeded: length), at: 2)
    wire.append(block.view(0, 4 &+ Int(length)))
    wire.note(length: 4 &+ Int(length), plain: bytes.count)
    position &+= bytes.count
    return true
  }

  func detectEnd() -> String? { flush() ?? tcp.detectEnd() }

  var unacknowledged: Int { wire.plain(unacknowledged: tcp.unacknowledged) }

  var endedInOrder: Bool { tcp.endedInOrder }

  func finishSending() {
    isFinishing = true
    _ = flush()
  }

  /// Sends what the socket takes, and the end where that was asked for; why that is not possible any more.
  private func flush() -> String? {
    guard isOpen else { return nil }
    switch wire.flush(to: tcp) {
    case .broken(let reason): return reason
    case .full: return nil
    default:
      if isFinishing { tcp.finishSending() }
      return nil
    }
  }

  func wait(milliseconds: Int32) { tcp.wait(milliseconds: milliseconds) }

  func disconnect(_ now: Moment, failed: Bool) { tcp.disconnect(now, failed: failed) }
}
