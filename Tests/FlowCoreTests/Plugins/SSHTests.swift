// ssh: identifications and lists of algorithms made by hand, in whatever segments they come, and what is no SSH.
import TestSupport
import Testing

@testable import FlowCore

@Suite struct SSHTests {
  // MARK: Messages

  private static let clientLine = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7"
  private static let serverLine = "SSH-2.0-dropbear_2022.83"

  /// RFC 4253 sections 6 and 7.1.
  private static func exchange(_ lists: [String], padding: Int = 6, message: UInt8 = 20) -> [UInt8] {
    var body = [message] + [UInt8](repeating: 0xA5, count: 16)
    for list in lists { body += FrameBuilder.word(UInt32(list.utf8.count)) + Array(list.utf8) }
    body += [0, 0, 0, 0, 0]
    return FrameBuilder.word(UInt32(1 + body.count + padding)) + [UInt8(padding)] + body
      + [UInt8](repeating: 0, count: padding)
  }

  /// Key exchange, host key, and the four pairs in the order of the message.
  private static let clientLists = [
    "curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519,rsa-sha2-512", "aes128-ctr,aes256-ctr", "aes128-cbc",
    "hmac-sha2-256", "hmac-sha1", "none,zlib@openssh.com", "none", "", "",
  ]
  private static let serverLists = [
    "curve25519-sha256", "ssh-ed25519", "aes128-ctr", "chacha20-poly1305@openssh.com", "hmac-sha1",
    "hmac-sha2-512", "none", "zlib", "", "",
  ]
  /// `printf '…' | md5sum` of "curve25519-sha256,ecdh-sha2-nistp256;aes128-ctr,aes256-ctr;hmac-sha2-256;none,zlib@openssh.com".
  private static let clientHash = "0x492a1b12bc056237f805415b405d8616"
  /// … and of "curve25519-sha256;chacha20-poly1305@openssh.com;hmac-sha2-512;zlib".
  private static let serverHash = "0x64dfad7b1a0fa6aa4c16e902102c1b96"

  private static func line(_ text: String, end: String = "\r\n") -> [UInt8] { Array((text + end).utf8) }

  private static let client = line(clientLine) + exchange(clientLists)
  private static let server = line(serverLine) + exchange(serverLists)

  /// Both sides' bytes in segments of `size`; the server speaks first if told so.
  private func run(
    _ client: [UInt8], _ server: [UInt8], size: Int = 1400, port: UInt16 = 7022, clientPort: UInt16 = 40000,
    serverFirst: Bool = false, hasHandshake: Bool = true
  ) throws -> Record {
    var conversation = Conversation(.tcp, clientPort: clientPort, serverPort: port)
    if hasHandshake { conversation.handshake() }
    for byClient in serverFirst ? [false, true] : [true, false] {
      let bytes = byClient ? client : server
      for start in stride(from: 0, to: bytes.count, by: size) {
        conversation.send(Array(bytes[start..<min(start + size, bytes.count)]), byClient: byClient)
      }
    }
    return try #require(try conversation.run(plugins: ["ssh"]).first)
  }

