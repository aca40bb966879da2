// The peer's functional tests: each capture with its plugin must give the expected records.
import Testing

@testable import FlowCore

@Suite struct CorpusTests {
  /// Capture name and the plugins to enable; the peer's expected lines hold for them.
  static let functional: [(name: String, plugins: [String])] = [
    ("basic", []),
    ("pstats", ["pstats"]),
    ("tls", ["tls"]),
  ]

  @Test(.enabled(if: Corpus.directory != nil, "needs ../shared/corpus"), arguments: functional)
  func recordsMatchThePeers(name: String, plugins: [String]) throws {
    let expected = try #require(ExpectedRecords(name))
    let capture = try #require(Capture(path: "\(Corpus.directory!)/functional/\(name).pcap"))
    let (records, _) = try capture.run(plugins: plugins)
    #expect(expected.unmet(by: records) == [])
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
