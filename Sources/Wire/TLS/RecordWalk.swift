// From the bytes of a TCP stream to a hello: TLS records, and the handshake message that they carry.
//
//     record:     type 1 (22 handshake) | version 2 (3.x) | length 2 | fragment …
//     message:    type 1 | length 3 | body …              spread over the fragments of one or more records

extension TLS {
  /// A hello message without its header.
  package struct HelloMessage: BitwiseCopyable {
    package let type: UInt8
    package let body: Bytes

    @inline(__always)
    package init(type: UInt8, body: Bytes) { (self.type, self.body) = (type, body) }
  }

  /// What the first bytes of a payload can be.
  package enum RecordStart {
    /// Not the start of a hello.
    case other
    /// The start of a hello, as far as there are bytes; `isSure` with the six that tell.
    case hello(isSure: Bool)
    /// The start of what may come before a hello, as sure as that.
    case preamble(isSure: Bool)

    package static let handshake: UInt8 = 22
    /// 2^14 bytes, and what encryption may add (RFC 5246 section 6.2.3; hellos are not encrypted, but some exceed 2^14).
    package static let longestRecord = 16384 + 2048

    package init(_ bytes: Bytes) {
      self = .other
      guard bytes.count > 0 else { return }
      guard bytes[0] == RecordStart.handshake else {
        if case .none = Preamble(bytes) { return }
        self = .preamble(isSure: bytes.count > 5)
        return
      }
      if bytes.count > 1, bytes[1] != 3 { return }
      if bytes.count > 2, bytes[2] > 4 { return }
      var length = 0
      if bytes.count > 4 {
        length = Int(bytes.load(UInt16.self, at: 3))
        guard length > 0, length <= RecordStart.longestRecord else { return }
      }
      if bytes.count > 5 {
        guard bytes[5] == HandshakeType.clientHello || bytes[5] == HandshakeType.serverHello else { return }
        if bytes.count > 8, length >= 4 {
          let message = Int(bytes[6]) << 16 | Int(bytes.load(UInt16.self, at: 7))
          guard message >= RecordWalk.shortestHello, message <= TLS.longestHello else { return }
        }
      }
      self = .hello(isSure: bytes.count > 5)
    }
  }

  /// Follows the records of a stream whose first byte is a hello's, or that of a preamble. Bytes once passed are not looked at
  /// again until the message is complete, so that the work is bounded by the stream's length however it is cut.
  package struct RecordWalk: BitwiseCopyable {
    package init() {}

    package enum Progress: Equatable {
      /// More bytes are needed.
      case incomplete
      /// The whole message is there.
      case complete
      /// This is no hello, or one too long to keep.
      case failed
    }

    /// Version, random, and three empty fields.
    package static let shortestHello = 2 + 32 + 1 + 2 + 1

    /// Bytes of the stream passed, and those before the hello's first record.
    private var passed: UInt16 = 0
    private var skipped: UInt16 = 0
    /// Bytes of the current record's fragment still to come.
    private var fragmentLeft: UInt16 = 0
    /// Bytes of the message passed, and the first four of them.
    private var message: UInt16 = 0
    private var header: UInt32 = 0

    /// Where in the stream the hello's first record begins.
    package var start: Int { Int(skipped) }

    /// The length of the message without its header, after `advance` said that it is complete.
    package var bodyLength: Int { Int(header & 0xFF_FFFF) }

    /// Goes on with what has arrived of the stream. No byte of it may change between calls.
    package mutating func advance(_ stream: Bytes) -> Progress {
      let bytes = stream.prefix(TLS.longestHello)
      // Each turn passes at least one byte.
      while Int(passed) < bytes.count {
        if fragmentLeft == 0 {
          let record = bytes.dropFirst(Int(passed))
          if message == 0 {
            switch Preamble(record) {
            case .whole(let length):
              passed = UInt16(truncatingIfNeeded: Int(passed) &+ max(1, length))
              skipped = passed
              continue
            case .incomplete: return .incomplete
            case .none: break
            }
          }
          guard record.count >= 5 else {
            return record[0] == RecordStart.handshake ? .incomplete : .failed
          }
          let length = record.load(UInt16.self, at: 3)
          guard record[0] == RecordStart.handshake, record[1] == 3, length > 0,
            length <= RecordStart.longestRecord
          else { return .failed }
          passed &+= 5
          fragmentLeft = length
        }
        let fragment = bytes.dropFirst(Int(passed)).prefix(Int(fragmentLeft))
        guard !fragment.isEmpty else { return .incomplete }
        var index = 0
        while Int(message) &+ index < 4, index < fragment.count {
          header = header << 8 | UInt32(fragment[index])
          index &+= 1
        }
        let count = UInt16(truncatingIfNeeded: fragment.count)
        passed &+= count
        fragmentLeft &-= count
        message &+= count
        guard message >= 4 else { continue }
        guard type == HandshakeType.clientHello || type == HandshakeType.serverHello,
          bodyLength >= RecordWalk.shortestHello, bodyLength <= TLS.longestHello
        else { return .failed }
        if Int(message) >= 4 &+ bodyLength { return .complete }
      }
      return .incomplete
    }

    /// The message in `stream`, after `advance` said that it is complete, where it lies in one record; nil where it is spread
    /// over several: then `join` is to follow.
    package func message(in stream: Bytes) -> HelloMessage? {
      let record = stream.dropFirst(Int(skipped))
      guard record.count >= 9 &+ bodyLength, Int(record.load(UInt16.self, at: 3)) >= 4 &+ bodyLength else {
        return nil
      }
      return HelloMessage(type: type, body: record.slice(9, bodyLength))
    }

    /// The message in `stream`, after `advance` said that it is complete, its fragments joined in `memory`; nil where that has
    /// not `bodyLength` bytes.
    /// - Complexity: O(the message's length)
    package func join(_ stream: Bytes, in memory: MutableBytes) -> HelloMessage? {
      guard memory.count >= bodyLength else { return nil }
      var record = stream.dropFirst(Int(skipped))
      var passed = 0
      // Each turn passes a record's header.
      while passed < 4 &+ bodyLength, record.count > 5 {
        let length = Int(record.load(UInt16.self, at: 3))
        let fragment = record.dropFirst(5).prefix(min(length, 4 &+ bodyLength &- passed))
        memory.copy(fragment.dropFirst(4 &- passed), to: max(0, passed &- 4))
        passed &+= fragment.count
        record = record.dropFirst(5 &+ length)
      }
      guard passed == 4 &+ bodyLength else { return nil }
      return HelloMessage(type: type, body: memory.prefix(bodyLength))
    }

    private var type: UInt8 { UInt8(truncatingIfNeeded: header >> 24) }

    /// The message if all of it is in the first record of `payload`, which is what most hellos look like.
    @inline(__always)
    package static func whole(_ payload: Bytes) -> HelloMessage? {
      guard payload.count >= 9 else { return nil }
      let record = Int(payload.load(UInt16.self, at: 3))
      let length = Int(payload[6]) << 16 | Int(payload.load(UInt16.self, at: 7))
      guard record >= 4 &+ length, payload.count >= 9 &+ length else { return nil }
      return HelloMessage(type: payload[5], body: payload.slice(9, length))
    }
  }
}
