// The segments of one collector on the disk: written at the end, removed at the beginning, found again after a restart.
import Glibc
import Wire

/// The segments in a directory. One thread has them.
struct SpoolLog: ~Copyable {
  /// A segment on the disk.
  struct Segment {
    let path: String
    /// The number of its first message.
    let first: UInt64
    /// The file's length.
    var octets: Int
  }

  /// What became of messages that were to be written.
  enum Outcome: Equatable {
    case done
    /// They would not fit into the bound.
    case full
    /// The disk did not take them; an errno.
    case failed(Int32)
  }

  private var directory: SpoolDirectory
  /// Octets that all segments may have.
  private let limit: Int
  /// Octets after which a new segment is begun: what is delivered is removed in such pieces.
  private let segmentLimit: Int
  /// The run whose messages are written.
  private let run: UInt64
  /// The oldest first.
  private(set) var segments: [Segment] = []
  /// Behind the last message that can be read.
  private(set) var end = SpoolPosition()
  /// Before the first message; nil when there is none.
  private(set) var first: SpoolPosition?
  /// Segments that were put aside because their beginning cannot be read.
  private(set) var damagedSegments = 0
  /// Octets of all segments.
  private(set) var octets = 0
  /// The last segment, open for writing, if this run began it; else -1.
  private var descriptor: Int32 = -1
  private var buffer = OwnedBytes(count: bufferLength)
  /// Octets that one system call writes at most: several of the longest frames.
  private static let bufferLength = 1 << 18

  /// Finds what earlier runs left.
  init(_ directory: consuming SpoolDirectory, limit: Int, run: UInt64) {
    self.directory = directory
    self.limit = limit
    self.run = run
    segmentLimit = max(1 << 13, min(1 << 24, limit / 8))
    for path in self.directory.segmentPaths {
      guard let file = SegmentFile(path: path) else {
        // It is kept for people; without its templates no program can read it.
        damagedSegments &+= 1
        rename(path, "\(path).damaged")
        continue
      }
      let place = file.header.first
      if first == nil || place.message < first?.message ?? 0 { first = place }
      let length = Self.length(path)
      segments.append(Segment(path: path, first: place.message, octets: length))
      octets &+= length
      end = SpoolPosition.later(end, place)
    }
    // By what is in them: names may have been changed.
    segments.sort { $0.first < $1.first }
    if let last = segments.last, var file = SegmentFile(path: last.path) { end = Self.end(of: &file) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The file that says how far delivery is.
  var statePath: String { directory.statePath }

  /// Lets another program have the directory. Nothing may be written afterwards.
  mutating func release() { directory.release() }

  private static func length(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Behind the last message of a segment that can be read.
  private static func end(of file: inout SegmentFile) -> SpoolPosition {
    var end = file.header.first
    while true {
      switch file.next() {
      case .frame(let frame): end = frame.end
      case .damage: continue
      case .end: return end
      }
    }
  }

  /// Takes this run's numbers from here on: behind everything that there is.
  mutating func begin(at place: SpoolPosition) { end = SpoolPosition.later(end, place) }

  /// Writes the messages of a chunk from unit `unit` on, which it moves behind what was written.
  mutating func append(_ chunk: SpoolChunk, from unit: inout Int) -> Outcome {
    while unit < chunk.units.count {
      var used = 0
      var room = 0
      var stop = Outcome.done
      var written = end
      let reached = chunk.forEach(from: unit) { message, unit, place in
        let frame = SpoolFrame(
          place: place, records: unit.records, options: unit.options, message: message)
        if used == 0 {
          stop = prepare(for: frame, templates: chunk.templates)
          guard stop == .done else { return false }
          room = min(max(frame.length, min(limit &- octets, segmentLimit &- lastOctets)), Self.bufferLength)
        }
        guard used &+ frame.length <= room else { return false }
        frame.write(to: &buffer, at: used)
        used &+= frame.length
        written = frame.end
        return true
      }
      guard stop == .done else { return stop }
      if let code = writeOut(used) { return .failed(code) }
      unit = reached
      end = written
    }
    return .done
  }

  private var lastOctets: Int { segments.last?.octets ?? 0 }

  /// Sees that there is a segment that takes a frame: the last one, or a new one where that is full or the numbers have a
  /// gap, behind which templates may be missing.
  private mutating func prepare(for frame: SpoolFrame, templates: SharedBytes) -> Outcome {
    if descriptor >= 0, frame.place == end, lastOctets &+ frame.length <= segmentLimit {
      return octets &+ frame.length <= limit ? .done : .full
    }
    let header = SegmentHeader(run: run, first: frame.place, templates: templates)
    // However long it is, one message finds room where there is no other.
    guard octets &+ header.length &+ frame.length <= limit || segments.isEmpty else { return .full }
    let path = directory.segmentPath(frame.place.message)
    // A segment without a message has the name that its successor gets.
    if let last = segments.last, last.path == path {
      octets &-= last.octets
      segments.removeLast()
    }
    let opened = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o640)
    guard opened >= 0 else { return .failed(errno) }
    FileOwner.give(opened)
    let code = header.encoded().withBytes { Self.write($0, to: opened, at: 0) }
    if let code {
      close(opened)
      unlink(path)
      return .failed(code)
    }
    if descriptor >= 0 { close(descriptor) }
    descriptor = opened
    if segments.isEmpty { first = frame.place }
    segments.append(Segment(path: path, first: frame.place.message, octets: header.length))
    octets &+= header.length
    end = frame.place
    return .done
  }

  /// Writes the buffer's first octets behind the last segment: all, or nothing and an errno.
  private mutating func writeOut(_ count: Int) -> Int32? {
    guard var last = segments.popLast() else { return EIO }
    defer { segments.append(last) }
    if let code = Self.write(buffer.view(0, count), to: descriptor, at: last.octets) {
      ftruncate(descriptor, off_t(last.octets))
      return code
    }
    last.octets &+= count
    octets &+= count
    return nil
  }

  /// Writes all bytes, or says why not.
  private static func write(_ bytes: Bytes, to descriptor: Int32, at offset: Int) -> Int32? {
    var done = 0
    while done < bytes.count {
      let rest = bytes.dropFirst(done)
      let count = pwrite(descriptor, rest.base, rest.count, off_t(offset &+ done))
      let code = errno
      if count > 0 {
        done &+= count
      } else if count == 0 || code != EINTR {
        return count == 0 ? EIO : code
      }
    }
    return nil
  }

  /// Removes the segments whose messages all have numbers below `number`.
  mutating func remove(below number: UInt64) {
    while let oldest = segments.first {
      guard (segments.dropFirst().first?.first ?? end.message) <= number else { return }
      unlink(oldest.path)
      octets &-= oldest.octets
      segments.removeFirst()
      guard segments.isEmpty else { continue }
      if descriptor >= 0 { close(descriptor) }
      descriptor = -1
      first = nil
    }
  }
}
