// Hellos in the bytes of a TCP direction: finds where one starts, and follows its records until all are there.
import Wire

/// One direction of a flow, as far as hellos go.
struct HelloReader: BitwiseCopyable {
  /// How far the records of a hello under way were followed, in a TCP stream.
  private var walk = TLS.RecordWalk()
  /// Where a message's parts lie that are not one behind the other: the fragments of DTLS, or a message of several records.
  var block = BlockReference()
  /// The DTLS message under way: its number (16 bits), whether it is a ServerHello (1), its length (15).
  var fragmented: UInt32 = 0
  /// A hello is under way.
  var isCollecting = false

  /// Where in the bytes of the last `take` the record began with which a hello came.
  var start: Int { walk.start }

  /// What bytes came to.
  enum Outcome {
    /// They are the start of a hello, or of what comes before one; the rest is needed.
    case incomplete
    case hello(TLS.HelloMessage)
    /// They are of no interest.
    case nothing
  }

  /// Takes the bytes of a stream that are new, or that it was shown before and found incomplete. A hello is a view of them,
  /// or of `block`.
  mutating func take(_ stream: StreamBytes, _ blocks: inout FlowBlocks) -> Outcome {
    let bytes = stream.bytes
    if !isCollecting || stream.isAfterGap {
      isCollecting = false
      switch TLS.RecordStart(bytes) {
      case .hello(let isSure):
        if let message = TLS.RecordWalk.whole(bytes) {
          walk = TLS.RecordWalk()
          return .hello(message)
        }
        // A few bytes that look right are a start only where one is expected; behind a gap they are chance.
        guard isSure || !stream.isAfterGap else { return .nothing }
      case .preamble(let isSure):
        // The hello's own start is behind it.
        guard isSure || !stream.isAfterGap else { return .nothing }
      case .other: return .nothing
      }
      walk = TLS.RecordWalk()
      isCollecting = true
    }
    switch walk.advance(bytes) {
    case .incomplete:
      if bytes.count < TLS.longestHello { return .incomplete }
    case .failed: break
    case .complete:
      isCollecting = false
      if let message = walk.message(in: bytes) ?? joined(bytes, &blocks) { return .hello(message) }
    }
    isCollecting = false
    return .nothing
  }

  /// A message of several records, joined in `block`; nil where the slab has no block for it.
  private mutating func joined(_ bytes: Bytes, _ blocks: inout FlowBlocks) -> TLS.HelloMessage? {
    if blocks.contents(block).count < walk.bodyLength {
      guard let new = blocks.take(walk.bodyLength) else { return nil }
      block = new
    }
    return walk.join(bytes, in: blocks.contents(block))
  }

  /// Gives the block to the other direction, if that has none and no fragments lie in this one's.
  mutating func lend(to other: inout HelloReader) {
    guard !isCollecting, other.block.isNone else { return }
    swap(&block, &other.block)
  }
}
