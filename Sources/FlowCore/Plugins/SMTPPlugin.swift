// smtp: the dialogue of a mail's client and server: commands, replies, and the first sender and recipient (RFC 5321).
import IPFIX
import Wire

/// `--plugin smtp`. On the ports of mail all is read, on others a dialogue that begins with a greeting and HELO or EHLO.
struct SMTPPlugin: FlowPlugin {
  static let name = "smtp"
  static let summary = "SMTP: commands, replies, domain, first sender and recipient"
  static let protocols: FlowProtocols = .tcp
  static let readsStreams = true
  static let streamClaim = StreamClaim.dialogue

  struct State: FlowState {
    /// Bits of commands and of replies, see below.
    var commands: UInt32 = 0
    var codes: UInt32 = 0
    var mails: UInt32 = 0
    var recipients: UInt32 = 0
    /// Replies by their first digit.
    var success: UInt32 = 0
    var intermediate: UInt32 = 0
    var transient: UInt32 = 0
    var permanent: UInt32 = 0
    var domain = StoredBytes()
    var sender = StoredBytes()
    var recipient = StoredBytes()
    var dialogue = SMTPDialogue()
    /// A command or reply was seen, and it is one of a mail's dialogue.
    var isPresent = false
    var hasDomain = false
    var hasSender = false
    var hasRecipient = false
  }

  /// The most bytes of each text.
  private static let longestText = 254

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    if !state.dialogue.isOpen {
      guard state.dialogue.open(stream.bytes, packet) else { return .done }
      state.isPresent = false
    }
    return follow(&state, stream, &flow)
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { state.isPresent }

  @inline(never)
  private func follow(_ state: inout State, _ stream: StreamBytes, _ flow: inout FlowContext<Self>) -> Reading
  {
    var position = 0
    var claims = false
    while true {
      switch state.dialogue.next(stream, at: &position) {
      case .command(let command):
        if !state.hasDomain, command.isGreeting { claims = true }
        // Where only a greeting speaks for SMTP, which FTP has too, the first command decides.
        if !state.dialogue.isSure {
          guard command.isGreeting else { return .done }
          state.dialogue.isSure = true
        }
        note(command, in: &state, &flow)
        state.isPresent = true
      case .reply(let reply, let isFirst):
        note(reply, isFirst: isFirst, in: &state)
        state.isPresent = state.isPresent || state.dialogue.isSure
      case .end: return claims ? .all.claiming : .all
      case .incomplete: return claims ? .incomplete(taken: position).claiming : .incomplete(taken: position)
      case .over: return .done
      }
    }
  }

  // MARK: Commands and replies

  private func note(_ command: SMTPCommand, in state: inout State, _ flow: inout FlowContext<Self>) {
    state.commands |= Self.bit(command.verb)
    switch command.verb {
    case .ehlo, .helo:
      if !state.hasDomain { flow.store(command.argument, in: &state.domain, limit: Self.longestText) }
      state.hasDomain = true
    case .mail:
      state.mails &+= 1
      if !state.hasSender { flow.store(command.path, in: &state.sender, limit: Self.longestText) }
      state.hasSender = true
    case .rcpt:
      state.recipients &+= 1
      if !state.hasRecipient { flow.store(command.path, in: &state.recipient, limit: Self.longestText) }
      state.hasRecipient = true
    default: break
    }
  }

  private static func bit(_ verb: SMTPVerb) -> UInt32 {
    switch verb {
    case .ehlo: 0x1
    case .helo: 0x2
    case .mail: 0x4
    case .rcpt: 0x8
    case .data: 0x10
    case .rset: 0x20
    case .vrfy: 0x40
    case .expn: 0x80
    case .help: 0x100
    case .noop: 0x200
    case .quit: 0x400
    case .none: 0x8000
    case .startTLS, .bdat, .other: 0
    }
  }

  /// A reply counts with its first line; each may say that a mail is spam.
  private func note(_ reply: SMTPReply, isFirst: Bool, in state: inout State) {
    if reply.text.find("spam") != nil { state.codes |= Self.spam }
    guard isFirst else { return }
    state.codes |= Self.bit(reply.code)
    switch reply.code {
    case 200...299: state.success &+= 1
    case 300...399: state.intermediate &+= 1
    case 400...499: state.transient &+= 1
    default: state.permanent &+= 1
    }
  }

  private static let spam: UInt32 = 0x4000_0000
  private static let otherCode: UInt32 = 0x8000_0000

  private static func bit(_ code: UInt16) -> UInt32 {
    switch code {
    case 211: 1 << 0
    case 214: 1 << 1
    case 220: 1 << 2
    case 221: 1 << 3
    case 250: 1 << 4
    case 251: 1 << 5
    case 252: 1 << 6
    case 354: 1 << 7
    case 421: 1 << 8
    case 450: 1 << 9
    case 451: 1 << 10
    case 452: 1 << 11
    case 455: 1 << 12
    case 500: 1 << 13
    case 501: 1 << 14
    case 502: 1 << 15
    case 503: 1 << 16
    case 504: 1 << 17
    case 550: 1 << 18
    case 551: 1 << 19
    case 552: 1 << 20
    case 553: 1 << 21
    case 554: 1 << 22
    case 555: 1 << 23
    default: otherCode
    }
  }

  // MARK: Fields

  static let commands = InformationElement(.cesnet, 810, "SMTPCommands", .unsigned32)
  static let mails = InformationElement(.cesnet, 811, "SMTPMailCount", .unsigned32)
  static let recipients = InformationElement(.cesnet, 812, "SMTPRcptCount", .unsigned32)
  static let codes = InformationElement(.cesnet, 815, "SMTPStatusCodes", .unsigned32)
  static let success = InformationElement(.cesnet, 816, "SMTPCode2XXCount", .unsigned32)
  static let intermediate = InformationElement(.cesnet, 817, "SMTPCode3XXCount", .unsigned32)
  static let transient = InformationElement(.cesnet, 818, "SMTPCode4XXCount", .unsigned32)
  static let permanent = InformationElement(.cesnet, 819, "SMTPCode5XXCount", .unsigned32)
  static let domain = InformationElement(.cesnet, 820, "SMTPDomain", .string)
  static let sender = InformationElement(.cesnet, 813, "SMTPSender", .string)
  static let recipient = InformationElement(.cesnet, 814, "SMTPRecipient", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(Self.commands, state.commands)
    writer.unsigned32(Self.mails, state.mails)
    writer.unsigned32(Self.recipients, state.recipients)
    writer.unsigned32(Self.codes, state.codes)
    writer.unsigned32(Self.success, state.success)
    writer.unsigned32(Self.intermediate, state.intermediate)
    writer.unsigned32(Self.transient, state.transient)
    writer.unsigned32(Self.permanent, state.permanent)
    writer.string(Self.domain, flow.bytes(state.domain).span)
    writer.string(Self.sender, flow.bytes(state.sender).span)
    writer.string(Self.recipient, flow.bytes(state.recipient).span)
  }
}
