// Whose a connection is: what one plugin recognised is not shown to those whose protocol it cannot be.
import IPFIX
import Testing
import Wire

@testable import FlowCore

/// Counts how often it is shown something; claims what begins with its letter.
private protocol ClaimingPlugin: FlowPlugin where State == Shown {
  static var letter: Unicode.Scalar { get }
  static var element: InformationElement { get }
}

private struct Shown: FlowState { var count: UInt32 = 0 }

extension ClaimingPlugin {
  static var summary: String { "how often it is shown something" }
  static var readsStreams: Bool { true }

  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    state.count += 1
    return stream.bytes[0] == UInt8(ascii: Self.letter) ? .all.claiming : .all
  }

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.unsigned32(Self.element, state.count)
  }
}

private struct Sharing: ClaimingPlugin {
  static let name = "sharing"
  static let letter: Unicode.Scalar = "s"
  static let element = InformationElement(.martlet, 930, "sharing", .unsigned32)
  init(options: borrowing PluginOptions) {}
}

private struct Talking: ClaimingPlugin {
  static let name = "talking"
  static let letter: Unicode.Scalar = "t"
  static let streamClaim = StreamClaim.dialogue
  static let element = InformationElement(.martlet, 931, "talking", .unsigned32)
  init(options: borrowing PluginOptions) {}
}

private struct Chatting: ClaimingPlugin {
  static let name = "chatting"
  static let letter: Unicode.Scalar = "c"
  static let streamClaim = StreamClaim.dialogue
  static let element = InformationElement(.martlet, 932, "chatting", .unsigned32)
  init(options: borrowing PluginOptions) {}
}

private struct Sealing: ClaimingPlugin {
  static let name = "sealing"
  static let letter: Unicode.Scalar = "x"
  static let streamClaim = StreamClaim.connection
  static let element = InformationElement(.martlet, 933, "sealing", .unsigned32)
  init(options: borrowing PluginOptions) {}
}

private enum ClaimRegistry: PluginRegistry {
  case sharing, talking, chatting, sealing

  func visit<Visitor: PluginVisitor & ~Copyable>(_ visitor: inout Visitor) {
    switch self {
    case .sharing: visitor.visit(Sharing.self)
    case .talking: visitor.visit(Talking.self)
    case .chatting: visitor.visit(Chatting.self)
    case .sealing: visitor.visit(Sealing.self)
    }
  }
}

@Suite struct StreamClaimTests {
  /// How often `plugin` is shown something, where the letters come in a segment each.
  private func shown(_ letters: String, to plugin: String, of plugins: [String]) throws -> Int {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    for letter in letters.utf8 { conversation.client([letter]) }
    let run = try RegistryRun<ClaimRegistry>(conversation.frames, plugins: plugins)
    #expect(run.faults == 0)
    return Int(try #require(run.records.first).number("martlet:\(plugin)"))
  }

  @Test(arguments: [
    ("aaa", "talking", "chatting", 3), ("taa", "talking", "chatting", 0), ("ata", "talking", "chatting", 1),
    ("aat", "talking", "chatting", 2),
    // All of a connection, and a dialogue, which may go on as another protocol.
    ("xaa", "sealing", "talking", 0), ("taa", "talking", "sealing", 3), ("xtx", "sealing", "talking", 0),
    // Who shares claims nothing, and is left everything.
    ("xaa", "sealing", "sharing", 3), ("saa", "sharing", "talking", 3),
  ])
  func whatIsClaimedIsNotShownToOthers(letters: String, claimant: String, other: String, count: Int) throws {
    #expect(try shown(letters, to: other, of: [other]) == 3)
    // Behind the one that claims it another one does not even see the bytes that say so; before it, these are its last.
    #expect(try shown(letters, to: other, of: [claimant, other]) == count)
    #expect(try shown(letters, to: other, of: [other, claimant]) == min(3, count + 1))
    #expect(try shown(letters, to: claimant, of: [other, claimant]) == 3)
  }

  @Test func theBuiltInOnesLeaveEachOtherWhatMayFollow() throws {
    let names = ["http", "rtsp", "sip", "smtp", "ssh", "mqtt", "tls", "dns", "passivedns"]
    let layout = try StateLayout<BuiltInPlugins>(names.map { PluginSelection($0) })
    func excluded(by plugin: String) throws -> Set<String> {
      let excludes = layout.slots[try #require(names.firstIndex(of: plugin))].excludes
      return Set(names.indices.filter { excludes >> $0 & 1 != 0 }.map { names[$0] })
    }
    let all = Set(["http", "rtsp", "sip", "smtp", "ssh", "mqtt", "tls"])
    for plugin in ["ssh", "mqtt", "tls"] { #expect(try excluded(by: plugin) == all.subtracting([plugin])) }
    let dialogues = Set(["http", "rtsp", "sip", "smtp"])
    for plugin in dialogues { #expect(try excluded(by: plugin) == dialogues.subtracting([plugin])) }
    for plugin in ["dns", "passivedns"] { #expect(try excluded(by: plugin).isEmpty) }
  }

  /// A request's body that begins as TLS does, or as a mail's client: the next request is still read.
  @Test func nothingInABodyTakesTheRestAway() throws {
    let hello = TLSBuilder.records(TLSBuilder.message(1, TLSBuilder.clientHello()))
    for body in [hello, Array("SSH-2.0-x\r\n".utf8), Array("EHLO x\r\n".utf8)] {
      var conversation = Conversation(.tcp, serverPort: 25)
      conversation.handshake()
      conversation.client(Array("POST /a HTTP/1.1\r\nContent-Length: \(body.count)\r\n\r\n".utf8))
      conversation.client(body)
      conversation.client(Array("GET /b HTTP/1.1\r\n\r\n".utf8))
      for plugins in [["http", "smtp", "ssh", "tls"], ["tls", "ssh", "smtp", "http"]] {
        let records = try conversation.run(plugins: plugins)
        #expect(records.map { $0.text("flowmon:httpUrl") } == ["/a", "/b"])
      }
    }
  }
}