  private func expectAll(_ record: Record) {
    #expect(record.text("martlet:sshClientVersion") == Self.clientLine)
    #expect(record.text("martlet:sshServerVersion") == Self.serverLine)
    #expect(record.text("martlet:sshHassh") == Self.clientHash)
    #expect(record.text("martlet:sshHasshServer") == Self.serverHash)
    #expect(
      record.text("martlet:sshClientAlgorithms")
        == "curve25519-sha256,ecdh-sha2-nistp256;aes128-ctr,aes256-ctr;hmac-sha2-256;none,zlib@openssh.com")
    #expect(
      record.text("martlet:sshServerAlgorithms")
        == "curve25519-sha256;chacha20-poly1305@openssh.com;hmac-sha2-512;zlib")
    #expect(record.text("martlet:sshClientHostKeyAlgorithms") == "ssh-ed25519,rsa-sha2-512")
    #expect(record.text("martlet:sshServerHostKeyAlgorithms") == "ssh-ed25519")
  }

  // MARK: Whole connections

  @Test(arguments: [1, 2, 3, 5, 17, 100, 1400])
  func messagesInSegmentsOfEverySize(_ size: Int) throws {
    for serverFirst in [false, true] {
      expectAll(try run(Self.client, Self.server, size: size, serverFirst: serverFirst))
    }
  }

  @Test func segmentsInDisorder() throws {
    var conversation = Conversation(.tcp, serverPort: 22)
    conversation.handshake()
    let pieces = stride(from: 0, to: Self.server.count, by: 50).map { start in
      (start, Array(Self.server[start..<min(start + 50, Self.server.count)]))
    }
    for (start, piece) in pieces.reversed() { conversation.server(piece, sequence: 5001 + UInt32(start)) }
    conversation.client(Self.client)
    expectAll(try #require(try conversation.run(plugins: ["ssh"]).first))
  }

  @Test func withoutHandshakeTheLowerPortIsTheServers() throws {
    for serverFirst in [false, true] {
      expectAll(try run(Self.client, Self.server, serverFirst: serverFirst, hasHandshake: false))
    }
  }

  @Test func oneSideAlone() throws {
    let record = try run(Self.client, [])
    #expect(record.text("martlet:sshClientVersion") == Self.clientLine)
    #expect(record.text("martlet:sshHassh") == Self.clientHash)
    #expect(record.text("martlet:sshServerVersion").isEmpty)
    #expect(record.text("martlet:sshHasshServer") == "0x")
  }

  // MARK: Who is who

  /// The same lists with the names that only a client and only a server has.
  private static let tellingClient =
    line(clientLine)
    + exchange(
      ["curve25519-sha256,ecdh-sha2-nistp256,ext-info-c,kex-strict-c-v00@openssh.com"]
        + clientLists.dropFirst())
  private static let tellingServer =
    line(serverLine)
    + exchange(["curve25519-sha256,kex-strict-s-v00@openssh.com"] + serverLists.dropFirst())
  /// As above, with these names.
  private static let tellingClientHash = "0x3c871df519629c58347ccbd738cecb55"
  private static let tellingServerHash = "0x93418ee1bce34a2ff42baa896797af32"

  /// The lists say who is who, whatever the ports and whoever is seen first.
  @Test(arguments: [(UInt16(40000), UInt16(60022)), (20, 2222), (22, 40000), (40000, 22)])
  func listsTellTheClient(clientPort: UInt16, port: UInt16) throws {
    for serverFirst in [false, true] {
      let record = try run(
        Self.tellingClient, Self.tellingServer, size: 100, port: port, clientPort: clientPort,
        serverFirst: serverFirst,
        hasHandshake: false)
      #expect(record.text("martlet:sshClientVersion") == Self.clientLine)
      #expect(record.text("martlet:sshServerVersion") == Self.serverLine)
      #expect(record.text("martlet:sshHassh") == Self.tellingClientHash)
      #expect(record.text("martlet:sshHasshServer") == Self.tellingServerHash)
    }
  }

  /// One direction alone, as where a probe sees only one way; and what the first list was taken for stays.
  @Test func oneDirectionIsEnough() throws {
    let client = try run(Self.tellingClient, [], port: 80, hasHandshake: false)
    #expect(client.text("martlet:sshClientVersion") == Self.clientLine)
    #expect(client.text("martlet:sshHassh") == Self.tellingClientHash)
    let server = try run([], Self.tellingServer, port: 60022, hasHandshake: false)
    #expect(server.text("martlet:sshServerVersion") == Self.serverLine)
    #expect(server.text("martlet:sshHasshServer") == Self.tellingServerHash)
    #expect(server.text("martlet:sshClientVersion").isEmpty)
    // Without a telling name the lower port is the server's.
    let plain = try run([], Self.server, port: 2222, hasHandshake: false)
    #expect(plain.text("martlet:sshServerVersion") == Self.serverLine)
    #expect(plain.text("martlet:sshHasshServer") == Self.serverHash)
  }

  /// SSH's port is the server's, also where the client's is lower, and where the server was seen first.
  @Test func portIsTheServers() throws {
    for serverFirst in [false, true] {
      expectAll(
        try run(
          Self.client, Self.server, port: 22, clientPort: 20, serverFirst: serverFirst, hasHandshake: false))
    }
  }

  /// The handshake was seen from the SYN-ACK on: the flow's source is the server.
  @Test func whoAnsweredIsTheServer() throws {
    for (client, server) in [(Self.client, Self.server), (Self.tellingClient, Self.tellingServer)] {
      var conversation = Conversation(.tcp, clientPort: 40000, serverPort: 22)
      conversation.server(flags: 0x12)
      conversation.client(flags: 0x10)
      conversation.server(server)
      conversation.client(client)
      let record = try #require(try conversation.run(plugins: ["ssh"]).first)
      #expect(record.text("martlet:sshClientVersion") == Self.clientLine)
      #expect(record.text("martlet:sshServerVersion") == Self.serverLine)
    }
  }

  // MARK: Identifications

  /// RFC 4253 section 4.2: a server may send other lines first.
  @Test func linesBeforeTheServersIdentification() throws {
    let lines = Self.line("Authorised use only.") + Self.line("") + Self.line("SSh is served here")
    for size in [1, 1400] {
      expectAll(try run(Self.client, lines + Self.server, size: size, port: 22, serverFirst: true))
      // On other ports, too, where the client is known, and where the server speaks first.
      for serverFirst in [false, true] {
        expectAll(try run(Self.client, lines + Self.server, size: size, serverFirst: serverFirst))
      }
      // One way, without a handshake: the side with lines is the server.
      let alone = try run([], lines + Self.server, size: size, hasHandshake: false)
      #expect(alone.text("martlet:sshServerVersion") == Self.serverLine)
    }
    // What only may be lines is not followed far, nor what the servers of other protocols begin with.
    for other in ["x\nx\nx\nx\nx\n", "220 files\r\n", "+OK mails\r\n", String(repeating: "x", count: 400)] {
      let record = try run(Self.client, Self.line(other) + Self.server, size: 100, serverFirst: true)
      #expect(record["martlet:sshServerVersion"] == nil, "\(other)")
    }
    let many = (0...32).flatMap { _ in Self.line("x") }
    #expect(try run(Self.client, many + Self.server).text("martlet:sshServerVersion").isEmpty)
  }

  @Test func versionOneHasNoLists() throws {
    let record = try run(Self.line("SSH-1.5-old", end: "\n"), Self.line("SSH-1.99-Cisco-1.25", end: "\n"))
    #expect(record.text("martlet:sshClientVersion") == "SSH-1.5-old")
    #expect(record.text("martlet:sshServerVersion") == "SSH-1.99-Cisco-1.25")
    #expect(record.text("martlet:sshHassh") == "0x")
  }

  @Test func theLongestIdentification() throws {
    let longest = "SSH-2.0-" + String(repeating: "x", count: 245)
    #expect(try run(Self.line(longest), []).text("martlet:sshClientVersion") == longest)
    #expect(try run(Self.line(longest + "x"), [])["martlet:sshClientVersion"] == nil)
  }

  @Test func whatIsNotSSH() throws {
    for text in ["GET / HTTP/1.1\r\n", "SSL-", "220 mail\r\n", "S", "SSH", ""] {
      let record = try run(Array(text.utf8), Array("HTTP/1.1 200 OK\r\n\r\n".utf8))
      #expect(record["martlet:sshClientVersion"] == nil, "\(text)")
    }
    let other = try run(Array("x\n".utf8), Array("220 FTP\r\n".utf8), port: 22, serverFirst: true)
    #expect(other["martlet:sshClientVersion"] == nil)
  }

  // MARK: Lists

  @Test func longListsAreCutBetweenNames() throws {
    let names = (0..<60).map { "algorithm-\($0)@example.com" }.joined(separator: ",")
    let lists = [names, names, names, "", names, "", names, "", "", ""]
    let record = try run(Self.line(Self.clientLine) + Self.exchange(lists), [])
    let kept = record.text("martlet:sshClientAlgorithms").split(separator: ";").map(String.init)
    #expect(kept.map(\.utf8.count).elementsEqual([191, 95, 95, 47]))
    #expect(kept.allSatisfy { names.hasPrefix($0 + ",") })
    #expect(record.text("martlet:sshClientHostKeyAlgorithms").utf8.count == 119)
    // Four lists of 1489 bytes are more than is hashed.
    #expect(record.text("martlet:sshHassh") == "0x")
  }

  @Test func aListThatIsNotOne() throws {
    let line = Self.line(Self.clientLine)
    var lies = Self.exchange(Self.clientLists)
    // The first list's length.
    lies.replaceSubrange(22..<26, with: [0xFF, 0xFF, 0xFF, 0xFF])
    var padding = Self.exchange(Self.clientLists)
    padding[4] = 255
    for message in [
      lies, padding, Self.exchange(Self.clientLists, message: 21), [0, 0, 0, 0, 0, 20, 0, 0],
      [0, 0, 0, 5, 4, 20, 0, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF, 4, 20], Array(Self.exchange([]).prefix(40)),
    ] {
      let record = try run(line + message, Self.server)
      #expect(record.text("martlet:sshClientVersion") == Self.clientLine)
      #expect(record.text("martlet:sshHassh") == "0x" && record.text("martlet:sshClientAlgorithms").isEmpty)
      #expect(record.text("martlet:sshHasshServer") == Self.serverHash)
    }
  }

  /// Every prefix, and every byte another one: nothing is read outside of the packets.
  @Test func cutsAndLiesAreSurvived() throws {
    var generator = SeededGenerator(seed: 22)
    for length in 0..<Self.client.count {
      _ = try run(Array(Self.client.prefix(length)), Self.server)
      var changed = Self.client
      changed[length] = UInt8.random(in: 0...255, using: &generator)
      _ = try run(changed, Self.server, size: 64)
    }
  }
}
