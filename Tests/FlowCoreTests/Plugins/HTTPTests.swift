// http: messages in pieces, pipelined, with bodies and without; what is another protocol's.
import Testing

@testable import FlowCore

@Suite struct HTTPTests {
  private static let request =
    "GET /a?b=c HTTP/1.1\r\nhOsT:example.com\r\nUser-Agent: curl/8.0 \r\nReferer:\thttp://r.example/\r\n\r\n"
  private static let response =
    "HTTP/1.1 404 Not Found\r\nserver: nginx\r\nCONTENT-TYPE: text/html\r\nSet-Cookie: a=1; Path=/\r\n"
    + "Set-Cookie: id=2\r\nContent-Length: 5\r\n\r\nhello"

  private func run(_ make: (inout Conversation) -> Void) throws -> [Record] {
    var conversation = Conversation(.tcp, serverPort: 8081)
    conversation.handshake()
    make(&conversation)
    return try conversation.run(plugins: ["http"])
  }

  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func urls(_ records: [Record]) -> [String] { records.map { $0.text("flowmon:httpUrl") } }
  private func statuses(_ records: [Record]) -> [Double] {
    records.map { $0.number("flowmon:httpStatusCode") }
  }

  private func expectPair(_ record: Record) {
    #expect(record.text("cesnet:httpMethod") == "GET")
    #expect(record.text("flowmon:httpUrl") == "/a?b=c")
    #expect(record.text("flowmon:httpHost") == "example.com")
    #expect(record.text("flowmon:httpUserAgent") == "curl/8.0")
    #expect(record.text("flowmon:httpReferer") == "http://r.example/")
    #expect(record.number("flowmon:httpStatusCode") == 404)
    #expect(record.text("cesnet:httpServer") == "nginx")
    #expect(record.text("flowmon:httpContentType") == "text/html")
    #expect(record.text("cesnet:httpCookieNames") == "a;id")
    #expect(record.text("martlet:httpVersion") == "1.1")
  }

  // MARK: Segments

  @Test func messagesMayBeCutAnywhere() throws {
    for (cut, isRequest) in (1..<Self.request.utf8.count).map({ ($0, true) })
      + (1..<Self.response.utf8.count).map({ ($0, false) })
    {
      let records = try run {
        for (text, byClient) in [(Self.request, true), (Self.response, false)] {
          let all = bytes(text)
          let pieces =
            byClient == isRequest ? [Array(all.prefix(cut)), Array(all.dropFirst(cut))] : [all]
          for piece in pieces { $0.send(piece, byClient: byClient) }
        }
      }
      #expect(records.count == 1, "cut at \(cut)")
      records.first.map(expectPair)
    }
  }

  @Test func byteByByteAndInDisorder() throws {
    let single = try run {
      for byte in bytes(Self.request) { $0.client([byte]) }
      for byte in bytes(Self.response) { $0.server([byte]) }
    }
    #expect(single.count == 1)
    expectPair(single[0])
    let disorder = try run {
      let all = bytes(Self.request)
      $0.client(Array(all[20..<50]), sequence: 1021)
      $0.client(Array(all[..<20]), sequence: 1001)
      $0.client(Array(all[50...]), sequence: 1051)
      $0.server(bytes(Self.response))
    }
    #expect(disorder.count == 1)
    expectPair(disorder[0])
  }

  // MARK: Records

  @Test func aConnectionUsedAgainMakesARecordOfEachPair() throws {
    let records = try run {
      for number in 1...3 {
        $0.client(bytes("GET /\(number) HTTP/1.1\r\n\r\n"))
        $0.server(bytes("HTTP/1.1 20\(number) x\r\nContent-Length: 0\r\n\r\n"))
      }
    }
    #expect(urls(records) == ["/1", "/2", "/3"])
    #expect(statuses(records) == [201, 202, 203])
    #expect(records.map(\.packets) == [5, 2, 2])
  }

