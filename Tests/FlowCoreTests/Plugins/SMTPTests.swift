// smtp: dialogues written by hand: commands in any case, replies of several lines, mails' texts and where SMTP ends.
import Testing

@testable import FlowCore

@Suite struct SMTPTests {
  /// Lines of a dialogue: those that begin with a digit are the server's, `/` parts segments.
  private func conversation(_ lines: [String], port: UInt16 = 25, size: Int = 1400) -> Conversation {
    var conversation = Conversation(.tcp, serverPort: port)
    conversation.handshake()
    for line in lines {
      let bytes = Array((line.hasSuffix("\r\n") ? line : line + "\r\n").utf8)
      let isServer = line.first?.isNumber ?? false
      for start in stride(from: 0, to: bytes.count, by: size) {
        conversation.send(Array(bytes[start..<min(start + size, bytes.count)]), byClient: !isServer)
      }
    }
    return conversation
  }

  private func run(_ lines: [String], port: UInt16 = 25, size: Int = 1400) throws -> Record {
    try conversation(lines, port: port, size: size).run(plugins: ["smtp"])[0]
  }

  /// Commands, mails, recipients, codes, replies of 2xx to 5xx.
  private func numbers(_ record: Record) -> [Int] {
    [
      "Commands", "MailCount", "RcptCount", "StatusCodes", "Code2XXCount", "Code3XXCount", "Code4XXCount",
      "Code5XXCount",
    ]
    .map { Int(record.number("cesnet:SMTP\($0)")) }
  }

  private func texts(_ record: Record) -> [String] {
    ["Domain", "Sender", "Recipient"].map { record.text("cesnet:SMTP\($0)") }
  }

  private static let mail = [
    "220 mail.example", "ehlo client.example ", "250-mail.example\r\n250-PIPELINING\r\n250 HELP",
    "MAIL FROM: <a@client.example> SIZE=9", "250 OK", "rcpt TO:<b@mail.example>", "250 OK",
    "RCPT to:<c@mail.example>", "550 no such user", "DATA", "354 go on",
    "Subject: x\r\n\r\nQUIT\r\n..\r\n. \r\nVRFY x\r\n.\r\nRSET\r\n", "250 queued", "250 OK", "NOOP", "250 OK",
    "QUIT", "221 bye",
  ]

  // EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT; 220, 221, 250, 354, 550.
  private static let expected = [0x63D, 1, 2, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 18, 8, 1, 0, 1]

  @Test(arguments: [1, 2, 3, 5, 11, 1400])
  func segmentsDoNotMatter(size: Int) throws {
    let record = try run(Self.mail, size: size)
    #expect(numbers(record) == Self.expected)
    #expect(texts(record) == ["client.example", " <a@client.example> SIZE=9", "<b@mail.example>"])
  }

  @Test func otherPortsNeedAGreetingAndEHLO() throws {
    #expect(numbers(try run(Self.mail, port: 4000)) == Self.expected)
    #expect(try run(["220 FTP server", "USER a", "331 password"], port: 21)["cesnet:SMTPCommands"] == nil)
    #expect(try run(["220 FTP server"], port: 21)["cesnet:SMTPCommands"] == nil)
    #expect(try run(["EHLO a", "250 OK"], port: 4000)["cesnet:SMTPCommands"] == nil)
    #expect(try run(["554 go away"])["cesnet:SMTPCommands"] == .number(0))
  }

