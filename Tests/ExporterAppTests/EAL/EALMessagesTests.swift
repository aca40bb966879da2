// A line for each form of EAL's messages, as the sources of DPDK print it (tags v22.11 to v26.07; DPDK 22.11's also as it
// printed them when the mistake was made), and what is read from it.
import Testing

@testable import ExporterApp

@Suite struct EALMessagesTests {
  static let old = DPDKRelease(year: 22, month: 11)
  static let new = DPDKRelease(year: 25, month: 11)
  static let newest = DPDKRelease(year: 26, month: 7)

  /// A line, the release that prints it, what it means and the text that it names.
  struct Sample: Sendable, CustomStringConvertible {
    let release: DPDKRelease
    let line: String
    let trouble: EALTrouble
    let text: String
    var description: String { line }

    init(_ release: DPDKRelease, _ line: String, _ trouble: EALTrouble, _ text: String = "") {
      self.release = release
      self.line = line
      self.trouble = trouble
      self.text = text
    }
  }

  /// In the order of the table.
  static let samples = [
    Sample(old, "EAL: lcore 2 unavailable", .lcoreUnavailable, "2"),
    Sample(old, "EAL: core 11 unavailable", .lcoreUnavailable, "11"),
    Sample(
      old, "EAL: invalid core list, please check specified cores are part of 0-1", .lcoreListUnreadable),
    Sample(
      new,
      "EAL: invalid coremask or core-list parameter, please check specified cores are part of 0-1",
      .lcoreListUnreadable),
    Sample(old, "EAL: invalid parameter for --lcores", .lcoreListUnreadable),
    Sample(new, "EAL: No valid lcores in core list", .lcoreListUnreadable),
    Sample(old, "martlet: unrecognized option '--bogus'", .optionUnknown, "--bogus"),
    Sample(old, "martlet: invalid option -- 'Z'", .letterUnknown, "Z"),
    Sample(old, "martlet: option requires an argument -- 'l'", .valueOfLetterMissing, "l"),
    Sample(old, "martlet: option '--vdev' requires an argument", .valueMissing, "--vdev"),
    Sample(new, "ARGPARSE: unknown argument --bogus!", .optionUnknown, "--bogus"),
    Sample(new, "ARGPARSE: argument --vdev doesn't have value!", .valueMissing, "--vdev"),
    Sample(old, "EAL: Option -l is ignored, because (-c) is set!", .lcoresGivenTwice),
    Sample(old, "EAL: Option --legacy-mem is not compatible with --in-memory", .optionsRefused),
    Sample(old, "EAL: Options --no-huge and -x cannot be specified together", .optionsRefused),
    Sample(old, "EAL: Options --allow (-a) and --block (-b) cannot be used together", .optionsRefused),
    Sample(
      new, "EAL: Options allow (-a) and block (-b) can't be used at the same time", .optionsRefused),
    Sample(new, "ARGPARSE: argument --memory-size numerical out of range!", .optionsRefused),
    Sample(new, "EAL: invalid log-level parameter", .optionsRefused),
    Sample(old, "EAL: FATAL: Cannot get hugepage information.", .noHugepages),
    Sample(
      old, "EAL: 512 hugepages of size 2097152 reserved, but no mounted hugetlbfs found for that size",
      .hugetlbfsNotMounted),
    Sample(
      old, "EAL: Not enough memory available on socket 0! Requested: 8192MB, available: 512MB", .memoryShort),
    Sample(
      old, "EAL: alloc_seg(): couldn't allocate memory due to IOVA exceeding limits of current DMA mask",
      .memoryShort),
    Sample(old, "EAL: Cannot allocate memory for request", .memoryShort),
    Sample(old, "EAL: Requested: 8192MB, available: 512MB", .memoryShort),
    Sample(old, "EAL: error allocating rte services array", .memoryShort),
    Sample(old, "EAL: Cannot create lock on '/var/run/dpdk/rte/config'.", .prefixTaken),
    Sample(old, "EAL: Is another primary process running?", .prefixTaken),
    Sample(
      old, "EAL: get_seg_fd(): open '/dev/hugepages/map_0' failed: Permission denied", .permissionDenied),
    Sample(old, "EAL: Cannot open /dev/vfio: Operation not permitted", .notPermitted),
    Sample(old, "EAL: Unable to parse device 'net_bogus0'", .driverUnknown, "net_bogus0"),
    Sample(old, "EAL: failed to parse device \"net_bogus0\"", .driverUnknown, "net_bogus0"),
    Sample(new, "VDEV_BUS: vdev_probe(): failed to initialize net_pcap0 device", .deviceFailed, "net_pcap0"),
    Sample(newest, "EAL: Failed to probe device net_pcap0", .deviceFailed, "net_pcap0"),
  ]

  @Test func everyEntryHasItsSample() {
    #expect(EALMessage.all.count == Self.samples.count)
    for (entry, sample) in zip(EALMessage.all, Self.samples) {
      #expect(entry.trouble == sample.trouble && entry.isPrinted(by: sample.release), "\(sample)")
      let line = sample.line.firstRange(of: ": ").map { sample.line[$0.upperBound...] } ?? ""
      #expect(entry.text(in: line).map(String.init) == sample.text, "\(entry.pattern): \(line)")
    }
  }

  @Test(arguments: samples)
  func aLineIsReadAsItsReleaseMeansIt(sample: Sample) {
    let found = EALLog("EAL: Detected CPU lcores: 2\n" + sample.line, release: sample.release)
      .first(sample.trouble)
    #expect(found?.text == sample.text)
    #expect(found?.index == 1)
  }

  @Test func releasesAreReadFromTheirNames() {
    #expect(DPDKRelease("DPDK 22.11.11") == Self.old)
    #expect(DPDKRelease("DPDK 25.11.0-rc1") == Self.new)
    #expect(DPDKRelease.current >= Self.old)
  }

  /// What getopt printed is not looked for where EAL has another parser, and the reverse.
  @Test func releasesAreToldApart() {
    let getopt = "martlet: unrecognized option '--bogus'"
    let argparse = "ARGPARSE: unknown argument --bogus!"
    #expect(EALLog(getopt, release: Self.old).has(.optionUnknown))
    #expect(!EALLog(getopt, release: Self.new).has(.optionUnknown))
    #expect(!EALLog(argparse, release: Self.old).has(.optionUnknown))
    #expect(EALLog(argparse, release: DPDKRelease(year: 30, month: 1)).has(.optionUnknown))
  }

  /// The one line that is made of a newer release's log.
  @Test func newerLogsAreExplained() {
    func failure(_ log: String, _ release: DPDKRelease) -> Failure {
      EALDiagnosis(log: log, arguments: [], machine: Machine(), release: release).failure(errorNumber: 1)
    }
    let unknown = failure("ARGPARSE: unknown argument --bogus!", Self.new)
    #expect(unknown.status == 64 && unknown.description.hasPrefix("EAL has no option --bogus:"))
    let conflict = failure("EAL: Options 'lcores' and 'coremask' can't be used at the same time", Self.new)
    #expect(conflict.status == 64 && conflict.description.contains("'coremask'"))
    let log = """
      PMD: open_single_rx_pcap(): Couldn't open /x.pcap: No such file or directory
      EAL: Failed to probe device net_pcap0
      """
    #expect(
      failure(log, Self.newest).description
        == "the virtual device net_pcap0 did not start: Couldn't open /x.pcap: No such file or directory")
  }
}
