// What swift-log's levels and metadata become: RFC 5424's severities, where notice (5) is said with info (6), and critical (2)
// with error (3); metadata behind the words, so that nothing of an event is lost.
import Logging
import Testing

@testable import ExporterApp

@Suite struct ConsoleHandlerTests {
  private func message(
    _ level: Logger.Level, _ text: Logger.Message, _ metadata: Logger.Metadata? = nil,
    handler: ConsoleHandler = ConsoleHandler()
  ) -> LogMessage {
    handler.message(
      LogEvent(
        level: level, message: text, metadata: metadata, source: nil, file: #fileID, function: #function,
        line: #line))
  }

  @Test func levelsThatThereAreNotComeNextToOne() {
    let severities = Logger.Level.allCases.map { message($0, "a").level.severity }
    // trace, debug, info, notice, warning, error, critical.
    #expect(severities == [7, 7, 6, 6, 4, 3, 3])
  }

  @Test func metadataStandsBehindTheWordsByName() {
    var handler = ConsoleHandler()
    handler[metadataKey: "queue"] = "3"
    handler[metadataKey: "port"] = "0"
    #expect(message(.info, "link up", ["port": "1"], handler: handler).text == "link up port=1 queue=3")
    #expect(message(.info, "link up", handler: handler).text == "link up port=0 queue=3")
    #expect(message(.info, "link up").text == "link up")
  }

  /// All loggers have Console's level, which nothing but the settings changes.
  @Test func oneLevelHoldsForAll() {
    var handler = ConsoleHandler()
    handler.logLevel = .critical
    #expect(handler.logLevel == .info)
  }
}
