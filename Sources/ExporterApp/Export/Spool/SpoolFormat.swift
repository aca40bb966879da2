// How a spool lies on the disk: segments of checked messages, each of which can be read without the others.
import CIntrinsics
import Wire

/// Checksums of what is on the disk.
enum SpoolFormat {
  /// The CRC32C of one run of bytes and another behind it.
  static func checksum(_ first: Bytes, _ second: Bytes? = nil) -> UInt32 {
    let crc = martlet_crc32c(0, first.base, UInt64(clamping: first.count))
    guard let second else { return crc }
    return martlet_crc32c(crc, second.base, UInt64(clamping: second.count))
  }
}

/// What a segment begins with, in network byte order.
///
///      0  "MARTSPL1"
///      8  the run that wrote it
///     16  the first message's number, and
///     24  the number of its first data record
///     32  octets of the templates
///     36  CRC32C of all that, and of the templates
///     40  the templates: IPFIX messages that the run had announced before
struct SegmentHeader {
  /// The run that wrote the segment.
  let run: UInt64
  /// Before the first message.
  let first: SpoolPosition
  /// IPFIX messages with all templates known before.
  let templates: SharedBytes

  private static let magic: UInt64 = 0x4D41_5254_5350_4C31
  /// Octets before the templates.
  static let fixedLength = 40
  /// Octets that templates have at most: more than 65535 of them with 100 fields.
  private static let longestTemplates = 1 << 26

  /// A header to be written.
  init(run: UInt64, first: SpoolPosition, templates: SharedBytes) {
    self.run = run
    self.first = first
    self.templates = templates
  }

  /// Octets in all.
  var length: Int { Self.fixedLength &+ templates.count }

  /// The header as it is written.
  func encoded() -> SharedBytes {
    var memory = OwnedBytes(count: length)
    memory.store(Self.magic, at: 0)
    memory.store(run, at: 8)
    memory.store(first.message, at: 16)
    memory.store(first.record, at: 24)
    memory.store(UInt32(clamping: templates.count), at: 32)
    templates.withBytes { memory.copy($0, to: Self.fixedLength) }
    memory.store(
      SpoolFormat.checksum(memory.view(0, 36), memory.view(Self.fixedLength, templates.count)), at: 36)
    return SharedBytes(memory, count: length)
  }

  /// How long the header is that begins with these octets; nil where none does.
  static func length(_ bytes: Bytes) -> Int? {
    guard bytes.count >= fixedLength, bytes.load(UInt64.self, at: 0) == magic else { return nil }
    let templates = Int(bytes.load(UInt32.self, at: 32))
    return templates <= longestTemplates ? fixedLength &+ templates : nil
  }

  /// Reads a header; nil for what is none, or is damaged.
  init?(_ bytes: Bytes) {
    guard let length = Self.length(bytes), bytes.count >= length else { return nil }
    let templates = bytes.slice(Self.fixedLength, length &- Self.fixedLength)
    guard bytes.load(UInt32.self, at: 36) == SpoolFormat.checksum(bytes.prefix(36), templates) else {
      return nil
    }
    run = bytes.load(UInt64.self, at: 8)
    first = SpoolPosition(
      message: bytes.load(UInt64.self, at: 16), record: bytes.load(UInt64.self, at: 24))
    self.templates = SharedBytes(copying: templates)
    guard first.isPlausible else { return nil }
  }
}

/// A message in a segment, in network byte order.
///
///      0  octets of the message
///      4  records of flows in it, and (at 6) options records
///      8  its number, and
///     16  the number of its first data record
///     24  CRC32C of all that, and of the message
///     28  the message
struct SpoolFrame {
  /// Before the message.
  let place: SpoolPosition
  /// Records of flows in it.
  let records: Int
  /// Options records in it.
  let options: Int
  /// The message; valid as long as the bytes that the frame was read from.
  let message: Bytes

  /// Octets before the message.
  static let headerLength = 28
  /// Octets of the longest frame: an IPFIX message has at most 65535.
  static let longest = headerLength &+ 65535

  /// Octets in all.
  var length: Int { Self.headerLength &+ message.count }

  /// Behind the message.
  var end: SpoolPosition {
    var end = place
    end.pass(records: records)
    return end
  }

