// The server's certificate: read from the stream however it is cut, and what lies in it.
import TestSupport
import Testing
import Wire

@testable import FlowCore

@Suite struct CertificateTests {
  /// Made by `openssl req -x509 -newkey ed25519 -subj "/O=Example/CN=one.example/CN=two.example" -set_serial
  /// 0x80F1E2D3C4B5A697 -days 20000`; the expected values are what `openssl x509 -text -fingerprint -sha256` says of it.
  private static let leaf = bytes(
    """
    308201883082013aa00302010202090080f1e2d3c4b5a697300506032b6570303e3110300e060355040a0c074578616d706c65311430120603550403\
    0c0b6f6e652e6578616d706c653114301206035504030c0b74776f2e6578616d706c653020170d3236313132363036303133365a180f323038313038\
    32393036303133365a303e3110300e060355040a0c074578616d706c653114301206035504030c0b6f6e652e6578616d706c65311430120603550403\
    0c0b74776f2e6578616d706c65302a300506032b65700321008bad810f83cdf8acb2309f7c3d5cba8fdcb1f75d55787719cefe8424be56659fa35330\
    51301d0603551d0e04160414f7b62dfe38bad7e3990ac3c8136359e02bea45f7301f0603551d23041830168014f7b62dfe38bad7e3990ac3c8136359\
    e02bea45f7300f0603551d130101ff040530030101ff300506032b65700341000a7679f54bf39ad0f0bad2a4a018bc577b896fc3959f7766de6ef758\
    72ec16686f4c5985db216a56e5921b3df7722de87bf48ca5e28c2e1e84161bff5a7b9e00
    """)
  private static let fingerprint = "0x0fe54fab480a0a3c1057fc83c6b3bd8b319255e652dea3d6dd98d63cce8c6e06"

  private static func bytes(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  private static func field24(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8(bytes.count >> 16), UInt8(bytes.count >> 8 & 0xFF), UInt8(bytes.count & 0xFF)] + bytes
  }

  private static func certificates(_ chain: [[UInt8]]) -> [UInt8] {
    TLSBuilder.message(11, field24(chain.flatMap(field24)))
  }

  /// A server's flight: ServerHello, the chain, ServerHelloDone.
  private static func flight(_ chain: [[UInt8]], version: Int = 0x0303, extensions: [UInt8] = []) -> [UInt8] {
    TLSBuilder.join(
      TLSBuilder.message(2, TLSBuilder.serverHello(version: version, cipher: 0xC02F, extensions: extensions)),
      certificates(chain), TLSBuilder.message(14, []))
  }

  private static let client = TLSBuilder.records(TLSBuilder.message(1, TLSBuilder.clientHello()))

  /// The record of a connection in which the server's stream comes in these segments.
  private func record(_ segments: [[UInt8]]) throws -> Record {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(Self.client)
    for segment in segments { conversation.server(segment) }
    let (records, counters) = try conversation.capture.run(
      plugins: ["tls:certificates"], configuration: .small)
    #expect(counters.parserFaults.total == 0)
    return try #require(records.first)
  }

