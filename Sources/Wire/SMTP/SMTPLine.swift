// The lines of SMTP's dialogue (RFC 5321 section 4), and the mail between them.

/// A command's word.
package enum SMTPVerb: BitwiseCopyable {
  case ehlo, helo, mail, rcpt, data, rset, vrfy, expn, help, noop, quit, startTLS, bdat
  /// Letters only, but none of these.
  case other
  /// What is no word: the answer to a challenge, or no SMTP.
  case none
}

/// A line from a client.
///
///     verb [blank argument] CRLF          MAIL FROM:<path> [parameters] CRLF, RCPT TO:<path> …
package struct SMTPCommand: BitwiseCopyable {
  package let verb: SMTPVerb
  /// Whether it says who the client is, as each does first.
  package var isGreeting: Bool {
    switch verb {
    case .ehlo, .helo: true
    default: false
    }
  }
  /// What follows the word.
  private let rest: Bytes

  /// - Parameter line: Without its end.
  package init(_ line: Bytes) {
    var end = 0
    var isWord = true
    while end < line.count, line[end] != 0x20, line[end] != 0x09 {
      isWord = isWord && (line[end] | 0x20) &- 0x61 < 26
      end &+= 1
    }
    rest = line.dropFirst(end)
    verb = isWord && end > 0 ? Self.verb(line.prefix(end)) : .none
  }

  private static func verb(_ word: Bytes) -> SMTPVerb {
    guard word.count == 4 else { return word.equals("starttls") ? .startTLS : .other }
    // Four letters in lower case.
    switch word.load(UInt32.self, at: 0) | 0x2020_2020 {
    case 0x6568_6C6F: return .ehlo
    case 0x6865_6C6F: return .helo
    case 0x6D61_696C: return .mail
    case 0x7263_7074: return .rcpt
    case 0x6461_7461: return .data
    case 0x7273_6574: return .rset
    case 0x7672_6679: return .vrfy
    case 0x6578_706E: return .expn
    case 0x6865_6C70: return .help
    case 0x6E6F_6F70: return .noop
    case 0x7175_6974: return .quit
    case 0x6264_6174: return .bdat
    default: return .other
    }
  }

  /// The argument of HELO and EHLO.
  package var argument: Bytes { rest.withoutBlanks }
  /// What follows the colon of MAIL and RCPT, a blank too; empty without a colon.
  package var path: Bytes {
    guard let colon = rest.firstIndex(of: 0x3A) else { return rest.prefix(0) }
    return rest.dropFirst(colon &+ 1)
  }
  /// The bytes that follow a BDAT command's line (RFC 3030).
  package var chunkLength: UInt32 {
    let digits = rest.withoutBlanks
    var length: UInt64 = 0
    var index = 0
    while index < digits.count, index < 10, digits[index] &- 0x30 < 10 {
      length = length &* 10 &+ UInt64(digits[index] &- 0x30)
      index &+= 1
    }
    return UInt32(clamping: length)
  }
}

/// A line from a server.
///
///     three digits, "-" where more lines of the reply follow, else a blank or nothing, text CRLF
package struct SMTPReply: BitwiseCopyable {
  /// 200 to 599.
  package let code: UInt16
  /// No more lines of this reply follow.
  package let isLast: Bool
  package let text: Bytes

  /// - Parameter line: Without its end.
  package init?(_ line: Bytes) {
    guard line.count >= 3 else { return nil }
    let (hundreds, tens, ones) = (line[0] &- 0x30, line[1] &- 0x30, line[2] &- 0x30)
    guard hundreds >= 2, hundreds <= 5, tens < 10, ones < 10 else { return nil }
    let separator = line.count > 3 ? line[3] : 0x20
    guard separator == 0x20 || separator == 0x2D else { return nil }
    code = UInt16(hundreds) &* 100 &+ UInt16(tens) &* 10 &+ UInt16(ones)
    isLast = separator == 0x20
    text = line.dropFirst(4)
  }
}

/// Finds the end of a mail's text, a line with nothing but a dot (RFC 5321 section 4.1.1.4), in whatever segments it comes.
package struct SMTPMailText: BitwiseCopyable {
  /// How much of the last line was the end's.
  private enum Progress: UInt8, BitwiseCopyable { case inLine, lineStart, dot, dotReturn }
  private var progress = Progress.inLine

  package init() {}

  /// The text begins.
  package mutating func begin() { progress = .lineStart }

  /// Reads on at `position` and moves it behind the end, or behind all bytes. True at the end.
  /// - Complexity: O(bytes)
  package mutating func isOver(_ bytes: Bytes, at position: inout Int) -> Bool {
    while position < bytes.count {
      let byte = bytes[position]
      switch progress {
      case .lineStart where byte == 0x2E: progress = .dot
      case .dot where byte == 0x0D: progress = .dotReturn
      case .dotReturn where byte == 0x0A:
        position &+= 1
        return true
      default:
        // Another line, whose end may be this byte.
        guard let end = bytes.index(of: 0x0A, from: position) else {
          progress = .inLine
          position = bytes.count
          return false
        }
        progress = .lineStart
        position = end
      }
      position &+= 1
    }
    return false
  }
}
