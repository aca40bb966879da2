// sip and rtsp: RFC 3261's and RFC 2326's examples, in pieces, in datagrams, with media between messages.
import Testing

@testable import FlowCore

@Suite struct SIPTests {
  /// RFC 3261 section 24.2 F2 with compact names (section 7.3.3) where there are.
  private static let invite =
    "INVITE sip:bob@biloxi.com SIP/2.0\r\nv: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds\r\n"
    + "Via:SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9\r\nMax-Forwards: 70\r\n"
    + "TO: Bob <sip:bob@biloxi.com>\r\nf: Alice <sips:alice@atlanta.com;lr>;tag=1928301774\r\n"
    + "i: a84b4c76e66710@pc33.atlanta.com\r\nCSeq: 314159 INVITE\r\nUser-Agent: Phone (1.0)\r\n"
    + "Content-Type: application/sdp\r\nl: 4\r\n\r\nv=0\n"
  private static let ok =
    "SIP/2.0 200 OK\r\nTo: sip:bob@biloxi.com;tag=a6c85cf\r\nFrom: tel:+1\r\nCall-ID: x\r\n"
    + "Call-Info: <http://x>\r\nContent-Length: 0\r\n\r\n"

  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func expectInvite(_ record: Record) {
    #expect(record.number("cesnet:SIPMsgType") == 1)
    #expect(record.number("cesnet:SIPStatusCode") == 0)
    #expect(record.text("cesnet:SIPRequestURI") == "sip:bob@biloxi.com")
    #expect(
      record.text("cesnet:SIPVia") == "SIP/2.0/UDP pc33.atlanta.com;SIP/2.0/UDP bigbox3.site3.atlanta.com")
    #expect(record.text("cesnet:SIPCalledParty") == "sip:bob@biloxi.com")
    #expect(record.text("cesnet:SIPCallingParty") == "sips:alice@atlanta.com")
    #expect(record.text("cesnet:SIPCallID") == "a84b4c76e66710@pc33.atlanta.com")
    #expect(record.text("cesnet:SIPCseq") == "314159 INVITE")
    #expect(record.text("cesnet:SIPUserAgent") == "Phone (1.0)")
  }

  private func expectOK(_ record: Record) {
    #expect(record.number("cesnet:SIPMsgType") == 99)
    #expect(record.number("cesnet:SIPStatusCode") == 200)
    #expect(record.text("cesnet:SIPCalledParty") == "sip:bob@biloxi.com")
    #expect(record.text("cesnet:SIPCallingParty") == "tel:+1")
    #expect(record.text("cesnet:SIPCallID") == "x")
  }

  @Test func eachDatagramIsARecord() throws {
    var conversation = Conversation(.udp, serverPort: 5070)
    conversation.client(bytes(Self.invite))
    conversation.client(bytes("\r\n\r\n"))
    conversation.server(bytes(Self.ok))
    conversation.client(bytes(Self.invite))
    let records = try conversation.run(plugins: ["sip"])
    #expect(records.map(\.packets) == [2, 1, 1])
    expectInvite(records[0])
    expectOK(records[1])
    expectInvite(records[2])
  }

  @Test func messagesInAStreamMayBeCutAnywhere() throws {
    let all = bytes(Self.invite + "\r\n\r\n" + Self.invite)
    for cut in stride(from: 1, to: all.count, by: 5) {
      var conversation = Conversation(.tcp, serverPort: 5070)
      conversation.handshake()
      conversation.client(Array(all.prefix(cut)))
      conversation.client(Array(all.dropFirst(cut)))
      conversation.server(bytes(Self.ok))
      let records = try conversation.run(plugins: ["sip"])
      #expect(records.count == 3, "cut at \(cut)")
      #expect(records.reduce(0) { $0 + $1.packets } == 6)
      guard records.count == 3 else { continue }
      expectInvite(records[0])
      expectInvite(records[1])
      expectOK(records[2])
    }
  }

  @Test func datagramsCutAnywhereAreSurvived() throws {
    let all = bytes(Self.invite)
    for length in 1..<all.count {
      var conversation = Conversation(.udp, serverPort: 5060)
      conversation.client(Array(all.prefix(length)))
      conversation.client(all, captured: length)
      _ = try conversation.run(plugins: ["sip"])
    }
  }

  @Test(arguments: [
    "NOTIFY * HTTP/1.1\r\nHost: x\r\n\r\n", "INVITE me to lunch", "SIP/2.0 ok\r\n", "\0\0\0\0",
  ])
  func othersHaveNoFields(text: String) throws {
    for transport in [Conversation.Transport.udp, .tcp] {
      var conversation = Conversation(transport, serverPort: 5060)
      conversation.client(bytes(text))
      #expect(try conversation.run(plugins: ["sip"])[0]["cesnet:SIPMsgType"] == nil)
    }
  }
}

@Suite struct RTSPTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// RFC 2326 section 14.1 and, for RTP between messages, section 10.12.
  @Test func messagesAndMediaShareAConnection() throws {
    let server =
      bytes(
        "RTSP/1.0 200 OK\r\nCSeq: 2\r\nserver: MediaBox\r\nContent-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n"
      )
      + [0x24, 0, 0, 6] + bytes("RTSP/1") + [0x24, 1, 0, 0]
    for cut in 1..<server.count {
      var conversation = Conversation(.tcp, serverPort: 8554)
      conversation.handshake()
      conversation.client(
        bytes("DESCRIBE rtsp://audio.example.com/twister RTSP/1.0\r\nCSeq: 1\r\nUSER-AGENT:VLC\r\n\r\n"))
      conversation.server(Array(server.prefix(cut)))
      conversation.server(Array(server.dropFirst(cut)))
      conversation.client(bytes("SET_PARAMETER rtsp://audio.example.com/twister RTSP/1.0\r\n\r\n"))
      conversation.server(bytes("RTSP/1.0 451 Invalid\r\nCSeq: 3\r\n\r\n"))
      let records = try conversation.run(plugins: ["rtsp"])
      #expect(records.map(\.packets) == [6, 2], "cut at \(cut)")
      #expect(records.map { $0.text("cesnet:rtspMethod") } == ["DESCRIBE", "SET_PARAM"])
      #expect(records.map { $0.number("cesnet:rtspStatusCode") } == [200, 451])
      #expect(records[0].text("cesnet:rtspUri") == "rtsp://audio.example.com/twister")
      #expect(records[0].text("cesnet:rtspUserAgent") == "VLC")
      #expect(records[0].text("cesnet:rtspServer") == "MediaBox")
      #expect(records[0].text("cesnet:rtspContentType") == "application/sdp")
    }
  }

  @Test func httpIsAnother() throws {
    var conversation = Conversation(.tcp, serverPort: 554)
    conversation.client(bytes("GET / HTTP/1.1\r\n\r\n"))
    #expect(try conversation.run(plugins: ["rtsp"])[0]["cesnet:rtspMethod"] == nil)
  }
}
