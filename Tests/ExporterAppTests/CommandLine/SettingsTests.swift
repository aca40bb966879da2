// Settings files: YAML's events, names and lines, and the words of a command line that they become.
import Testing

@testable import ExporterApp

@Suite struct SettingsDocumentTests {
  private func document(_ text: String) throws -> SettingsDocument { try SettingsDocument(Array(text.utf8)) }

  @Test func namesHaveLinesAndValues() throws {
    let settings = try document("# one\nflows: 10\n\nexport:\n  - json:-\n  - 'csv:a b'\n").settings
    #expect(
      settings == [
        Setting(
          name: "flows", line: 2, content: .one(SettingsValue(text: "10", line: 2, style: .plain))),
        Setting(
          name: "export", line: 4,
          content: .list([
            SettingsValue(text: "json:-", line: 5, style: .plain),
            SettingsValue(text: "csv:a b", line: 6, style: .quoted),
          ])),
      ])
  }

  @Test(arguments: ["", "\n# nothing\n", "---\n", "{}"])
  func nothingIsNoMistake(text: String) throws {
    let document = try document(text)
    #expect(document.settings.isEmpty && document.problems.isEmpty)
  }

  /// What grows when it is read, or nests, ends where it begins.
  @Test(arguments: [
    ("a: &x 1\n", 1), ("a: 1\nb: *x\n", 2), ("a: !!str 1\n", 1), ("a:\n  b: 1\n", 2), ("a: [[1]]\n", 1),
    ("? [a]\n: 1\n", 1), ("a: 1\n---\nb: 2\n", 2), ("a: 1\n b: 2\n", 2),
  ])
  func whatIsRefusedHasItsLine(text: String, line: Int) {
    let problem = #expect(throws: SettingsProblem.self) { try document(text) }
    #expect(problem?.line == line)
  }

  @Test func whatIsThereTwiceIsSaidAndReadPast() throws {
    let document = try document("a: 1\nb: 2\na: 3\nc: 4\n")
    #expect(document.settings.map(\.name) == ["a", "b", "c"])
    #expect(document.problems.map(\.line) == [3])
  }
}

@Suite struct OptionTableTests {
  private let table = EffectiveCommand.table

  @Test func declarationsAreTheCommandLines() throws {
    let names = table.options.map(\.name)
    #expect(names.contains("export") && names.contains("uniflow") && names.contains("help"))
    #expect(try #require(table["plugin"]).name == "plugins")
    #expect(try #require(table["uniflow"]).isFlag)
    #expect(try #require(table["export"]).isRepeating && !(try #require(table["flows"]).isRepeating))
    #expect(try #require(table["clock"]).choices == ["auto", "device", "tsc"])
    #expect(table.settable.allSatisfy { !$0.name.hasPrefix("list-") && $0.name != "settings" })
  }

  @Test func wordsAreTakenApart() {
    let values = table.values(in: [
      "--export", "json:-", "--flows=100", "--flows", "200", "--uniflow", "--plugin", "tls", "--pcap", "a",
      "b",
      "--plugins=pstats", "c", "-i", "eth0",
    ])
    #expect(
      values == [
        "export": ["json:-"], "flows": ["200"], "uniflow": [], "plugins": ["tls", "pstats"],
        "pcap": ["a", "b", "c"], "interface": ["eth0"],
      ])
  }

  @Test(
    arguments: [
      ("exprot", "export"), ("flow", "flows"), ("active", "active-timeout"), ("Odid", "odid"),
      ("xyzzyxyzzy", nil),
    ] as [(String, String?)])
  func aNearNameIsFound(typed: String, meant: String?) {
    #expect(OptionTable.nearest(typed, among: table.settable.flatMap(\.names)) == meant)
  }
}

@Suite struct EALSettingsTests {
  /// Words that are no options and follow none that takes a value.
  @Test(
    arguments: [
      (
        [
          "-l", "0-3", "--no-huge", "-m", "512", "--vdev", "net_null0", "-a0000:00:03.0", "-v",
          "--of-another-dpdk", "x",
        ], []
      ),
      (["a", "b"], [1, 2]), (["-l", "0-3", "x"], [3]), (["-l0-3", "x"], [2]), (["--vdev=a", "b"], [2]),
      (["--no-huge", "512"], [2]), (["-l", "0", "-", "--no-pci"], [3]),
    ] as [([String], [Int])])
  func wordsOfNoOptionAreNamed(words: [String], wrong: [Int]) {
    var problems: [SettingsProblem] = []
    let values = words.enumerated().map { SettingsValue(text: $1, line: $0 + 1, style: .plain) }
    #expect(EALSettings(.list(values), line: 1, problems: &problems).words == words)
    #expect(problems.map(\.line) == wrong)
  }

