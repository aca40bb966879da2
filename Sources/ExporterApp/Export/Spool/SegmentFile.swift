// A segment as it is read: frame by frame, past what is damaged, up to where it ends or was torn off.
import Glibc
import Wire

/// An open segment. While somebody writes at its end, reading may go on after `.end`.
struct SegmentFile: ~Copyable {
  /// What comes next.
  enum Item {
    /// A whole message, valid until the next one is asked for.
    case frame(SpoolFrame)
    /// Something that cannot be read was passed over.
    case damage
    /// There is no more, or only the beginning of a message.
    case end
  }

  /// What the segment begins with.
  let header: SegmentHeader
  private let descriptor: Int32
  private var buffer = OwnedBytes(count: 1 << 18)
  /// Where in the file the buffer begins, how much of the buffer is read from the file, and how much of that was passed on.
  private var offset: Int
  private var filled = 0
  private var position = 0

  /// Opens a segment; nil where that is not possible, it is no file, or its header is damaged.
  init?(path: String) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    offset = 0
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let header = Self.header(of: descriptor)
    else { return nil }
    self.header = header
    offset = header.length
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  private static func header(of descriptor: Int32) -> SegmentHeader? {
    var memory = OwnedBytes(count: SegmentHeader.fixedLength)
    var count = read(descriptor, into: &memory, at: 0, from: 0)
    guard let length = SegmentHeader.length(memory.view(0, count)) else { return nil }
    memory.grow(to: length, keeping: count)
    count &+= read(descriptor, into: &memory, at: count, from: count)
    return SegmentHeader(memory.view(0, count))
  }

  /// Fills memory from `start` on with what is at `offset` of the file; how much that was.
  private static func read(
    _ descriptor: Int32, into memory: inout OwnedBytes, at start: Int, from offset: Int
  ) -> Int {
    var count = 0
    while start &+ count < memory.count {
      let got = pread(
        descriptor, memory.base + start + count, memory.count &- start &- count, off_t(offset &+ count))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { break }
      count &+= got
    }
    return count
  }

  /// Where in the file the next item is.
  var place: Int { offset &+ position }

  /// Has the item that was at `place` read again.
  mutating func goBack(to place: Int) {
    offset = place
    filled = 0
    position = 0
  }

  /// The next item.
  mutating func next() -> Item {
    var mayRead = true
    while true {
      switch SpoolFrame.read(buffer.view(0, filled).dropFirst(position)) {
      case .frame(let frame):
        position &+= frame.length
        return .frame(frame)
      case .damaged(let length?):
        position &+= length
        return .damage
      case .damaged(nil):
        // Without a length nobody knows where the next message begins, but what one looks like.
        return search() ? .damage : .end
      case .cut:
        guard mayRead, refill() else { return .end }
        // A whole frame fits into the buffer.
        mayRead = position > 0
      }
    }
  }

  /// Goes on to the next octet where a whole frame begins, or to the end of what there is; false where there is none.
  /// - Complexity: O(octets)
  private mutating func search() -> Bool {
    position &+= 1
    while true {
      let rest = buffer.view(0, filled).dropFirst(position)
      if rest.count < SpoolFrame.headerLength &+ 4 {
        guard refill() else { return false }
      } else if !SpoolFrame.mayBegin(rest) {
        position &+= 1
      } else {
        switch SpoolFrame.read(rest) {
        case .frame: return true
        case .damaged: position &+= 1
        case .cut:
          guard position > 0, refill() else {
            position &+= 1
            continue
          }
        }
      }
    }
  }

  /// Moves what is left to the buffer's beginning and reads behind it; false when nothing came.
  private mutating func refill() -> Bool {
    let left = max(0, filled &- position)
    buffer.move(from: min(position, filled), to: 0, count: left)
    offset &+= position
    filled = left
    position = 0
    let count = Self.read(descriptor, into: &buffer, at: filled, from: offset &+ filled)
    filled &+= count
    return count > 0
  }
}
