// ssdp: which headers of which messages count, lists without doubles and within their limits, and ports of locations.
import Testing

@testable import FlowCore

@Suite struct SSDPTests {
  private func run(_ messages: [String], port: UInt16 = 1900) throws -> Record {
    var conversation = Conversation(.udp, serverPort: port)
    for message in messages {
      conversation.client(Array(message.replacing("\n", with: "\r\n").utf8))
    }
    return try conversation.run(plugins: ["ssdp"])[0]
  }

  private func notify(_ headers: String) -> String {
    "NOTIFY * HTTP/1.1\nHOST: 239.255.255.250:1900\n\(headers)\n\n"
  }
  private func search(_ headers: String) -> String { "M-SEARCH * HTTP/1.1\n\(headers)\n\n" }

  @Test func messagesFillTheirOwnFields() throws {
    let record = try run([
      notify(
        "nt:urn:a:service:X:1\nServer:  OS/1 UPnP/1.1 \nLOCATION: http://192.0.2.1:2869/d.xml\nST: urn:no\nUSER-AGENT: no"
      ),
      search("sT: urn:b:device:Y:1\nUser-Agent: Browser/1;x\nNT: urn:no\nSERVER: no\nLOCATION: http://h:1/"),
    ])
    #expect(record.text("cesnet:SSDPNT") == "a:service:X:1;")
    #expect(record.text("cesnet:SSDPServer") == "OS/1 UPnP/1.1;")
    #expect(record.text("cesnet:SSDPST") == "b:device:Y:1;")
    #expect(record.text("cesnet:SSDPUserAgent") == "Browser/1;x;")
    #expect(record.number("cesnet:SSDPLocationPort") == 2869)
  }

  @Test func valuesAreListedOnce() throws {
    let values = ["s:10", "s:1", "s:10", "s:1", "0"].map { search("ST: urn:\($0)\nUSER-AGENT: a;b") }
    let record = try run(values)
    #expect(record.text("cesnet:SSDPST") == "s:10;s:1;0;")
    #expect(record.text("cesnet:SSDPUserAgent") == "a;b;")
  }

  @Test func listsHaveLimits() throws {
    let record = try run([
      notify("NT: urn:\(String(repeating: "a", count: 509))\nSERVER: \(String(repeating: "b", count: 254))"),
      notify("NT: urn:c\nSERVER: \(String(repeating: "d", count: 250))\nSERVER: e\nSERVER: ff"),
    ])
    // 509 and a semicolon are 510; 254 and one are too many; 250 and 1 with theirs are 253, and two more do not fit.
    #expect(record.text("cesnet:SSDPNT") == String(repeating: "a", count: 509) + ";")
    #expect(record.text("cesnet:SSDPServer") == String(repeating: "d", count: 250) + ";e;")
  }

  @Test(arguments: [
    ("http://192.0.2.1:80/", 80.0), ("http://[fe80::1%25eth0]:2869/x", 2869), ("http://tv.local:8008", 8008),
    ("http://tv:8008/a.b:9", 8008), ("http://u:1@h:0x50/", 80), ("http://192.0.2.1:010/", 8),
    ("http://192.0.2.1:0/", 0), ("http://192.0.2.1:70000/", 0), ("http://192.0.2.1/", 0),
    ("http://[::1]/", 0),
    ("192.0.2.1", 0), ("", 0), ("://", 0),
  ])
  func portsOfLocations(location: String, port: Double) throws {
    #expect(try run([notify("LOCATION: \(location)")]).number("cesnet:SSDPLocationPort") == port)
  }

  @Test func theLastLocationWithAPortStays() throws {
    let record = try run(["http://a:1/", "http://a:2/", "http://a/"].map { notify("Location: \($0)") })
    #expect(record.number("cesnet:SSDPLocationPort") == 2)
  }

  @Test func othersHaveNoFields() throws {
    #expect(try run(["HTTP/1.1 200 OK\nST: urn:x\n\n"])["cesnet:SSDPST"] == nil)
    #expect(try run([search("ST: urn:x")], port: 1901)["cesnet:SSDPST"] == nil)
  }

  /// A record that begins with an answer from the port of SSDP.
  @Test func anAnswerMayComeFirst() throws {
    var conversation = Conversation(.udp, clientPort: 1900, serverPort: 50_000)
    conversation.client(Array("HTTP/1.1 200 OK\r\n\r\n".utf8))
    conversation.server(Array("M-SEARCH * HTTP/1.1\r\nST: urn:x\r\n\r\n".utf8))
    #expect(try conversation.run(plugins: ["ssdp"])[0].text("cesnet:SSDPST") == "x;")
  }

  @Test func cutMessagesAreNoHarm() throws {
    let message = "NOTIFY * HTTP/1.1\r\nNT: urn:x\r\nLOCATION: http://a.b:80/\r\n\r\n"
    for length in 0..<message.utf8.count {
      var conversation = Conversation(.udp, serverPort: 1900)
      conversation.client(Array(message.utf8), captured: length)
      let record = try conversation.run(plugins: ["ssdp"])[0]
      #expect(record.text("cesnet:SSDPNT") == (length >= 30 ? "x;" : ""), "\(length)")
    }
  }
}
