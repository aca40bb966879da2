// Starting and ending DPDK's environment, with its chatter kept off the terminal: EAL explains a failure in
// five lines and a page of usage, this program in one.
import CDPDK
import Glibc

/// DPDK's environment: started once per process, ended by `stop`.
struct EAL: ~Copyable {
  /// What EAL and the drivers said while they started: the reason for a port that is missing is in here.
  let startLog: String
  /// The arguments that EAL got, without the program's name.
  let arguments: [String]
  private let hugepages: HugepageFiles

  /// Starts EAL with `arguments`, quietly unless the user chose a log level.
  ///
  /// - Throws: one line on what is wrong and what to do.
  init(_ arguments: [String]) throws(Failure) {
    self.arguments = arguments
    hugepages = HugepageFiles(arguments: EALArguments(arguments), mounts: Machine.current.hugetlbfsMounts)
    // EAL keeps pointers into its argument vector: the copies are never freed.
    var vector = (["martlet"] + arguments).map { strdup($0) }
    vector.append(nil)
    let count = Int32(arguments.count + 1)
    var status: Int32 = 0
    var errorNumber: Int32 = 0
    martlet_note_cpus()
    let start = {
      status = rte_eal_init(count, &vector)
      errorNumber = martlet_errno()
    }
    if EALArguments(arguments).wantsOutput {
      start()
      startLog = ""
    } else {
      startLog = OutputCapture.during(start)
    }
    guard status >= 0 else {
      let machine = Machine.current
      RuntimeFiles()?.remove()
      hugepages.remove()
      throw EALDiagnosis(log: startLog, arguments: arguments, machine: machine).failure(
        errorNumber: errorNumber)
    }
    // EAL stops at the first word that is not an option and leaves the rest to the application.
    if status < count - 1 {
      let stray = arguments[Int(status)]
      stop()
      throw .usage("'\(stray)' before '--' is not an EAL option: Martlet's own options go behind the '--'")
    }
    for line in startLog.split(whereSeparator: \.isNewline) { logger.debug("\(String(line))") }
    Self.allowCaptures()
  }

  /// Lets dpdk-dumpcap and dpdk-pdump attach; without multi-process support they cannot, and nothing is lost.
  private static func allowCaptures() {
    if rte_pdump_init() != 0 {
      logger.debug("dpdk-dumpcap cannot attach: \(String(cString: martlet_error_text(martlet_errno())))")
    }
  }

  /// Lets the user as whom the process goes on give the hugepages back at the end.
  func giveHugepagesAway() { hugepages.giveAway() }

  /// Gives hugepages and run-time files back. Ports must be closed.
  func stop() {
    rte_pdump_uninit()
    let primary = rte_eal_process_type() == RTE_PROC_PRIMARY
    let files = RuntimeFiles()
    _ = OutputCapture.during { rte_eal_cleanup() }
    guard primary else { return }
    hugepages.remove()
    files?.remove()
  }
}

/// The EAL arguments that change what Martlet itself does.
struct EALArguments {
  /// EAL's arguments without the program's name.
  let arguments: [String]

  init(_ arguments: [String]) { self.arguments = arguments }

  /// Whether the user asked EAL for output, so that it must not be captured.
  var wantsOutput: Bool {
    arguments.contains {
      $0 == "-h" || $0 == "--help" || $0 == "-v" || $0.hasPrefix("--log-level") || $0.hasPrefix("--trace")
    }
  }

  /// The PCI addresses of every `-a`/`--allow`, with the domain put in front where it was left out.
  var allowedDevices: [String] { values(short: "-a", long: "--allow").compactMap(Self.pciAddress) }

  /// The name of every `--vdev`.
  var virtualDevices: [String] {
    values(short: nil, long: "--vdev").map { String($0.prefix { $0 != "," }) }
  }

  /// The captures that virtual devices replay: they are inputs.
  var replayedCaptures: [String] {
    values(short: nil, long: "--vdev").flatMap { device in
      device.split(separator: ",").compactMap { part in
        part.hasPrefix("rx_pcap=") ? String(part.dropFirst(8)) : nil
      }
    }
  }

  /// `--file-prefix`, which keeps several DPDK programs apart.
  var filePrefix: String? { values(short: nil, long: "--file-prefix").last }

  /// `--huge-dir`, the only hugetlbfs to use.
  var hugeDirectory: String? { values(short: nil, long: "--huge-dir").last }

  /// EAL's option for so many workers: a CPU for each lcore where there are enough, else one for each worker, since its times
  /// are those of its polls, while control and export share the first; else workers share, too.
  static func lcores(workers: Int, exporters: Int = 1, cpus: [UInt32]) -> String {
    let cpus = cpus.isEmpty ? [0] : cpus
    let others = 1 + exporters
    if cpus.count >= workers + others {
      let chosen = cpus.prefix(workers + others)
      let isRun = zip(chosen, chosen.dropFirst()).allSatisfy { $0 + 1 == $1 }
      return isRun
        ? "-l \(chosen[0])-\(chosen[workers + others - 1])"
        : "-l " + chosen.map(String.init).joined(separator: ",")
    }
    let map = (0..<workers + others).map {
      "\($0)@\(cpus[$0 < others ? 0 : ($0 - others + 1) % cpus.count])"
    }
    return "--lcores '\(map.joined(separator: ","))'"
  }

  /// The values of an option in its forms `-aX`, `-a X`, `--allow X`, `--allow=X`.
  private func values(short: String?, long: String) -> [String] {
    var values: [String] = []
    for (index, argument) in arguments.enumerated() {
      if argument == short || argument == long {
        if index + 1 < arguments.count { values.append(arguments[index + 1]) }
      } else if argument.hasPrefix(long + "=") {
        values.append(String(argument.dropFirst(long.count + 1)))
      } else if let short, argument.hasPrefix(short), !argument.hasPrefix("--") {
        values.append(String(argument.dropFirst(short.count)))
      }
    }
    return values
  }

  /// "03:00.0,opt=1" and "pci:0000:03:00.0" as "0000:03:00.0"; nil for names that are not PCI addresses.
  private static func pciAddress(_ text: String) -> String? {
    var name = text.prefix { $0 != "," }
    if name.hasPrefix("pci:") { name = name.dropFirst(4) }
    let colons = name.count { $0 == ":" }
    guard name.contains("."), colons == 1 || colons == 2,
      name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." })
    else { return nil }
    return (colons == 1 ? "0000:" + name : String(name)).lowercased()
  }
}
