// Messages in each form: lines as RFC 3164, RFC 3339, RFC 8259 and systemd's protocol have them.
import Glibc
import Testing

@testable import ExporterApp

@Suite struct LogMessageTests {
  /// 2026-11-26 13:00:00.123 UTC.
  private let time: UInt64 = 1_795_698_000_123_000_000

  @Test func textIsAsItIsOnATerminal() {
    #expect(LogMessage(level: .info, text: "a").line(.text, nanoseconds: time) == "martlet: a\n")
    #expect(LogMessage(level: .warning, text: "a").line(.text, nanoseconds: time) == "martlet: warning: a\n")
    #expect(LogMessage(level: .error, text: "a").line(.text, nanoseconds: time) == "martlet: a\n")
  }

  /// A name of a file may be a terminal's command (ECMA-48: ESC, BEL, CSI of one octet), or turn the line round.
  @Test func aTerminalIsGivenNoCommands() {
    let text = "a\u{1B}]0;x\u{7}\u{9B}2J\r\u{7F}\u{202E}b\nü"
    #expect(ShownText.cleaned(text) == "a\u{FFFD}]0;x\u{FFFD}\u{FFFD}2J\u{FFFD}\u{FFFD}\u{FFFD}b ü")
    let message = LogMessage(level: .warning, text: text)
    #expect(message.line(.text, nanoseconds: time) == "martlet: warning: \(ShownText.cleaned(text))\n")
    #expect(message.datagram(.syslog, .text, nanoseconds: time).hasSuffix(": \(ShownText.cleaned(text))"))
  }

  @Test func objectsHaveTimeLevelAndMessage() {
    let line = LogMessage(level: .error, text: "a \"b\" \\ c\nd\u{1}ü").line(.json, nanoseconds: time)
    #expect(
      line == #"{"time":"2026-11-26T13:00:00.123Z","level":"error","message":"a \"b\" \\ c\nd\u0001ü"}"#
        + "\n")
  }

  @Test func syslogGetsFacilityAndSeverity() {
    let text = LogMessage(level: .warning, text: "a").datagram(.syslog, .text, nanoseconds: time)
    // Daemon is facility 3, warning severity 4.
    #expect(text.hasPrefix("<28>Nov 2") && text.hasSuffix(" martlet[\(getpid())]: a"))
  }

  @Test func theJournalGetsFields() {
    let message = LogMessage(level: .error, text: "a\nb").datagram(.journald, .text, nanoseconds: time)
    #expect(message == "PRIORITY=3\nSYSLOG_IDENTIFIER=martlet\nMESSAGE=a b\n")
  }

  @Test func theManagerIsTakenFromTheEnvironment() {
    func manager(_ values: [String: String]) -> ServiceManager {
      ServiceManager(environment: { values[$0] }, process: 7)
    }
    #expect(manager([:]).watchdogInterval == nil)
    // Half of ten seconds.
    #expect(manager(["WATCHDOG_USEC": "10000000"]).watchdogInterval == 5_000_000_000)
    #expect(manager(["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"]).watchdogInterval == 5_000_000_000)
    #expect(manager(["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "8"]).watchdogInterval == nil)
    #expect(manager(["WATCHDOG_USEC": "x"]).watchdogInterval == nil)
  }
}
