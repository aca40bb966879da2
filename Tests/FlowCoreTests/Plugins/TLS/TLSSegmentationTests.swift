// Hellos cut in every way: the record is always that of the whole hello.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct TLSSegmentationTests {
  /// A piece of a stream and its offset in it.
  private struct Piece {
    var offset: Int
    var bytes: [UInt8]
  }

  private static func cut(_ stream: [UInt8], at places: [Int]) -> [Piece] {
    let edges = [0] + places + [stream.count]
    return zip(edges, edges.dropFirst()).map { Piece(offset: $0, bytes: Array(stream[$0..<$1])) }
  }

  /// The tls fields of many connections at once, a port each: their clients and servers send these pieces.
  private func fields(_ connections: [(client: [Piece], server: [Piece])], start: UInt32 = 1000) throws
    -> [Record]
  {
    var frames: [CapturedFrame] = []
    for (index, connection) in connections.enumerated() {
      var conversation = Conversation(.tcp, clientPort: UInt16(2000 + index), serverPort: 8000)
      conversation.client(flags: 0x02, sequence: start)
      conversation.server(flags: 0x12, sequence: start &+ 70000)
      conversation.client(flags: 0x10, sequence: start &+ 1)
      for piece in connection.client {
        conversation.client(piece.bytes, sequence: start &+ 1 &+ UInt32(piece.offset))
      }
      for piece in connection.server {
        conversation.server(piece.bytes, sequence: start &+ 70001 &+ UInt32(piece.offset))
      }
      frames += conversation.frames
    }
    let records = try Capture(frames: frames).run(plugins: ["tls"]).records
    return records.sorted { $0.number("iana:sourceTransportPort") < $1.number("iana:sourceTransportPort") }
      .map(TLSBuilder.fields)
  }

  private static let client = TLSBuilder.records(TLSBuilder.browser)
  private static let server = TLSBuilder.records(TLSBuilder.server, version: 0x0303)
  private static var wholeServer: [Piece] { cut(server, at: []) }

  private func whole() throws -> Record {
    let record = try #require(
      try fields([(Self.cut(Self.client, at: []), Self.wholeServer)]).first)
    try #require(record.text("cesnet:TLSSNI") == "www.example.org")
    return record
  }

  private func expectWhole(
    _ connections: [(client: [Piece], server: [Piece])], start: UInt32 = 1000,
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let whole = try whole()
    let got = try fields(connections, start: start)
    #expect(got.count == connections.count, sourceLocation: location)
    let wrong = got.indices.filter { got[$0] != whole }
    #expect(wrong == [], sourceLocation: location)
  }

  // MARK: Segments

  @Test(arguments: [1000, UInt32.max - 700]) func twoSegments(start: UInt32) throws {
    let cuts = (1..<Self.client.count).map { Self.cut(Self.client, at: [$0]) }
    try expectWhole(cuts.map { ($0, Self.wholeServer) }, start: start)
    try expectWhole(cuts.map { ($0.reversed(), Self.wholeServer) }, start: start)
  }

  @Test func serverHelloInTwoSegments() throws {
    let cuts = (1..<Self.server.count).map { Self.cut(Self.server, at: [$0]) }
    try expectWhole(cuts.map { (Self.cut(Self.client, at: []), $0) })
    try expectWhole(cuts.map { (Self.cut(Self.client, at: []), $0.reversed()) })
  }

  /// All pairs of cuts near the headers, and others everywhere, in all six orders.
  @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
  func threeSegments(order: [Int]) throws {
    var generator = SeededGenerator(seed: 3)
    var places: [[Int]] = []
    for first in 1..<16 { for second in first + 1..<18 { places.append([first, second]) } }
    for _ in 0..<150 {
      let first = Int.random(in: 1..<Self.client.count - 1, using: &generator)
      places.append([first, Int.random(in: first + 1..<Self.client.count, using: &generator)])
    }
    try expectWhole(
      places.map { place in
        let pieces = Self.cut(Self.client, at: place)
        return (order.map { pieces[$0] }, Self.wholeServer)
      })
  }

  @Test func retransmittedAndOverlappingSegments() throws {
    let stream = Self.client
    var generator = SeededGenerator(seed: 4)
    let connections = (0..<200).map { _ in
      var pieces: [Piece] = []
      var end = 0
      while end < stream.count {
        let start = max(0, end - Int.random(in: 0..<100, using: &generator))
        let next = min(stream.count, max(end, start) + Int.random(in: 1...400, using: &generator))
        pieces.append(Piece(offset: start, bytes: Array(stream[start..<next])))
        if Bool.random(using: &generator) { pieces.append(pieces[pieces.count - 1]) }
        end = next
      }
      return (pieces, Self.wholeServer)
    }
    try expectWhole(connections)
  }

  // MARK: Records

  @Test(arguments: [1, 2, 3, 4, 5, 7, 16, 100, 1000]) func severalRecords(fragment: Int) throws {
    let stream = TLSBuilder.records(TLSBuilder.browser, fragment: fragment)
    let server = TLSBuilder.records(TLSBuilder.server, fragment: fragment)
    let places = Array(stride(from: 1400, to: stream.count, by: 1400))
    let pieces = Self.cut(stream, at: places)
    try expectWhole([
      (pieces, Self.cut(server, at: [])), (pieces, Self.cut(server, at: [server.count / 2])),
      (Self.cut(stream, at: [stream.count / 3, stream.count / 2]), Self.cut(server, at: [])),
    ])
  }

  @Test func recordsAndSegmentsCutEverywhere() throws {
    let stream = TLSBuilder.records(TLSBuilder.browser, fragment: 97)
    let cuts = (1..<stream.count).map { Self.cut(stream, at: [$0]) }
    try expectWhole(cuts.map { ($0, Self.wholeServer) })
    try expectWhole(cuts.map { ($0.reversed(), Self.wholeServer) })
  }

  // MARK: Preambles

  /// Records of alerts (RFC 5246 section 7.2): 21, version, length 2, warning, unrecognized_name; once and twice.
  @Test(arguments: [1, 2]) func helloBehindWarnings(count: Int) throws {
    let server = [[UInt8]](repeating: [21, 3, 3, 0, 2, 1, 112], count: count).flatMap { $0 } + Self.server
    let cuts = (0..<server.count).map { Self.cut(server, at: $0 == 0 ? [] : [$0]) }
    try expectWhole(cuts.map { (Self.cut(Self.client, at: []), $0) })
    try expectWhole(cuts.map { (Self.cut(Self.client, at: []), $0.reversed()) })
  }

  /// After a fatal alert there is no hello.
  @Test func nothingBehindAFatalAlert() throws {
    let server = Self.cut([21, 3, 3, 0, 2, 2, 40] + Self.server, at: [])
    let record = try #require(try fields([(Self.cut(Self.client, at: []), server)]).first)
    #expect(record.text("cesnet:TLSSNI") == "www.example.org")
    #expect(record.number("martlet:tlsCipherSuite") == 0)
  }

  /// The examples and lengths of the PROXY protocol's specification (haproxy.org, proxy-protocol.txt, 2.1 and 2.2).
  static let proxyHeaders: [[UInt8]] = [
    Array("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".utf8),
    Array("PROXY UNKNOWN\r\n".utf8),
    // The longest: 107 bytes.
    Array(
      ("PROXY UNKNOWN "
        + Array(repeating: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", count: 2).joined(separator: " ")
        + " 65535 65535\r\n").utf8),
    // LOCAL without addresses, TCP over IPv4, and with a TLV of 300 bytes.
    signature + [0x20, 0, 0, 0],
    signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0x9C, 0x40, 1, 0xBB],
    signature + [0x21, 0x11, 1, 0x3B, 192, 0, 2, 1, 198, 51, 100, 2, 0x9C, 0x40, 1, 0xBB, 4, 1, 0x2C]
      + [UInt8](repeating: 22, count: 300),
  ]
  private static let signature: [UInt8] = [
    0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
  ]

  @Test(arguments: proxyHeaders) func helloBehindAProxyHeader(header: [UInt8]) throws {
    let client = header + Self.client
    let cuts = (0..<client.count).map { Self.cut(client, at: $0 == 0 ? [] : [$0]) }
    try expectWhole(cuts.map { ($0, Self.wholeServer) })
    try expectWhole(cuts.map { ($0.reversed(), Self.wholeServer) })
  }

  /// A line of 108 bytes, one without its carriage return, another version, a length beyond what is kept.
  @Test func otherLinesAndHeadersAreNoPreamble() throws {
    let headers: [[UInt8]] = [
      Array(("PROXY " + String(repeating: "x", count: 100) + "\r\n").utf8), Array("PROXY TCP4\n".utf8),
      Self.signature + [0x11, 0x11, 0, 0], Self.signature + [0x21, 0x11, 0xFF, 0xFF],
    ]
    for record in try fields(headers.map { (Self.cut($0 + Self.client, at: []), []) }) {
      #expect(record.isEmpty)
    }
  }

  // MARK: Other protocols first

  /// Lines that come before TLS; whether the client sends them, and the port.
  static let conversations: [(port: UInt16, lines: [(byClient: Bool, text: String)])] = [
    (
      2525,
      [
        (false, "220 mx ESMTP\r\n"), (true, "EHLO a\r\n"), (false, "250-mx\r\n"), (false, "250 STARTTLS\r\n"),
        (true, "STARTTLS\r\n"), (false, "220 go\r\n"),
      ]
    ),
    (
      10143,
      [
        (false, "* OK IMAP\r\n"), (true, "a CAPABILITY\r\n"), (false, "* CAPABILITY\r\na OK\r\n"),
        (true, "b NOOP\r\n"), (false, "b OK\r\n"), (true, "c NOOP\r\n"), (false, "c OK\r\n"),
        (true, "d NOOP\r\n"), (false, "d OK\r\n"), (true, "e STARTTLS\r\n"), (false, "e OK\r\n"),
      ]
    ),
    (110, [(false, "+OK POP3\r\n"), (true, "STLS\r\n"), (false, "+OK\r\n")]),
    (21, [(false, "220 FTP\r\n"), (true, "AUTH TLS\r\n"), (false, "234 go\r\n")]),
    (
      15222,
      [
        (true, "<?xml version='1.0'?><stream:stream to='a'>"),
        (false, "<?xml version='1.0'?><stream:stream>"),
        (false, "<stream:features/>"), (true, "<starttls/>"), (false, "<proceed/>"),
      ]
    ),
    (3128, [(true, "CONNECT a:443 HTTP/1.1\r\n\r\n"), (false, "HTTP/1.1 200 OK\r\n\r\n")]),
  ]

  @Test(arguments: conversations.indices, [0, 1, 5, 700]) func helloAfterOtherProtocols(index: Int, cut: Int)
    throws
  {
    let (port, lines) = Self.conversations[index]
    var conversation = Conversation(.tcp, serverPort: port)
    conversation.handshake()
    for line in lines { conversation.send(Array(line.text.utf8), byClient: line.byClient) }
    for piece in Self.cut(Self.client, at: cut == 0 ? [] : [cut]) { conversation.client(piece.bytes) }
    conversation.server(Self.server)
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(TLSBuilder.fields(record) == (try whole()))
  }

  /// A flow that carries something else costs nothing after a few packets: a hello later on is not found.
  @Test func otherFlowsAreLeftAlone() throws {
    var conversation = Conversation(.tcp, serverPort: 8080)
    conversation.handshake()
    for _ in 0..<8 { conversation.client([1, 2, 3]) }
    conversation.client(Self.client)
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(TLSBuilder.fields(record).isEmpty)
  }

  @Test func captureMayBeginWithTheHello() throws {
    var conversation = Conversation(.tcp)
    for piece in Self.cut(Self.client, at: [1]) { conversation.client(piece.bytes) }
    for piece in Self.cut(Self.server, at: [30]) { conversation.server(piece.bytes) }
    let record = try #require(try conversation.capture.run(plugins: ["tls"]).records.first)
    #expect(TLSBuilder.fields(record) == (try whole()))
  }
}