  /// Packets and octets count in the first record; answers are taken in turn.
  @Test func pipelinedRequestsAreRecords() throws {
    let records = try run {
      $0.client(
        bytes("GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n"))
      $0.client(bytes("\r\n"))
      $0.server(
        bytes("HTTP/1.1 201 a\r\nContent-Length: 2\r\n\r\nxyHTTP/1.1 202 b\r\nContent-Length: 0\r\n\r\n"))
      $0.client(bytes("GET /4 HTTP/1.1\r\n\r\n"))
    }
    #expect(urls(records) == ["/1", "/2", "/3", "/4"])
    #expect(statuses(records) == [0, 0, 201, 202])
    #expect(records.reduce(0) { $0 + $1.packets } == 7)
    #expect(records.map(\.packets).prefix(2) == [4, 0])
  }

  /// The third request comes in the first packet that counts in the second one's record.
  @Test func aRecordThatBeganInThePacketEndsWithTheNext() throws {
    let records = try run {
      $0.client(bytes("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"))
      $0.client(bytes("GET /3 HTTP/1.1\r\n\r\n"))
      $0.client(bytes("GET /4 HTTP/1.1\r\n\r\n"))
    }
    #expect(urls(records) == ["/1", "/2", "/3", "/4"])
    #expect(records.reduce(0) { $0 + $1.packets } == 6)
  }

  @Test func interimResponsesAreFollowedByTheFinalOne() throws {
    let records = try run {
      $0.client(bytes("POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"))
      $0.server(bytes("HTTP/1.1 100 Continue\r\n\r\n"))
      $0.client(bytes("x"))
      $0.server(bytes("HTTP/1.1 204 No Content\r\n\r\n"))
    }
    #expect(statuses(records) == [204])
  }

  // MARK: Bodies

  private static let bait = "HTTP/1.1 500 no\r\nServer: bait\r\n\r\n"

  @Test(arguments: [
    "Content-Length: \(HTTPTests.bait.utf8.count + 6)\r\n\r\nabcdef|\(HTTPTests.bait)|",
    "Transfer-Encoding: chunked\r\n\r\n6;x=y\r\nabcdef|\r\n\(String(HTTPTests.bait.utf8.count, radix: 16))\r\n|\(HTTPTests.bait)|\r\n0\r\nTrailer: x\r\n\r\n|",
  ])
  func whatStandsInABodyIsNoMessage(body: String) throws {
    let records = try run {
      $0.client(bytes("GET /1 HTTP/1.1\r\n\r\n"))
      for piece in ("HTTP/1.1 200 OK\r\n" + body).split(separator: "|") { $0.server(bytes(String(piece))) }
      $0.client(bytes("GET /2 HTTP/1.1\r\n\r\n"))
      $0.server(bytes("HTTP/1.1 304 same\r\nContent-Length: 900\r\n\r\n"))
      $0.client(bytes("HEAD /3 HTTP/1.1\r\n\r\n"))
      $0.server(bytes("HTTP/1.1 203 x\r\nContent-Length: 900\r\n\r\n"))
      $0.client(bytes("GET /4 HTTP/1.1\r\n\r\n"))
      $0.server(bytes("HTTP/1.0 200 OK\r\n\r\nup to the end"))
      $0.server(bytes(Self.bait))
    }
    #expect(urls(records) == ["/1", "/2", "/3", "/4"])
    #expect(statuses(records) == [200, 304, 203, 200])
    #expect(records.allSatisfy { $0.text("cesnet:httpServer") == "" })
  }

  /// A request that comes while the response to the one before is under way begins a record; the response goes on there.
  @Test func aBodyGoesOnInTheNextRecord() throws {
    let bait = Self.bait
    let records = try run {
      $0.client(bytes("GET /1 HTTP/1.1\r\n\r\n"))
      $0.server(bytes("HTTP/1.1 200 OK\r\nContent-Length: \(2 * bait.utf8.count + 3)\r\n\r\nab"))
      $0.client(bytes("GET /2 HTTP/1.1\r\n\r\n"))
      $0.server(bytes(bait))
      $0.server(bytes(bait + "cHTTP/1.1 203 x\r\n\r\n"))
    }
    #expect(urls(records) == ["/1", "/2"])
    #expect(statuses(records) == [200, 203])
  }

