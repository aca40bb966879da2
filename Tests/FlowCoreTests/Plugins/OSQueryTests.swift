// What is known of this host's connections, shared with workers, and the fields of flows that are among them.
import Foundation
import Testing

@testable import FlowCore

@Suite struct OSQueryTests {
  private let one = IPAddress(version4: 0xC000_0201)
  private let other = IPAddress(version4: 0xC000_0202)

  private func names(_ owner: SocketOwner?) -> String? {
    guard let owner else { return nil }
    var text = ""
    owner.withNames { text = String(decoding: $0.buffer, as: UTF8.self) }
    return "\(text) \(owner.programLength)"
  }

  @Test func aConnectionIsFoundByItsEndsInEitherOrder() {
    let host = HostKnowledge()
    let key = SocketKey(one, 40000, other, 443, protocolNumber: 6)
    #expect(host.owner(of: key) == nil)
    #expect(host.publish([key: SocketOwner(program: "nginx", user: "www-data")]) == 0)
    #expect(names(host.owner(of: SocketKey(other, 443, one, 40000, protocolNumber: 6))) == "nginxwww-data 5")
    #expect(host.owner(of: SocketKey(one, 443, other, 40000, protocolNumber: 6)) == nil)
    #expect(host.owner(of: SocketKey(one, 40000, other, 443, protocolNumber: 17)) == nil)
    let six = IPAddress(high: 0, low: 0xC000_0201)
    #expect(
      host.owner(of: SocketKey(six, 40000, IPAddress(high: 0, low: 0xC000_0202), 443, protocolNumber: 6))
        == nil)
    // One address, two ports.
    let local = SocketKey(one, 1, one, 2, protocolNumber: 6)
    #expect(host.publish([local: SocketOwner(program: "", user: "")]) == 0)
    #expect(names(host.owner(of: SocketKey(one, 2, one, 1, protocolNumber: 6))) == " 0")
    #expect(host.owner(of: key) == nil)
  }

  @Test func namesEndWithACharacter() {
    let owner = SocketOwner(
      program: String(repeating: "ü", count: 30), user: "a" + String(repeating: "😀", count: 20))
    #expect(
      names(owner) == String(repeating: "ü", count: 20) + "a" + String(repeating: "😀", count: 9) + " 40")
  }

  @Test func whatFindsNoRoomIsCounted() {
    let host = HostKnowledge()
    func keys(_ count: Int) -> [SocketKey: SocketOwner] {
      let owner = SocketOwner(program: "a", user: "b")
      return Dictionary(
        uniqueKeysWithValues: (0..<count).map {
          (SocketKey(IPAddress(version4: UInt32($0)), 1, other, 2, protocolNumber: 6), owner)
        })
    }
    let full = keys(HostKnowledge.mostSockets)
    #expect(host.publish(full) == 0)
    #expect(full.keys.allSatisfy { host.owner(of: $0) != nil })
    // Twice as many as there are places.
    let crowd = keys(4 * HostKnowledge.mostSockets)
    let left = host.publish(crowd)
    #expect(left >= 2 * HostKnowledge.mostSockets)
    #expect(crowd.keys.filter { host.owner(of: $0) == nil }.count == left)
  }

  @Test func aLookWhileItIsWrittenSeesOneOwnerOrNone() async {
    let host = HostKnowledge()
    let key = SocketKey(one, 40000, other, 443, protocolNumber: 6)
    let writer = Task.detached {
      for round in 0..<400 {
        let name = String(repeating: round % 2 == 0 ? "a" : "b", count: 10 + round % 30)
        _ = host.publish([key: SocketOwner(program: name, user: name)])
      }
    }
    var seen = 0
    while seen < 100_000 {
      guard let owner = host.owner(of: key) else { continue }
      seen += 1
      owner.withNames { bytes in
        let letters = Array(bytes.buffer)
        #expect(Set(letters).count == 1 && letters.count == 2 * Int(owner.programLength))
      }
    }
    await writer.value
  }

  @Test func recordsOfTheHostsFlowsHaveTheFields() throws {
    var conversation = Conversation(.tcp)
    conversation.handshake()
    conversation.clientPort = 40001
    conversation.handshake()
    let client = IPAddress(version4: 0xC000_0201)
    let server = IPAddress(version4: 0xC633_6402)
    let records = try conversation.capture.run(plugins: ["osquery"], configuration: .small) { schema in
      let answers = try #require(schema.hostQuestion).answers
      var description = HostDescription()
      description.name = PluginOptions.keep("Debian".utf8)
      (description.major, description.minor) = (12, 7)
      answers.publish(description)
      let key = SocketKey(server, 443, client, 40000, protocolNumber: 6)
      _ = answers.publish([key: SocketOwner(program: "nginx", user: "")])
      // What is said of the host once more is not heard.
      answers.publish(HostDescription())
    }.records
    func record(_ port: Double) throws -> Record {
      try #require(records.first { $0.number("iana:sourceTransportPort") == port })
    }
    let ours = try record(40000)
    #expect(ours.text("cesnet:OSQueryProgramName") == "nginx")
    #expect(ours.text("cesnet:OSQueryUsername") == "UNDEFINED")
    #expect(ours.text("cesnet:OSQueryOSName") == "Debian")
    #expect(ours.number("cesnet:OSQueryOSMajor") == 12)
    #expect(ours.number("cesnet:OSQueryOSMinor") == 7)
    #expect(ours.text("cesnet:OSQueryOSArch") == "UNDEFINED")
    #expect(try record(40001)["cesnet:OSQueryProgramName"] == nil)
  }

  @Test func whatIsToBeAskedComesFromTheOptions() throws {
    #expect(try BuiltInSchema(plugins: [PluginSelection("pstats")]).hostQuestion == nil)
    let usual = try #require(try BuiltInSchema(plugins: [PluginSelection("osquery")]).hostQuestion)
    #expect(usual.program == "osqueryi" && usual.interval == 10)
    let given = PluginSelection("osquery:path=/opt/osquery/bin/osqueryi,interval=3")
    let question = try #require(try BuiltInSchema(plugins: [PluginSelection("pstats"), given]).hostQuestion)
    #expect(question.program == "/opt/osquery/bin/osqueryi" && question.interval == 3)
  }
}
