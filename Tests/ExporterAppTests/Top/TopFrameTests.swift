// `martlet top`: answers as they come, and the picture that they make. Figures are worked out by hand.
import Testing

@testable import ExporterApp

@Suite struct TopFrameTests {
  private func value(_ text: String) throws -> JSONValue { try JSONValue(Array(text.utf8)) }

  private func sample(seconds: UInt64, received: UInt64, busy: UInt64, flows: String = "{}") throws
    -> TopSample
  {
    TopSample(
      time: seconds * 1_000_000_000,
      stats: try value(
        #"{"received":\#(received),"bytes":\#(received * 1000),"flows_made":10,"in_table":500,"ring_full":\#(received / 1000)}"#
      ),
      lcores: try value(
        #"{"2":{"role":"worker","cycles":\#(seconds * 1000),"busy_cycles":\#(busy),"ring_records":4096,"ring_size":8192,"table_size":1000,"received":\#(received),"in_table":500}}"#
      ),
      outputs: try value(
        #"{"1":{"output":"udp://a:1","lcore":1,"records":\#(received / 10),"sent":5,"export_dropped":7}}"#),
      flows: try value(flows))
  }

  @Test func ratesAreDifferencesByTheTimeBetween() throws {
    let flows =
      #"{"1":{"flow":"192.0.2.1:1 > 192.0.2.2:2 tcp","octets":1500000,"packets":1000,"milliseconds":2500,"lcore":2}}"#
    let frame = TopFrame(
      previous: try sample(seconds: 10, received: 1000, busy: 100),
      now: try sample(seconds: 12, received: 5000, busy: 600, flows: flows), title: "(x)")
    let lines = frame.lines(columns: nil, rows: nil)
    #expect(lines[0].hasPrefix("martlet (x), up "))
    // 4000 packets of 1000 bytes in 2 s.
    #expect(lines[1] == "2.00k packets/s, 16.0M bit/s, 0 new flows/s, 500 flows, 50 % of their table")
    #expect(lines[2] == "lost: ring full 5 (2/s)")
    func words(_ beginning: String) -> [Substring]? {
      lines.first { $0.hasPrefix(beginning) }?.split(separator: " ", omittingEmptySubsequences: true)
    }
    // 500 of 2000 cycles.
    #expect(words("2 ") == ["2", "worker", "25", "%", "2.00k", "0", "500", "50", "%"])
    #expect(words("udp://a:1") == ["udp://a:1", "1", "200", "0", "5", "7", "0"])
    #expect(words("192.0.2.1:1")?.suffix(4) == ["1.50M", "1.00k", "2.5", "2"])
  }

  @Test func aFrameFitsItsTerminal() throws {
    let one = #"{"flow":"192.0.2.1:1 > 192.0.2.2:2 tcp","octets":1,"packets":1,"milliseconds":0,"lcore":2}"#
    let many = "{" + (1...64).map { "\"\($0)\":\(one)" }.joined(separator: ",") + "}"
    let sample = try sample(seconds: 10, received: 0, busy: 0, flows: many)
    let frame = TopFrame(previous: sample, now: sample, title: "")
    #expect(frame.lines(columns: nil, rows: nil).count > 64)
    for (columns, rows) in [(80, 24), (40, 12), (10, 3), (1, 1)] {
      let lines = frame.lines(columns: columns, rows: rows)
      #expect(lines.count <= rows && lines.allSatisfy { $0.count <= columns })
    }
  }

  /// Whoever answers may answer anything: each number as large as it can be, each text a terminal's command and several lines.
  @Test func aFrameStandsAnyAnswer() throws {
    let most = UInt64.max
    func answer(_ name: String, _ fields: [String]) throws -> JSONValue {
      let numbers = fields.map { "\"\($0)\":\(most)" }.joined(separator: ",")
      return try value(
        #"{"\#(name)":{"role":"worker","output":"a\n\u001b[2J","flow":"\u009b2J\r",\#(numbers)}}"#)
    }
    let name = "2\\u001b]0;x\\u0007\\n"
    let counts = [
      "cycles", "busy_cycles", "ring_records", "in_table", "received", "records", "message_bytes", "sent",
    ]
    let stats = try value(
      #"{"received":\#(most),"bytes":\#(most),"in_table":\#(most),"missed":\#(most),"start_time":0}"#)
    let now = TopSample(
      time: 1, stats: stats, lcores: try answer(name, counts + ["idle"]),
      outputs: try answer("1", counts + ["lcore"]),
      flows: try answer("1", ["octets", "packets", "milliseconds", "lcore"]))
    let empty = try value("{}")
    let before = TopSample(time: 1, stats: empty, lcores: empty, outputs: empty, flows: empty)
    for previous in [before, now] {
      let lines = TopFrame(previous: previous, now: now, title: "(\u{1B}c)").lines(columns: nil, rows: nil)
      // A heading of three, three tables with a line for their one row, and lines between.
      #expect(lines.count == 3 + 3 * 3)
      #expect(lines.joined().unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    }
    #expect(
      [1e300, -1e300, .infinity, .nan, 2.5, 0x1p63].map(ScaledNumber.whole) == [.max, .min, .max, 0, 3, .max])
  }

  @Test func numbersAreShort() {
    #expect(
      [0, 999, 1000, 9994, 99_900, 999_499, 999_500, 12_345_678, 5e12].map(TopFrame.short)
        == ["0", "999", "1.00k", "9.99k", "99.9k", "999k", "1.00M", "12.3M", "5.00T"])
    #expect([59, 61, 3660, 90_000].map(TopFrame.span) == ["59 s", "1 min", "1 h 01 min", "1 d 01 h"])
  }

  @Test func jsonIsReadAndNothingElse() throws {
    let text = #" {"a":[1,"x\u0041",{"b":null}],"c":{},"d":18446744073709551615,"e":-1} "#
    let parsed = try value(text)
    #expect(parsed["a"]?.values == [.number(1), .text("xA"), .object([.init(name: "b", value: .other)])])
    #expect(parsed.number("d") == .max && parsed.number("e") == 0 && parsed["c"] == .object([]))
    for length in 0..<(text.utf8.count - 2) {
      #expect(throws: Failure.self) { try JSONValue(Array(text.utf8.prefix(length))) }
    }
    #expect(throws: Failure.self) { try value(String(repeating: "[", count: 100_000)) }
  }

  @Test func socketsAreFoundByPrefix() {
    #expect(throws: Failure.general("no martlet runs with --file-prefix x, or it belongs to somebody else")) {
      try TelemetrySockets.find(prefix: "x", roots: ["/nonexistent"])
    }
    let roots = TelemetrySockets.roots { ["XDG_RUNTIME_DIR": "/run/user/7"][$0] }
    #expect(roots.first == "/run/dpdk" && roots.contains("/run/user/7/dpdk") && roots.last == "/tmp/dpdk")
  }
}