  /// What some bytes begin with.
  enum Reading {
    /// A whole frame.
    case frame(SpoolFrame)
    /// Something wrong, which may be so long; nil where not even that is known.
    case damaged(length: Int?)
    /// The beginning of a frame, or nothing.
    case cut
  }

  /// Reads the frame that `bytes` begin with.
  static func read(_ bytes: Bytes) -> Reading {
    guard bytes.count >= headerLength else { return .cut }
    let count = Int(bytes.load(UInt32.self, at: 0))
    guard count >= 16, count <= 65535 else { return .damaged(length: nil) }
    guard bytes.count >= headerLength &+ count else { return .cut }
    let message = bytes.slice(headerLength, count)
    guard bytes.load(UInt32.self, at: 24) == SpoolFormat.checksum(bytes.prefix(24), message) else {
      return .damaged(length: headerLength &+ count)
    }
    let place = SpoolPosition(
      message: bytes.load(UInt64.self, at: 8), record: bytes.load(UInt64.self, at: 16))
    guard place.isPlausible else { return .damaged(length: headerLength &+ count) }
    return .frame(
      SpoolFrame(
        place: place, records: Int(bytes.load(UInt16.self, at: 4)),
        options: Int(bytes.load(UInt16.self, at: 6)), message: message))
  }

  /// Whether a frame may begin here: one look at each octet behind damage, before the checksum over thousands.
  static func mayBegin(_ bytes: Bytes) -> Bool {
    let count = bytes.load(UInt32.self, at: 0)
    // The message's version, and its length once more (RFC 7011 section 3.1).
    return count >= 16 && count <= 65535 && bytes.load(UInt16.self, at: headerLength) == 10
      && UInt32(bytes.load(UInt16.self, at: headerLength &+ 2)) == count
  }

  /// Writes a frame into memory that has room for it at `offset`.
  func write(to memory: inout OwnedBytes, at offset: Int) {
    memory.store(UInt32(clamping: message.count), at: offset)
    memory.store(UInt16(clamping: records), at: offset &+ 4)
    memory.store(UInt16(clamping: options), at: offset &+ 6)
    memory.store(place.message, at: offset &+ 8)
    memory.store(place.record, at: offset &+ 16)
    memory.store(SpoolFormat.checksum(memory.view(offset, 24), message), at: offset &+ 24)
    memory.copy(message, to: offset &+ Self.headerLength)
  }
}

/// The file that says how far delivery is, in network byte order: a restart goes on from there, and knows what is missing.
///
///      0  "MARTSTA1"
///      8  what the collector has: message and record
///     24  what was taken: message and record
///     40  CRC32C
struct SpoolState: Equatable {
  /// Behind what the collector has, as far as its acknowledgements say.
  var resume = SpoolPosition()
  /// Behind what was taken.
  var taken = SpoolPosition()

  private static let magic: UInt64 = 0x4D41_5254_5354_4131
  /// Octets of the file.
  static let length = 44

  /// Nothing was taken yet.
  init() {}

  /// Reads the file's content; nil for anything else.
  init?(_ bytes: Bytes) {
    guard bytes.count >= Self.length, bytes.load(UInt64.self, at: 0) == Self.magic,
      bytes.load(UInt32.self, at: 40) == SpoolFormat.checksum(bytes.prefix(40))
    else { return nil }
    resume = SpoolPosition(message: bytes.load(UInt64.self, at: 8), record: bytes.load(UInt64.self, at: 16))
    taken = SpoolPosition(message: bytes.load(UInt64.self, at: 24), record: bytes.load(UInt64.self, at: 32))
    guard resume.isPlausible, taken.isPlausible else { return nil }
  }

  /// The file's content.
  func encoded() -> SharedBytes {
    var memory = OwnedBytes(count: Self.length)
    memory.store(Self.magic, at: 0)
    memory.store(resume.message, at: 8)
    memory.store(resume.record, at: 16)
    memory.store(taken.message, at: 24)
    memory.store(taken.record, at: 32)
    memory.store(SpoolFormat.checksum(memory.view(0, 40)), at: 40)
    return SharedBytes(memory, count: Self.length)
  }
}