  private func expectLeaf(_ record: Record, chain: Double, _ location: SourceLocation = #_sourceLocation) {
    #expect(record.text("martlet:tlsCertificateSubject") == "two.example", sourceLocation: location)
    #expect(record.text("martlet:tlsCertificateIssuer") == "two.example", sourceLocation: location)
    #expect(
      record.text("martlet:tlsCertificateSerialNumber") == "0x80f1e2d3c4b5a697", sourceLocation: location)
    #expect(
      record.text("martlet:tlsCertificateNotBefore") == "2026-11-26T06:01:36.000000Z",
      sourceLocation: location)
    #expect(
      record.text("martlet:tlsCertificateNotAfter") == "2081-08-29T06:01:36.000000Z", sourceLocation: location
    )
    #expect(record.text("martlet:tlsCertificateSha256") == Self.fingerprint, sourceLocation: location)
    #expect(record.text("martlet:tlsCertificateKeyType") == "Ed25519", sourceLocation: location)
    #expect(record.number("martlet:tlsCertificateKeyBits") == 256, sourceLocation: location)
    #expect(record.number("martlet:tlsCertificateChainLength") == chain, sourceLocation: location)
  }

  private func expectNone(_ record: Record, _ location: SourceLocation = #_sourceLocation) {
    #expect(record.text("martlet:tlsCertificateSha256") == "0x", sourceLocation: location)
    #expect(record.text("martlet:tlsCertificateSubject") == "", sourceLocation: location)
    #expect(record.number("martlet:tlsCertificateChainLength") == 0, sourceLocation: location)
  }

  @Test func leafIsReadFromOneRecordAndChainIsCounted() throws {
    let records = TLSBuilder.records(Self.flight([Self.leaf, [1, 2, 3], Self.leaf]))
    expectLeaf(try record([records]), chain: 3)
  }

  @Test func segmentsAreCutAnywhere() throws {
    let stream = TLSBuilder.records(Self.flight([Self.leaf, [9]]))
    for place in stride(from: 1, to: stream.count, by: 7) {
      expectLeaf(try record([Array(stream[..<place]), Array(stream[place...])]), chain: 2)
    }
    expectLeaf(
      try record(
        stride(from: 0, to: stream.count, by: 40).map { Array(stream[$0..<min($0 + 40, stream.count)]) }),
      chain: 2)
  }

  @Test(arguments: [1, 2, 3, 5, 7, 64, 200]) func recordsAreCutAnywhere(fragment: Int) throws {
    // The ServerHello comes in records of its own, which is where a hello is looked for.
    let hello = TLSBuilder.records(
      TLSBuilder.message(2, TLSBuilder.serverHello(cipher: 0xC02F, extensions: [])))
    let stream = hello + TLSBuilder.records(Self.certificates([Self.leaf, [9], [8, 7]]), fragment: fragment)
    expectLeaf(try record([stream]), chain: 3)
  }

  @Test func lastCertificateMayEndTheCapture() throws {
    let stream = TLSBuilder.records(
      TLSBuilder.message(2, TLSBuilder.serverHello(extensions: [])) + Self.certificates([Self.leaf]))
    expectLeaf(try record([stream]), chain: 1)
    // The rest of the chain is missing: the leaf is known, and that there is one.
    let cut = TLSBuilder.records(Self.flight([Self.leaf, [UInt8](repeating: 1, count: 500)])).dropLast(400)
    expectLeaf(try record([Array(cut)]), chain: 1)
  }

  @Test func newerVersionsAndResumedSessionsHaveNone() throws {
    let newer = TLSBuilder.list(43, TLSBuilder.word(0x0304))
    expectNone(try record([TLSBuilder.records(Self.flight([Self.leaf], extensions: newer))]))
    let hello = TLSBuilder.records(TLSBuilder.message(2, TLSBuilder.serverHello(extensions: [])))
    expectNone(try record([hello + [20, 3, 3, 0, 1, 1]]))
    expectNone(try record([hello, TLSBuilder.records(TLSBuilder.message(12, [1, 2, 3]))]))
  }

  @Test func liesAboutLengthsGiveNothing() throws {
    let hello = TLSBuilder.message(2, TLSBuilder.serverHello(extensions: []))
    let lies: [[UInt8]] = [
      // The list is longer than the message, the certificate than the list, the certificate empty, the list empty.
      TLSBuilder.message(11, [0, 2, 0] + Self.field24(Self.leaf)),
      TLSBuilder.message(11, Self.field24([0, 2, 0] + Self.leaf)),
      TLSBuilder.message(11, Self.field24([0, 0, 0])),
      TLSBuilder.message(11, Self.field24([])),
      TLSBuilder.message(11, []),
      // Longer than what is kept of a certificate, and than what is followed of a message.
      TLSBuilder.message(11, Self.field24(Self.field24([UInt8](repeating: 0x30, count: 9000)))),
      [11, 0xFF, 0xFF, 0xFF] + Self.field24(Self.field24(Self.leaf)),
    ]
    for lie in lies { expectNone(try record([TLSBuilder.records(hello + lie)])) }
  }

  @Test func hellosBehindTheServersChangeNothing() throws {
    let stream = TLSBuilder.records(Self.flight([Self.leaf, [9]]))
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(Self.client)
    conversation.server(Array(stream[..<200]))
    let other = TLSBuilder.clientHello(extensions: TLSBuilder.serverName("fake.example"))
    conversation.client(TLSBuilder.records(TLSBuilder.message(1, other)))
    conversation.server(Array(stream[200...]))
    let record = try #require(try conversation.run(plugins: ["tls:certificates"]).first)
    #expect(record.text("cesnet:TLSSNI") == "")
    expectLeaf(record, chain: 2)
  }

  @Test func certificatesThatAreOnlyAnnouncedTakeNoMemory() throws {
    // ServerHello, and the head of a Certificate message with a leaf of 8184 bytes.
    let hello = TLSBuilder.message(2, TLSBuilder.serverHello(extensions: []))
    let message = [11, 0, 0x1F, 0xFE, 0, 0x1F, 0xFB, 0, 0x1F, 0xF8] as [UInt8]
    let stream = TLSBuilder.join([22, 3, 3], TLSBuilder.word(hello.count + 4 + 0x1FFE), hello, message)
    var frames: [CapturedFrame] = []
    for port in 0..<400 {
      var conversation = Conversation(.tcp, clientPort: UInt16(2000 + port))
      conversation.handshake()
      conversation.client(Self.client)
      conversation.server(stream)
      frames += conversation.frames
    }
    // The slab has 1 MiB: 400 blocks of 512 bytes for the hellos, but not of 8 KiB.
    let run = try Capture(frames: frames).run(plugins: ["tls:certificates"], configuration: .small)
    #expect(run.records.count == 400)
    #expect(run.counters.slabFull == 0)
  }

  @Test func gapBeforeTheCertificateEndsReading() throws {
    let stream = TLSBuilder.records(Self.flight([Self.leaf]))
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.client(Self.client)
    conversation.server(Array(stream[..<100]), sequence: 5001)
    conversation.server(Array(stream[200...]), sequence: 5201)
    for _ in 0..<40 { conversation.server([UInt8](repeating: 0, count: 1400)) }
    expectNone(try #require(try conversation.run(plugins: ["tls:certificates"]).first))
  }

  // MARK: The certificate's own format

  /// The bytes of a name in UTF-8, of which `limit` are wanted.
  private static func text(_ name: DirectoryString, limit: Int = 160) -> [UInt8] {
    var memory = [UInt8](repeating: 0, count: 200)
    return memory.withUnsafeMutableBytes { memory in
      var text = ScratchText(MutableBytes(memory.baseAddress!, count: memory.count))
      name.write(to: &text, limit: limit)
      return [UInt8](text.bytes.buffer)
    }
  }

  private func certificate(_ bytes: [UInt8]) -> (
    subject: [UInt8], type: X509Certificate.KeyType, bits: UInt16, after: UInt64
  )? {
    bytes.withUnsafeBytes { buffer in
      X509Certificate(Bytes(buffer)).map {
        (Self.text($0.subject), $0.keyType, $0.keyBits, $0.notAfter)
      }
    }
  }

  @Test func everyPrefixAndEveryChangedByteIsReadWithoutFault() {
    var known = 0
    for length in 0...Self.leaf.count {
      if certificate(Array(Self.leaf[..<length])) != nil { known += 1 }
    }
    // DER's outermost length reaches to the end.
    #expect(known == 1)
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<20000 {
      var changed = Self.leaf
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        changed[Int.random(in: 0..<changed.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      _ = certificate(changed)
    }
  }

  /// A certificate whose subject's common name is an element with this tag, and the subject in `limit` bytes.
  private func subject(tag: UInt8, _ bytes: [UInt8], limit: Int = 160) throws -> [UInt8] {
    func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
      [tag] + (contents.count < 128 ? [UInt8(contents.count)] : [0x82] + TLSBuilder.word(contents.count))
        + contents
    }
    let pair = element(0x30, element(6, [0x55, 4, 3]) + element(tag, bytes))
    let signed = TLSBuilder.join(
      element(2, [1]), element(0x30, []), element(0x30, []), element(0x30, []),
      element(0x30, element(0x31, pair)), element(0x30, []))
    let whole = element(0x30, element(0x30, signed))
    return try whole.withUnsafeBytes { buffer in
      Self.text(try #require(X509Certificate(Bytes(buffer))).subject, limit: limit)
    }
  }

  private static let names: [(UInt8, [UInt8], String)] = [
    // X.680: UTF8String, PrintableString, T61String, IA5String, UniversalString, BMPString.
    (UInt8(0x0C), Array("Zürich 😀".utf8), "Zürich 😀"), (0x13, Array("Example".utf8), "Example"),
    (0x14, [0x5A, 0xFC, 0x72], "Zür"), (0x16, Array("a@b".utf8), "a@b"),
    (0x1C, [0, 0, 0, 0x5A, 0, 0, 0, 0xFC, 0, 1, 0xF6, 0], "Zü😀"),
    (0x1E, [0, 0x5A, 0, 0xFC, 0x20, 0xAC], "Zü€"),
    // Windows' pair of halves, a half alone, at the end too; half a character.
    (0x1E, [0xD8, 0x3D, 0xDE, 0x00, 0, 0x41], "😀A"),
    (0x1E, [0xDE, 0x00, 0xD8, 0x3D, 0, 0x41], "\u{FFFD}\u{FFFD}A"),
    (0x1E, [0, 0x41, 0xD8, 0x3D], "A\u{FFFD}"), (0x1E, [0, 0x41, 0], "A\u{FFFD}"),
    (0x1C, [0, 0x11, 0, 0, 0, 0, 0xD8, 0, 0, 0, 0, 0x41, 0, 0], "\u{FFFD}\u{FFFD}A\u{FFFD}"),
    // RFC 3629: a byte too few, none to follow, too many of them, a half, beyond the last character.
    (0x0C, [0x41, 0xC3], "A\u{FFFD}"), (0x0C, [0x80, 0xC3, 0x41], "\u{FFFD}\u{FFFD}A"),
    (0x0C, [0xC0, 0x80], "\u{FFFD}\u{FFFD}"), (0x0C, [0xE0, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
    (0x0C, [0xED, 0xA0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
    (0x0C, [0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"), (0x0C, [0xFF], "\u{FFFD}"),
    (0x0C, [], ""), (0x1E, [], ""),
  ]

  @Test(arguments: names) func namesBecomeUTF8(tag: UInt8, bytes: [UInt8], text: String) throws {
    #expect(String(decoding: try subject(tag: tag, bytes), as: UTF8.self) == text)
  }

  @Test func namesAreCutBetweenCharacters() throws {
    let name = "aü€😀"
    let kept = (0...11).map { limit in try? subject(tag: 0x0C, Array(name.utf8), limit: limit).count }
    #expect(kept == [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10])
    let long = try subject(tag: 0x1E, (0..<200).flatMap { _ in [0x20, 0xAC] as [UInt8] })
    #expect(String(decoding: long, as: UTF8.self) == String(repeating: "€", count: 53))
  }

  @Test(arguments: [
    // RFC 5280 section 4.1.2.5: two digits are 1950 to 2049; 99991231235959Z is for ever. Seconds by `date -u +%s`.
    ("491231235959Z", UInt64(2_524_607_999)), ("500101000000Z", 0), ("700101000001Z", 1),
    ("000229120000Z", 951_825_600), ("99991231235959Z", 253_402_300_799), ("20240229000000Z", 1_709_164_800),
    ("20240230000000Z", 0), ("230229000000Z", 0), ("230228000000Z", 1_677_542_400), ("240431000000Z", 0),
    ("240430000000Z", 1_714_435_200), ("21000229000000Z", 0), ("240831000000Z", 1_725_062_400),
    ("240931000000Z", 0),
    ("241231000000Z", 1_735_603_200), ("240700000000Z", 0), ("20241301000000Z", 0), ("2024022", 0),
    ("2024022900000xZ", 0), ("", 0),
  ]) func datesAreRead(text: String, seconds: UInt64) throws {
    func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
      [tag] + (contents.count < 128 ? [UInt8(contents.count)] : [0x81, UInt8(contents.count)]) + contents
    }
    let date = element(text.utf8.count > 13 ? 0x18 : 0x17, Array(text.utf8))
    let signed = TLSBuilder.join(
      element(2, [1]), element(0x30, []), element(0x30, []), element(0x30, date + date), element(0x30, []),
      element(0x30, element(0x30, element(6, [0x2B, 0x65, 0x71])) + element(3, [0])))
    let found = try #require(certificate(element(0x30, element(0x30, signed))))
    #expect(found.after == seconds)
    #expect(found.type.rawValue == X509Certificate.KeyType.ed448.rawValue)
    #expect(found.bits == 456)
    #expect(found.subject.isEmpty)
  }
}
