// ipfixprobe's functional tests: each capture with its plugin must give the expected records.
import Testing

@testable import FlowCore

@Suite struct CorpusTests {
  /// Capture name, the plugins to enable, for which ipfixprobe's expected lines hold, and the fields that are not compared
  /// because ipfixprobe is wrong about them: each is tested against values calculated by hand where the comment says.
  static let functional: [(name: String, plugins: [String], ignoring: Set<String>)] = [
    ("basic", [], []),
    ("pstats", ["pstats"], []),
    ("phists", ["phists"], []),
    ("bstats", ["bstats"], []),
    // ipfixprobe's deviation rounds the mean down, its kurtosis takes distances from a mean that still moves, and its time
    // distribution subtracts a payload length from a time: `StatisticsTests`, `StatisticsPropertyTests`.
    (
      "nettisa", ["nettisa"],
      [
        "cesnet:ntsStdevPacketPayload", "cesnet:ntsKurtosisPacketPayload", "cesnet:ntsTimeDistribution",
      ]
    ),
    ("idpcontent", ["idpcontent"], []),
    // ipfixprobe reads four bytes at the MSS option's two: `HeaderPluginTests`.
    ("basicplus", ["basicplus"], ["cesnet:tcpMss", "cesnet:tcpMssRev"]),
    ("vlan", ["vlan"], []),
    ("ovpn", ["ovpn"], []),
    ("ssadetector", ["ssadetector"], []),
    ("wg", ["wg"], []),
    ("tls", ["tls"], []),
  ]

  @Test(.enabled(if: Corpus.directory != nil, "needs ../shared/corpus"), arguments: functional)
  func recordsAreIpfixprobes(name: String, plugins: [String], ignoring: Set<String>) throws {
    let expected = try #require(ExpectedRecords(name))
    let capture = try #require(Capture(path: "\(Corpus.directory!)/functional/\(name).pcap"))
    let (records, _) = try capture.run(plugins: plugins)
    #expect(expected.unmet(by: records, ignoring: ignoring) == [])
  }

  @Test(
    .enabled(if: Corpus.directory != nil, "needs ../shared/corpus"), arguments: Corpus.captures(in: "ndpi"))
  func everyPacketIsCounted(path: String) throws {
    guard let capture = Capture(path: path) else { return }
    let (records, counters) = try capture.run()
    #expect(counters.packets == UInt64(capture.frames.count))
    #expect(counters.endedPackets + counters.discardedTotal + counters.tableFull == counters.packets)
    #expect(UInt64(records.count) == counters.flowsMade)
  }
}