  @Test func eachCommandHasItsBit() throws {
    let bits: [(String, Int)] = [
      ("EHLO a", 1), ("HELO a", 2), ("MAIL FROM:<>", 4), ("RCPT TO:<a>", 8), ("DATA", 0x10), ("RSET", 0x20),
      ("VRFY a", 0x40), ("EXPN a", 0x80), ("HELP", 0x100), ("NOOP", 0x200), ("QUIT", 0x400),
      ("AUTH LOGIN", 0),
      ("Zm9vYmFy=", 0x8000), ("STARTTLS", 0), ("BDAT 0", 0),
    ]
    for (line, bit) in bits {
      #expect(try run(["220 a", line])["cesnet:SMTPCommands"] == .number(Double(bit)), "\(line)")
      #expect(
        try run(["220 a", line.lowercased()])["cesnet:SMTPCommands"] == .number(Double(bit)), "\(line)")
    }
  }

  @Test func eachCodeHasItsBit() throws {
    let codes = [
      211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451, 452, 455, 500, 501, 502, 503, 504, 550, 551, 552,
      553,
      554, 555,
    ]
    for (bit, code) in codes.enumerated() {
      #expect(try run(["\(code) x"])["cesnet:SMTPStatusCodes"] == .number(Double(1 << bit)))
    }
    #expect(try run(["235 x"])["cesnet:SMTPStatusCodes"] == .number(0x8000_0000))
    #expect(try run(["250"])["cesnet:SMTPStatusCodes"] == .number(0x10))
    #expect(try run(["554-x\r\n554 This is SpAm."])["cesnet:SMTPStatusCodes"] == .number(0x4040_0000))
    #expect(try run(["2500 x\r\n199 x\r\n600 x\r\n25x x\r\n25"])["cesnet:SMTPStatusCodes"] == nil)
  }

  @Test func aRefusedMailHasNoText() throws {
    #expect(numbers(try run(["220 a", "DATA", "503 RCPT first", "QUIT"]))[0] == 0x410)
    // Pipelined: the refusal is the recipient's.
    #expect(
      numbers(try run(["220 a", "RCPT TO:<a>\r\nDATA\r\n", "550 no\r\n354 go on", "QUIT", ".", "HELP"]))[0]
        == 0x118)
    // Without the server's side.
    #expect(numbers(try run(["DATA", "QUIT", ".", "HELP"]))[0] == 0x110)
  }

  @Test func chunksAreNoCommands() throws {
    let record = try run(["220 a", "BDAT 12 LAST\r\nQUIT\r\nQUIT\r\nHELP\r\n", "250 OK"])
    #expect(numbers(record)[0] == 0x100)
  }

  @Test func startTLSEndsIt() throws {
    let lines = ["220 a", "EHLO b", "250 STARTTLS", "STARTTLS"]
    #expect(numbers(try run(lines + ["220 go on", "QUIT", "221 bye"]))[0] == 1)
    #expect(numbers(try run(lines + ["454 not now", "QUIT", "221 bye"]))[0] == 0x401)
    #expect(numbers(try run(lines + ["\u{16}\u{3}\u{1}\r\nQUIT"]))[0] == 1)
  }

  @Test func longLinesAreCut() throws {
    let long = String(repeating: "x", count: 3000)
    let record = try run(["220 a", "EHLO \(long)", "250 \(long)", "MAIL FROM:<\(long)", "250 OK", "QUIT"])
    #expect(numbers(record) == [0x405, 1, 0, 0x14, 3, 0, 0, 0])
    #expect(texts(record)[0] == String(long.prefix(254)))
    #expect(texts(record)[1] == "<" + String(long.prefix(253)))
  }

  @Test func aMailMayHaveAGap() throws {
    var conversation = self.conversation(["220 a", "DATA", "354 go on"])
    conversation.client(Array("text\r\nQUIT\r\nHELP\r\n".utf8), captured: 6)
    conversation.client(Array("EXPN x\r\n.\r\nVRFY x\r\n".utf8))
    #expect(numbers(try conversation.run(plugins: ["smtp"])[0])[0] == 0x50)
    // The command itself is missing: the server's reply tells.
    conversation = self.conversation(["220 a", "HELO a", "250 a"])
    conversation.client(Array("DATA\r\n".utf8), captured: 0)
    conversation.server(Array("354 go on\r\n".utf8))
    conversation.client(Array("QUIT\r\n.\r\nNOOP\r\n".utf8))
    #expect(numbers(try conversation.run(plugins: ["smtp"])[0])[0] == 0x202)
  }

  @Test func disorderDoesNotMatter() throws {
    var conversation = self.conversation(["220 a"])
    conversation.client(Array("MAIL FROM:<a>\r\n".utf8), sequence: 1009)
    conversation.client(Array("EHLO b\r\n".utf8), sequence: 1001)
    #expect(numbers(try conversation.run(plugins: ["smtp"])[0])[0] == 5)
  }
}
