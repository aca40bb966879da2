// The lines that DPDK 22.11 printed when each mistake was made on purpose, and the one line made of them.
import Testing

@testable import ExporterApp

@Suite struct EALDiagnosisTests {
  /// A machine like the one where the logs were made.
  var machine: Machine {
    var machine = Machine()
    machine.cpus = "0-1"
    machine.isRoot = true
    machine.pciDevices = ["0000:00:03.0": .init(driver: "virtio-pci", classNumber: 0x020000)]
    return machine
  }

  func failure(_ log: String, _ machine: Machine? = nil, arguments: [String] = []) -> Failure {
    EALDiagnosis(log: log, arguments: arguments, machine: machine ?? self.machine).failure(errorNumber: 1)
  }

  @Test(arguments: [
    "EAL: lcore 2 unavailable\nEAL: lcore 3 unavailable\nEAL: invalid core list, please check",
    "EAL: core 2 unavailable\nEAL: invalid parameter for --lcores",
  ])
  func anUnknownLcoreIsNamedWithTheCPUs(log: String) {
    let failure = failure(log)
    #expect(failure.status == 64)
    #expect(failure.description.hasPrefix("lcore 2 has no CPU here (CPUs: 0-1)"))
  }

  @Test(arguments: [
    ("martlet: unrecognized option '--bogus'", "--bogus"), ("martlet: invalid option -- 'Z'", "-Z"),
    ("martlet: option requires an argument -- 'l'", "-l"),
    ("EAL: Option --legacy-mem is not compatible with --in-memory", "--in-memory"),
    ("EAL: invalid core list syntax", "-l 0-3"),
  ])
  func wrongOptionsAreUsageFailures(log: String, named: String) {
    let failure = failure(log)
    #expect(failure.status == 64)
    #expect(failure.description.contains(named))
  }

  @Test func missingHugepagesNameTheScript() {
    let log = "EAL: FATAL: Cannot get hugepage information.\nEAL: Cannot get hugepage information."
    #expect(failure(log).description.contains("./hugepages-setup.sh --pages 512"))
    #expect(failure(log).status == 1)
    var reserved = machine
    reserved.hugepages = 512
    let unmounted =
      "EAL: 512 hugepages of size 2097152 reserved, but no mounted hugetlbfs found for that size\n" + log
    #expect(failure(unmounted, reserved).description.contains("no hugetlbfs is mounted"))
    #expect(
      failure(unmounted, reserved, arguments: ["--huge-dir", "/x"]).description.hasPrefix(
        "--huge-dir /x is not"))
    #expect(failure(log, reserved).description.hasPrefix("all 512 hugepages are in use"))
  }

  @Test func hugepagesOfRootAreAPermissionFailureForOthers() {
    var user = machine
    user.hugepages = 512
    user.isRoot = false
    let log = """
      EAL: get_seg_fd(): open '/dev/hugepages/wtumap_0' failed: Permission denied
      EAL: Couldn't get fd on hugepage file
      EAL: error allocating rte services array
      EAL: FATAL: rte_service_init() failed
      """
    #expect(failure(log, user).description.hasPrefix("no permission to use the hugepages"))
  }

  @Test func aSecondPrimaryProcessIsToldAboutPrefixes() {
    let log = "EAL: Cannot create lock on '/var/run/dpdk/rte/config'. Is another primary process running?"
    #expect(failure(log).description.contains("--file-prefix"))
  }

  @Test func driversReasonsAreQuoted() {
    let log = """
      open_single_rx_pcap(): Couldn't open /x.pcap: /x.pcap: No such file or directory
      vdev_probe(): failed to initialize net_pcap0 device
      EAL: Bus (vdev) probe failed.
      """
    let diagnosis = EALDiagnosis(log: log, arguments: ["--vdev=net_pcap0,rx_pcap=/x.pcap"], machine: machine)
    #expect(
      diagnosis.noPort.description
        == "the virtual device net_pcap0 did not start: Couldn't open /x.pcap: /x.pcap: No such file or directory"
    )
    #expect(failure("EAL: failed to parse device \"net_bogus0\"").description.contains("net_bogus0"))
  }

  @Test(arguments: [["-a", "0000:00:03.0"], ["-a00:03.0"], ["--allow=0000:00:03.0,opt=1"]])
  func aNICOfTheKernelNamesTheBindCommand(arguments: [String]) {
    let diagnosis = EALDiagnosis(log: "", arguments: arguments, machine: machine)
    #expect(diagnosis.noPort.description.contains("dpdk-devbind.py --bind=vfio-pci 0000:00:03.0"))
    #expect(diagnosis.missingDevice != nil)
  }

  @Test(arguments: [[], ["-a", "0000:00:03.0"]])
  func aNICThatIsInUseStaysTheKernels(arguments: [String]) {
    var inUse = machine
    inUse.pciDevices["0000:00:03.0"]?.interfaces = ["eth0"]
    inUse.pciDevices["0000:00:03.0"]?.interfacesInUse = ["eth0"]
    let text = EALDiagnosis(log: "", arguments: arguments, machine: inUse).noPort.description
    #expect(text.contains("in use") && text.contains("eth0"))
    #expect(!text.contains("--bind"))
    // Another NIC that nobody needs is the one to bind.
    inUse.pciDevices["0000:00:04.0"] = .init(driver: "virtio-pci", classNumber: 0x020000)
    if arguments.isEmpty {
      let other = EALDiagnosis(log: "", arguments: [], machine: inUse).noPort.description
      #expect(other.contains("--bind=vfio-pci 0000:00:04.0"))
    }
  }

  /// procfs as Linux 6.1 shows it: eth0 has a route, eth1 an IPv6 address, eth2 only what every interface has.
  @Test func interfacesWithRoutesOrAddressesAreInUse() {
    let interfaces = NetworkInterfaces(
      routes: """
        Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
        eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
        """,
      routes6: """
        fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth2
        ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth2
        """,
      addresses6: """
        20010db8000000000000000000000001 03 40 00 80     eth1
        fe800000000000000000000000000001 04 40 20 80     eth2
        """)
    #expect(interfaces.inUse == ["eth0", "eth1"])
  }

  @Test func portsAreAskedForWhenNobodyNamedOne() {
    let nothing = EALDiagnosis(log: "", arguments: ["--no-pci"], machine: machine).noPort
    #expect(nothing.description.contains("--vdev=net_pcap0"))
    let kernel = EALDiagnosis(log: "", arguments: [], machine: machine).noPort
    #expect(kernel.description.contains("--bind=vfio-pci 0000:00:03.0"))
    let absent = EALDiagnosis(log: "", arguments: ["-a", "99:00.0"], machine: machine).noPort
    #expect(absent.description.contains("no PCI device 0000:99:00.0"))
  }

  @Test func whatNoRuleKnowsIsQuoted() {
    #expect(failure("EAL: Something else went wrong").description.contains("Something else went wrong"))
    #expect(failure("").description.contains("Operation not permitted"))
  }
}
