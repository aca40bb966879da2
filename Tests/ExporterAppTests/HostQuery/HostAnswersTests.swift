// osqueryi's answers: JSON as it may come, and rows as connections. How it is started is tested end to end.
import FlowCore
import Testing

@testable import ExporterApp

@Suite struct HostAnswersTests {
  private func rows(_ text: String, most: Int = 100) throws -> [[String: String]] {
    try JSONRows(Array(text.utf8), most: most).rows
  }

  @Test func rowsAreRead() throws {
    #expect(try rows("[]").isEmpty)
    #expect(try rows(" [\n {} ]\n") == [[:]])
    #expect(
      try rows(
        "[\n  {\"a\":\"1\",\"b\" : \"x y\"},\r\n\t{\"a\":\"\",\"n\":-1.5E+3,\"t\":true,\"z\":null}\n]\n")
        == [["a": "1", "b": "x y"], ["a": ""]])
    #expect(
      try rows(#"[{"a":"\"\\\/\b\f\n\r\tü\u00fc\uD83D\uDE00x\u0041"}]"#)[0]["a"]
        == "\"\\/\u{8}\u{C}\n\r\tüü😀xA")
    // A half of a character is none.
    #expect(try rows(#"[{"a":"\uD83Dx"}]"#)[0]["a"] == "\u{FFFD}x")
    #expect(try rows("[{\"a\":\"1\"},{\"a\":\"2\"},{\"a\":\"3\"}]", most: 2).count == 2)
  }

  @Test func everythingElseIsRefused() {
    let whole = #"[{"a":"\u00fc1","b":2}]"#
    for length in 0..<whole.utf8.count {
      #expect(throws: Failure.self) { try JSONRows(Array(whole.utf8.prefix(length)), most: 9) }
    }
    for text in [
      "Error: no such table", "{}", "[1]", "[{\"a\":[]}]", "[{\"a\":{}}]", "[{a:\"1\"}]",
      #"[{"a":"\uzzzz"}]"#,
    ] {
      #expect(throws: Failure.self) { try rows(text) }
    }
  }

  @Test func rowsBecomeConnections() throws {
    func row(_ local: String, _ remote: String, _ number: String = "6") -> [String: String] {
      [
        "protocol": number, "local_address": local, "local_port": "443", "remote_address": remote,
        "remote_port": "40000", "name": "nginx", "username": "www-data",
      ]
    }
    func key(_ one: IPAddress, _ other: IPAddress) -> SocketKey {
      SocketKey(other, 40000, one, 443, protocolNumber: 6)
    }
    let owners = HostAnswers.owners([
      row("192.0.2.1", "192.0.2.2"), row("::ffff:192.0.2.3", "::ffff:192.0.2.4"),
      row("fe80::1%eth0", "2001:db8::2"), row("0.0.0.0", ""), row("host", "192.0.2.2"),
      row("::1", "::2", "icmp"),
    ])
    #expect(
      Set(owners.keys) == [
        key(IPAddress(version4: 0xC000_0201), IPAddress(version4: 0xC000_0202)),
        key(IPAddress(version4: 0xC000_0203), IPAddress(version4: 0xC000_0204)),
        key(IPAddress(high: 0xFE80 << 48, low: 1), IPAddress(high: 0x2001_0DB8 << 32, low: 2)),
      ])
  }

  @Test func programsAreFoundInThePath() {
    #expect(HostQuery.find("sh")?.hasSuffix("/sh") == true)
    #expect(HostQuery.find("/bin/sh") == "/bin/sh")
    for none in ["", "/bin", "/nowhere/sh", "no-such-program", "/etc/passwd"] {
      #expect(HostQuery.find(none) == nil)
    }
  }
}
