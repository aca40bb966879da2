// What the plugins that read DNS have in common: where messages are, and the memory in which names are put together.
import Wire

/// Memory of one worker in which a plugin puts names together.
struct DNSScratch: BitwiseCopyable {
  private let base: UnsafeMutableRawPointer
  private let count: Int

  /// Takes memory for `count` bytes, which `free` gives back.
  init(count: Int) {
    base = .allocate(byteCount: max(1, count), alignment: 16)
    // Safe: as many bytes were allocated.
    base.initializeMemory(as: UInt8.self, repeating: 0, count: max(1, count))
    self.count = count
  }

  func free() { base.deallocate() }

  /// An empty text of at most `limit` bytes, in place of all others.
  @inline(__always)
  func text(limit: Int) -> ScratchText { text(from: 0, limit: limit) }

  /// An empty text of at most `limit` bytes, beside those before `offset`.
  @inline(__always)
  func text(from offset: Int, limit: Int) -> ScratchText {
    // Safe: the memory has `count` bytes until `free`.
    let rest = MutableBytes(base, count: count).dropFirst(offset)
    return ScratchText(MutableBytes(rest.base, count: max(0, min(limit, rest.count))))
  }
}

/// Ports at which DNS is spoken.
enum DNSPort {
  static let domain: UInt16 = 53
  static let multicast: UInt16 = 5353
}

/// The message at the beginning of some bytes of TCP (RFC 1035 section 4.2.2):
///
///     | length 2 | message … | length 2 | …
enum DNSSegment {
  /// A message; of a long one its beginning, and how many bytes it takes with its length.
  case message(Bytes, total: Int)
  /// More bytes are needed.
  case incomplete
  /// No message begins here.
  case other

  /// So much of a message is waited for; what is behind that in a longer one is not looked at.
  private static let longest = 8192

  init(_ bytes: Bytes) {
    guard bytes.count >= 2 else {
      self = .incomplete
      return
    }
    let length = Int(bytes.load(UInt16.self, at: 0))
    let message = bytes.dropFirst(2)
    guard length >= DNSHeader.size else {
      self = .other
      return
    }
    guard let header = DNSHeader(message) else {
      self = .incomplete
      return
    }
    guard header.fits(length) else {
      self = .other
      return
    }
    self =
      message.count >= min(length, Self.longest)
      ? .message(message.prefix(length), total: length &+ 2) : .incomplete
  }
}
