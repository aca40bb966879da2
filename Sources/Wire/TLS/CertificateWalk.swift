// From the records behind a ServerHello to the certificates of TLS 1.2 and older, which go in clear.
//
//     Certificate message (RFC 5246 section 7.4.2):
//     | type 1 (11) | length 3 | length of the list 3 | length 3 | certificate … | length 3 | certificate … | …
//
// Messages are spread over records as they like, so two things are followed at once: records, and what is in them.

extension TLS {
  /// Follows the server's bytes from the record of its ServerHello on. Nothing is kept but numbers.
  package struct CertificateWalk: BitwiseCopyable {
    /// What bytes came to.
    package enum Event {
      /// All bytes were passed; more are needed.
      case incomplete
      /// The length of the leaf, the first certificate, is known: at least 1.
      case leaf(length: Int)
      /// The next bytes of the leaf; `isLast` with its last one.
      case piece(Bytes, isLast: Bool)
      /// The message ends here: all certificates were counted.
      case complete
      /// There is no Certificate message, or none that makes sense.
      case failed
    }

    private enum Step: UInt8, BitwiseCopyable { case message, skipped, list, length, leaf, other }

    private static let certificateType: UInt8 = 11
    /// The longest message that is followed: a chain of many certificates.
    private static let longestMessage: UInt32 = 1 << 16
    /// The most messages, the ServerHello among them; a chain follows it at once.
    private static let mostMessages: UInt8 = 3

    private var step = Step.message
    /// The bytes so far of the record's header of 5, and of a field of 3 or 4 bytes in the message.
    private var recordField: UInt64 = 0
    private var field: UInt32 = 0
    private var recordCount: UInt8 = 0
    private var fieldCount: UInt8 = 0
    private var messages: UInt8 = 0
    /// The certificates that began.
    package private(set) var certificates: UInt8 = 0
    /// Bytes still to come of the record, of the message (behind the certificate), and of the certificate or message passed.
    private var recordLeft: UInt16 = 0
    private var messageLeft: UInt32 = 0
    private var left: UInt32 = 0

    package init() {}

    /// Goes on with `bytes`, and leaves there what was not looked at yet. After `.incomplete` it is to be called with what
    /// follows, after `.leaf` and, if the message is not complete, after `.piece` with the rest; other events end the walk. Each
    /// call passes a byte or ends.
    package mutating func next(_ bytes: inout Bytes) -> Event {
      while true {
        if recordLeft == 0 {
          guard recordCount == 5 || gatherRecordHeader(&bytes) else { return .incomplete }
          let header = recordField
          (recordField, recordCount) = (0, 0)
          let length = UInt16(truncatingIfNeeded: header)
          guard header &>> 32 == UInt64(RecordStart.handshake), header &>> 24 & 0xFF == 3, length > 0,
            length <= RecordStart.longestRecord
          else { return .failed }
          recordLeft = length
        }
        let fragment = bytes.prefix(Int(recordLeft))
        guard !fragment.isEmpty else { return .incomplete }
        switch step {
        case .message:
          guard gather(4, fragment, &bytes) else { continue }
          messages &+= 1
          messageLeft = field & 0xFF_FFFF
          guard messages <= CertificateWalk.mostMessages, messageLeft <= CertificateWalk.longestMessage else {
            return .failed
          }
          switch UInt8(truncatingIfNeeded: field &>> 24) {
          case CertificateWalk.certificateType: step = .list
          case HandshakeType.serverHello: (step, left) = (.skipped, messageLeft)
          default: return .failed
          }
          field = 0
          if step != .list, left == 0 { return .failed }
        case .list:
          guard messageLeft >= 3 else { return .failed }
          guard gather(3, fragment, &bytes) else { continue }
          messageLeft &-= 3
          guard field <= messageLeft else { return .failed }
          (messageLeft, field, step) = (field, 0, .length)
          if messageLeft == 0 { return .failed }
        case .length:
          guard messageLeft >= 4 else { return .failed }
          guard gather(3, fragment, &bytes) else { continue }
          messageLeft &-= 3
          left = field
          field = 0
          guard left > 0, left <= messageLeft else { return .failed }
          messageLeft &-= left
          let isLeaf = certificates == 0
          certificates = certificates == .max ? .max : certificates &+ 1
          step = isLeaf ? .leaf : .other
          if isLeaf { return .leaf(length: Int(left)) }
        case .leaf:
          let piece = pass(fragment, &bytes)
          if left == 0 { step = .length }
          return .piece(piece, isLast: left == 0)
        case .skipped:
          _ = pass(fragment, &bytes)
          if left == 0 { step = .message }
        case .other:
          _ = pass(fragment, &bytes)
          if isComplete { return .complete }
          if left == 0 { step = .length }
        }
      }
    }

    /// Whether the message ends with what was passed: to be asked after the last piece of the leaf, behind which there may be no
    /// byte.
    package var isComplete: Bool { certificates > 0 && left == 0 && messageLeft == 0 }

    private mutating func gatherRecordHeader(_ bytes: inout Bytes) -> Bool {
      while recordCount < 5, !bytes.isEmpty {
        recordField = recordField &<< 8 | UInt64(bytes[0])
        recordCount &+= 1
        bytes = bytes.dropFirst(1)
      }
      return recordCount == 5
    }

    /// Gathers a field of `length` bytes from the front of `fragment`, with which `bytes` begins; false where it goes on in the
    /// next one.
    private mutating func gather(_ length: UInt8, _ fragment: Bytes, _ bytes: inout Bytes) -> Bool {
      var index = 0
      while fieldCount < length, index < fragment.count {
        field = field &<< 8 | UInt32(fragment[index])
        fieldCount &+= 1
        index &+= 1
      }
      bytes = bytes.dropFirst(index)
      recordLeft &-= UInt16(truncatingIfNeeded: index)
      guard fieldCount == length else { return false }
      fieldCount = 0
      return true
    }

    /// Passes what `fragment` has of the `left` bytes, and gives it.
    private mutating func pass(_ fragment: Bytes, _ bytes: inout Bytes) -> Bytes {
      let piece = fragment.prefix(Int(left))
      left &-= UInt32(truncatingIfNeeded: piece.count)
      recordLeft &-= UInt16(truncatingIfNeeded: piece.count)
      bytes = bytes.dropFirst(piece.count)
      return piece
    }
  }
}
