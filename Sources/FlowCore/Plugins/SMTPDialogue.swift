// Who says what in a connection of SMTP: lines of either side, the mails' texts between them, and where it ends.
import Wire

/// How far a dialogue is.
struct SMTPDialogue: BitwiseCopyable {
  /// What is next in a side's bytes.
  enum Event {
    case command(SMTPCommand)
    /// A line of a reply, and whether it is the first one.
    case reply(SMTPReply, isFirst: Bool)
    /// All bytes were read.
    case end
    /// More bytes are needed to know.
    case incomplete
    /// No more of SMTP follows, or nothing that can be read.
    case over
  }

  /// What the client sends after DATA: the server may refuse it, and then commands go on.
  private enum Mail: UInt8, BitwiseCopyable { case none, asked, refused, text }

  /// Bytes of a chunk (BDAT) still to come.
  private var chunk: UInt32 = 0
  private var text = SMTPMailText()
  private var mail = Mail.none
  private var serverIsForward = false
  /// The first bytes were seen, and may be SMTP's.
  private(set) var isOpen = false
  /// It is SMTP, by its port or by a command.
  var isSure = false
  /// The rest of a line that is too long is to come.
  private var clientIsInLine = false
  private var serverIsInLine = false
  /// More lines of a reply are to come.
  private var isInReply = false
  /// The server waits for a mail's text that nobody asked it to take: DATA was not seen.
  private var awaitsText = false
  private var asksForTLS = false
  private var quits = false

  /// The ports of mail (RFC 5321, RFC 6409), and what many use where the first is closed.
  private static let ports: (UInt16, UInt16, UInt16) = (25, 587, 2525)
  /// The longest line that is looked at; RFC 5321 section 4.5.3.1 has 512 and 1000.
  private static let longestLine = 1000
  /// The reply that lets a mail's text follow, and the first of those that say no.
  private static let startMail: UInt16 = 354
  private static let refusals: UInt16 = 400
  /// The replies to STARTTLS and to QUIT.
  private static let ready: UInt16 = 220
  private static let closing: UInt16 = 221
  /// The first byte of TLS: its records' type.
  private static let handshakeRecord: UInt8 = 22

  @inline(__always)
  private static func isMail(_ port: UInt16) -> Bool { port == ports.0 || port == ports.1 || port == ports.2 }

  /// Decides from the first bytes of a connection who is the server; false where it is another protocol.
  @inline(__always)
  mutating func open(_ bytes: Bytes, _ packet: PacketView) -> Bool {
    if Self.isMail(packet.destinationPort) {
      serverIsForward = !packet.isForward
      isSure = true
    } else if Self.isMail(packet.sourcePort) {
      serverIsForward = packet.isForward
      isSure = true
    } else if bytes.starts(with: "220 ") || bytes.starts(with: "220-") {
      serverIsForward = packet.isForward
    } else {
      return false
    }
    isOpen = true
    return true
  }

  /// Reads on at `position` and moves it behind what was read: at least one byte, unless it says that there is no more.
  mutating func next(_ stream: StreamBytes, at position: inout Int) -> Event {
    stream.isForward == serverIsForward
      ? nextReply(stream, at: &position) : nextCommand(stream, at: &position)
  }

  // MARK: The client

  private mutating func nextCommand(_ stream: StreamBytes, at position: inout Int) -> Event {
    let bytes = stream.bytes
    if position == 0 { beginClient(isAfterGap: stream.isAfterGap) }
    // What is not a command. Each turn takes at least one byte.
    while position < bytes.count {
      if chunk > 0 {
        let skipped = min(Int(chunk), bytes.count &- position)
        chunk &-= UInt32(truncatingIfNeeded: skipped)
        position &+= skipped
        continue
      }
      switch mail {
      case .asked:
        mail = .text
        text.begin()
        continue
      case .refused: mail = .none
      case .text:
        if text.isOver(bytes, at: &position) { mail = .none }
        continue
      case .none: break
      }
      if bytes[position] == Self.handshakeRecord { return .over }
      guard let line = Self.line(bytes, at: &position, isInLine: &clientIsInLine) else { return .incomplete }
      if line.isEmpty { continue }
      let command = SMTPCommand(line)
      switch command.verb {
      case .data: mail = .asked
      case .bdat: chunk = command.chunkLength
      case .startTLS: asksForTLS = true
      case .quit: quits = true
      default: break
      }
      return .command(command)
    }
    return .end
  }

  /// New bytes of the client, behind others that were not seen.
  private mutating func beginClient(isAfterGap: Bool) {
    if isAfterGap {
      chunk = 0
      clientIsInLine = false
      if awaitsText {
        mail = .text
        text.begin()
      }
    }
    awaitsText = false
  }

  // MARK: The server

  private mutating func nextReply(_ stream: StreamBytes, at position: inout Int) -> Event {
    let bytes = stream.bytes
    if stream.isAfterGap, position == 0 { (serverIsInLine, isInReply) = (false, false) }
    while position < bytes.count {
      guard let line = Self.line(bytes, at: &position, isInLine: &serverIsInLine) else { return .incomplete }
      guard let reply = SMTPReply(line) else { continue }
      let isFirst = !isInReply
      isInReply = !reply.isLast
      if isFirst, ends(with: reply.code) { position = bytes.count }
      return .reply(reply, isFirst: isFirst)
    }
    return isOver ? .over : .end
  }

  /// The dialogue was ended by a reply.
  private var isOver = false

  /// Takes a reply's code in; true where it ends the dialogue: TLS follows, or nothing.
  private mutating func ends(with code: UInt16) -> Bool {
    switch mail {
    case .asked: if code >= Self.refusals { mail = .refused }
    case .refused: if code == Self.startMail { mail = .asked }
    case .none: awaitsText = code == Self.startMail
    case .text: break
    }
    if asksForTLS {
      isOver = code == Self.ready
      asksForTLS = false
    }
    if quits, code == Self.closing { isOver = true }
    return isOver
  }

  // MARK: Lines

  /// The line at `position`, which moves behind it, without its end. Of one that is too long what is there, and its rest is
  /// left out: an empty line. Nil where its end is to come.
  private static func line(_ bytes: Bytes, at position: inout Int, isInLine: inout Bool) -> Bytes? {
    let rest = bytes.dropFirst(position)
    let end = rest.index(of: 0x0A, from: 0)
    let wasInLine = isInLine
    if let end {
      isInLine = false
      position &+= end &+ 1
    } else {
      guard wasInLine || rest.count > longestLine else { return nil }
      isInLine = true
      position = bytes.count
    }
    return wasInLine ? rest.prefix(0) : rest.prefix(min(end ?? rest.count, longestLine)).withoutReturn
  }
}