  @Test func whoSaysTheSameReplaces() {
    let file = EALSettings(["-l", "0-3", "--no-huge", "-m", "512", "--vdev=net_null0"])
    #expect(
      file.overridden(by: EALSettings(["--lcores=0@0", "--socket-mem", "64"])).words == [
        "--no-huge", "--vdev=net_null0", "--lcores=0@0", "--socket-mem", "64",
      ])
    #expect(file.withoutDevices.words == ["-l", "0-3", "--no-huge", "-m", "512"])
    #expect(
      EALSettings(["--no-pci", "--vdev=a"]).under(EALSettings(["-a", "0000:00:03.0", "--vdev=b"])).words == [
        "-a", "0000:00:03.0", "--vdev=b", "--vdev=a",
      ])
  }
}

@Suite struct SettingsTextTests {
  /// What is printed is read as what it was, whatever is in it; by libyaml.
  @Test(arguments: [
    "a\tb", "a\nb", " a ", "\r\n", "\u{1}\u{7F}\u{80}\u{85}\u{9F}",
    "\u{2028}\u{2029}\u{FEFF}\u{FFFE}\u{1F600}", "|", ">", "'", "\\x09",
  ])
  func whatIsPrintedIsReadAgain(text: String) throws {
    let document = try SettingsDocument(Array("filter: \(SettingsText.scalar(text))\n".utf8))
    guard case .one(let value)? = document.settings.first?.content else {
      Issue.record("no value")
      return
    }
    #expect(value.text == text && !value.hasStrayControl)
  }

  /// A line end that nobody wrote on purpose, and a NUL, which no word has.
  @Test(arguments: ["filter: |\n  tcp\n", "filter: \"a\\0b\"\n"])
  func whatNobodyMeansIsFound(text: String) throws {
    let document = try SettingsDocument(Array(text.utf8))
    guard case .one(let value)? = document.settings.first?.content else {
      Issue.record("no value")
      return
    }
    #expect(value.hasStrayControl)
  }

  /// By YAML 1.2: what is plain, what has to be quoted.
  @Test(arguments: [
    ("json:-", "json:-"), ("(0,0,2),(0,1,2)", "(0,0,2),(0,1,2)"), ("0.5", "0.5"), ("", "\"\""),
    ("a b", "\"a b\""),
    ("true", "\"true\""), ("-l", "\"-l\""), ("x:", "\"x:\""), ("#x", "\"#x\""), ("a\"\\", "\"a\\\"\\\\\""),
    ("null", "\"null\""), ("*a", "\"*a\""), ("ü", "\"ü\""), ("a\tb\nc", "\"a\\x09b\\x0ac\""),
    ("\u{85}\u{2028}\u{FEFF}", "\"\\x85\\u2028\\ufeff\""),
  ])
  func valuesAreQuotedWhereTheyMust(text: String, written: String) {
    #expect(SettingsText.scalar(text) == written)
  }
}

@Suite struct InterfaceArgumentsTests {
  private let packets = KernelInterface(name: "eth0", takesPackets: false)

  @Test func aMachineWithCPUsGivesEachItsOwn() {
    let chosen = InterfaceArguments([packets], exporters: 1, cpus: [0, 1, 2, 3], hugepages: 0)
    #expect(chosen.words.starts(with: ["-l", "0-2", "--no-pci"]) && chosen.words.contains("--no-huge"))
    #expect(chosen.words.last?.hasPrefix("--vdev=net_af_packet0,iface=eth0,") == true)
    #expect(chosen.config == nil)
    let huge = InterfaceArguments([packets], exporters: 1, cpus: [0, 1, 2, 3], hugepages: 4096)
    #expect(!huge.words.contains("--no-huge"))
  }

  @Test func aSmallOneLetsAWorkerPollAll() throws {
    let other = KernelInterface(name: "eth1", takesPackets: false)
    let chosen = InterfaceArguments([packets, other], exporters: 1, cpus: [0, 1], hugepages: 0)
    #expect(chosen.words.first == "--lcores")
    #expect(chosen.words[1] == "0@0,1@0,2@1")
    #expect(chosen.config == "(0,0,2),(1,0,2)")
    _ = try QueueMap(try #require(chosen.config))
  }
}