  @Test(arguments: ["-1", "99999999999999999999", "x", ""])
  func lengthsThatLieEndNothing(length: String) throws {
    let records = try run {
      $0.client(bytes("POST /1 HTTP/1.1\r\nContent-Length: \(length)\r\n\r\n"))
      $0.client(bytes("GET /2 HTTP/1.1\r\n\r\n"))
    }
    #expect(urls(records) == ["/1", "/2"])
  }

  // MARK: Other protocols

  @Test func connectAndUpgradeEndIt() throws {
    for (request, status) in [("CONNECT h:443", "200"), ("GET /socket", "101")] {
      let records = try run {
        $0.client(bytes("\(request) HTTP/1.1\r\n\r\n"))
        $0.server(bytes("HTTP/1.1 \(status) x\r\n\r\n"))
        $0.client(bytes("GET /inside HTTP/1.1\r\n\r\n"))
      }
      #expect(records.count == 1)
      #expect(statuses(records) == [Double(status)!])
    }
    let refused = try run {
      $0.client(bytes("CONNECT h:443 HTTP/1.1\r\n\r\n"))
      $0.server(bytes("HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n"))
      $0.client(bytes("CONNECT h:443 HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n"))
    }
    #expect(statuses(refused) == [407, 0])
  }

  @Test func version2IsNamedByItsPreface() throws {
    let records = try run { $0.client(bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) }
    #expect(records[0].text("cesnet:httpMethod") == "PRI")
    #expect(records[0].text("martlet:httpVersion") == "2.0")
  }

  @Test(arguments: [
    "GET /", "GET / FTP/1.1\r\n", "get / HTTP/1.1\r\n\r\n", "HTTP/1.1 abc x\r\n\r\n", "GET HTTP/1.1\r\n\r\n",
    "EHLO example.com\r\n", "\u{16}\u{3}\u{1}\u{2}",
  ])
  func othersHaveNoFields(text: String) throws {
    let records = try run { $0.client(bytes(text)) }
    #expect(records.count == 1)
    #expect(records[0]["cesnet:httpMethod"] == nil)
  }

  @Test func messagesAreFoundBehindPreamblesOnly() throws {
    let found = try run {
      for _ in 0..<5 { $0.client([5, 1, 0]) }
      $0.client(bytes("GET /1 HTTP/1.1\r\n\r\n"))
    }
    #expect(urls(found) == ["/1"])
    let late = try run {
      for _ in 0..<6 { $0.client([5, 1, 0]) }
      $0.client(bytes("GET /1 HTTP/1.1\r\n\r\n"))
    }
    #expect(late[0]["flowmon:httpUrl"] == nil)
  }

  // MARK: Limits

  @Test func valuesAreCutAndRepeatedOnesReplace() throws {
    let long = String(repeating: "x", count: 3000)
    let records = try run {
      $0.client(
        bytes("GET /\(long) HTTP/1.1\r\nHost: \(long)\r\nX: \(long)\(long)\r\nUser-Agent: \(long)\r\n"))
      for number in 0..<50 { $0.client(bytes("Host: \(number)\r\n")) }
      $0.client(bytes("\r\n"))
      $0.server(bytes("HTTP/1.1 200 OK\r\nContent-Type: \(long)\r\nServer: \(long)\r\n"))
      for number in 0..<400 { $0.server(bytes("Set-Cookie: n\(number)=1\r\n")) }
    }
    #expect(records[0].text("flowmon:httpUrl") == "/" + long.prefix(126))
    #expect(records[0].text("flowmon:httpHost") == "49")
    #expect(records[0].text("flowmon:httpUserAgent") == long.prefix(127))
    #expect(records[0].text("flowmon:httpContentType") == long.prefix(31))
    #expect(records[0].text("cesnet:httpServer") == long.prefix(127))
    #expect(records[0].text("cesnet:httpCookieNames").utf8.count == 511)
    #expect(records[0].text("cesnet:httpCookieNames").hasPrefix("n0;n1;n2;"))
  }
}
