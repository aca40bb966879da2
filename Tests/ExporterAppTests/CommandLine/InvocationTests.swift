// The command line: which life it leads to, and what a wrong one hears.
import Testing

@testable import ExporterApp

@Suite struct InvocationTests {
  @Test func everythingBeforeTheFirstDashesIsEALs() throws {
    guard case .live(let eal, let options) = try Invocation(["-l", "0-3", "--", "--queues", "2"]) else {
      Issue.record("not live")
      return
    }
    #expect(eal == ["-l", "0-3"])
    #expect(options.queues == 2)
  }

  @Test func capturesAreOffline() throws {
    guard
      case .offline(let options) = try Invocation([
        "--inactive-timeout", "0.5", "--pcap", "a.pcap", "-", "--odid", "7",
      ])
    else {
      Issue.record("not offline")
      return
    }
    #expect(options.captures == ["a.pcap", "-"])
    #expect(options.inactiveTimeout.nanoseconds == 500_000_000)
    #expect(options.activeTimeout.nanoseconds == 300_000_000_000)
    #expect(options.observationDomain == 7)
    #expect(options.largestMessage == 1458)
  }

  @Test(arguments: [
    ["--help"], ["--version"], ["--list-plugins"], ["--list-counters"], ["--list-exports"],
    ["-l", "0", "--", "--help"],
  ])
  func questionsNeedNoEAL(arguments: [String]) throws {
    guard case .answer(let text) = try Invocation(arguments) else {
      Issue.record("no answer")
      return
    }
    #expect(!text.isEmpty)
  }

  @Test(arguments: [
    [], ["-l", "0-3"], ["--bogus"], ["--pcap"], ["--queues", "2"], ["--pcap", "x", "--queues", "2"],
    ["--", "--queues", "0"], ["-l", "0", "--", "--pcap", "x"], ["--pcap", "x", "--timestamps", "s"],
    ["--pcap", "x", "--timestamps", "ms,ms"], ["--pcap", "x", "--timestamps", ""],
    ["--pcap", "x", "--inactive-timeout", "inf"], ["--pcap", "x", "--mtu", "99999"],
    ["--", "--config", "(0,0)"],
  ])
  func wrongCommandLinesExitWith64OnOneLine(arguments: [String]) {
    let failure = #expect(throws: Failure.self) { try Invocation(arguments) }
    #expect(failure?.status == 64)
    #expect(failure?.description.contains("\n") == false)
  }

  /// RFC 5103's number, and CESNET's and Flowmon's in IANA's registry "Private Enterprise Numbers".
  @Test(arguments: ["29305", "8057", "39499", "0", "4294967296"])
  func enterpriseNumbersOfOthersAreRefused(number: String) {
    let failure = #expect(throws: Failure.self) {
      try Invocation(["--private-enterprise-number", number, "--pcap", "x"])
    }
    #expect(failure?.status == 64)
    #expect(failure?.description.contains("'\(number)'") == true)
    #expect(failure?.description.contains("\n") == false)
  }

  /// Types by the reference's `elements.csv`: a basicList of packetLength, signed16, but an unsigned8 that is none.
  @Test func pluginsFieldsAreListedWithTheirTypes() {
    let lines = PluginList.text.split(separator: "\n").map(String.init)
    for line in [
      "cesnet:packetLength, list of signed16",
      "cesnet:packetTime, list of dateTimeMilliseconds (with time=ms)",
      "martlet:packetTimeMicroseconds, list of dateTimeMicroseconds (with time=us)",
      "cesnet:packetDirection, list of signed8", "iana:ipTTL, unsigned8", "iana:icmpTypeCodeIPv4, unsigned16",
    ] {
      #expect(lines.contains("    field  " + line), "\(line)")
    }
  }

  @Test func aForgottenSeparatorIsNamed() {
    let failure = #expect(throws: Failure.self) { try Invocation(["-l", "0-3", "--vdev=net_null0"]) }
    #expect(failure?.description.contains("'--'") == true)
  }

  @Test(arguments: [("30", 30_000_000_000), ("0.25", 250_000_000), ("0", 0)] as [(String, UInt64)])
  func secondsHaveDecimals(text: String, nanoseconds: UInt64) throws {
    #expect(try Seconds(text).nanoseconds == nanoseconds)
  }

  @Test(arguments: ["", "x", "-1", "1e9", "nan", "1,5", "0x10", "99999999999"])
  func whatIsNoTimeIsRefused(text: String) { #expect(throws: (any Error).self) { try Seconds(text) } }
}
