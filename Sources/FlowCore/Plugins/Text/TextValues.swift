// How the plugins of text protocols keep what they export: all values of a record in one block, each with its place.
import Wire

/// Where a value lies in the bytes that a record keeps. All zero it is empty.
struct TextPlace: BitwiseCopyable {
  private var offset: UInt16 = 0
  private var length: UInt16 = 0

  init() {}

  fileprivate init(offset: Int, length: Int) {
    self.offset = UInt16(truncatingIfNeeded: offset)
    self.length = UInt16(truncatingIfNeeded: length)
  }

  /// Where it begins, and how many bytes it has.
  @inline(__always) fileprivate var start: Int { Int(offset) }
  @inline(__always) var count: Int { Int(length) }
}

extension FlowContext {
  /// Keeps the first `limit` bytes of `value` in `text`, in place of what was at `place`. Where there is no memory, or a flow
  /// names so much, the old value stays.
  @inline(__always)
  mutating func keep(_ value: Bytes, at place: inout TextPlace, of text: inout StoredBytes, limit: Int) {
    blocks.keepText(value.prefix(limit), at: &place, of: &text)
  }

  /// Adds `value` to the list in `stored`, behind a semicolon where it is not the first one, as far as all has `limit` bytes.
  @inline(__always)
  mutating func join(_ value: Bytes, to stored: inout StoredBytes, limit: Int) {
    blocks.join(value, to: &stored, limit: limit)
  }
}

extension FlowBlocks {
  fileprivate mutating func keepText(_ value: Bytes, at place: inout TextPlace, of text: inout StoredBytes) {
    if value.count <= place.count {
      contents(text.block).copy(value, to: place.start)
      place = TextPlace(offset: place.start, length: value.count)
      return
    }
    // Most messages name as much as a block of 512 bytes holds: the first one need not grow.
    if text.block.isNone {
      guard let block = take(504) else { return }
      text = StoredBytes(block, length: 0)
    }
    let offset = text.count
    guard offset &+ value.count <= 2040, append(value, to: &text, limit: StoredBytes.limit) else { return }
    place = TextPlace(offset: offset, length: value.count)
  }

  fileprivate mutating func join(_ value: Bytes, to stored: inout StoredBytes, limit: Int) {
    if !stored.isEmpty {
      // Any byte makes room for the semicolon.
      guard !value.isEmpty, append(value.prefix(1), to: &stored, limit: limit), stored.count > 0 else {
        return
      }
      contents(stored.block).store(UInt8(0x3B), at: stored.count &- 1)
    }
    _ = append(value, to: &stored, limit: limit)
  }
}

extension FinishedFlow {
  /// The value at `place` of `text`; empty where they do not belong together.
  @inline(__always)
  func bytes(_ place: TextPlace, of text: StoredBytes) -> Bytes {
    let all = bytes(text)
    guard place.start &+ place.count <= all.count else { return all.slice(0, 0) }
    return all.slice(place.start, place.count)
  }
}
