// zstd (RFC 8878) for files: bytes go in as they come, and come out when there are enough of them.
import CZstd
import Wire

/// A compressor that makes one frame after the other.
///
/// Nothing but the end of a frame makes it give out what it holds, so that how often bytes come has no influence on how
/// small they get.
struct ZstdStream: ~Copyable {
  /// zstd's levels without those that need more memory to decompress than `zstd -d` takes unasked.
  static let levels = 1...19
  /// The level where nobody names one; zstd's own.
  static let defaultLevel = 3

  private let context: OpaquePointer
  private var output = OwnedBytes(count: 1 << 17)
  /// Octets in `output`, and those of them that were taken.
  private var filled = 0
  private var taken = 0

  /// A compressor at the beginning of a frame; nil without memory for it.
  init?(level: Int) {
    guard let context = ZSTD_createCCtx() else { return nil }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(clamping: level))
    // A reader sees what a disk damaged.
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// What is ready to be written, valid until the next change.
  var ready: Bytes { output.view(taken, filled &- taken) }

  /// Forgets the first `count` octets of `ready`: they are written.
  mutating func removeReady(_ count: Int) {
    taken = min(filled, taken &+ max(0, count))
    if taken == filled { (taken, filled) = (0, 0) }
  }

  /// Takes bytes; false where the library has no memory left: the frame cannot be completed then.
  mutating func add(_ bytes: Bytes) -> Bool { compress(bytes, ZSTD_e_continue) }

  /// Completes the frame; false as for `add`.
  mutating func end() -> Bool { compress(Bytes(UnsafeRawBufferPointer(start: nil, count: 0)), ZSTD_e_end) }

  /// Forgets all that was begun.
  mutating func restart() {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    (taken, filled) = (0, 0)
  }

  private mutating func compress(_ bytes: Bytes, _ directive: ZSTD_EndDirective) -> Bool {
    var input = ZSTD_inBuffer(src: bytes.base, size: bytes.count, pos: 0)
    // Each round has room, so that it takes or gives something, or is the last.
    while true {
      if output.count &- filled < 1 << 15 { output.grow(to: output.count &* 2, keeping: filled) }
      var room = ZSTD_outBuffer(dst: output.base + filled, size: output.count &- filled, pos: 0)
      let rest = ZSTD_compressStream2(context, &room, &input, directive)
      guard ZSTD_isError(rest) == 0 else { return false }
      filled = min(output.count, filled &+ room.pos)
      if directive == ZSTD_e_end ? rest == 0 : input.pos >= input.size { return true }
    }
  }
}
