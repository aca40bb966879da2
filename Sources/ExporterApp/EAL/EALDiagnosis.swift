// From EAL's log to one line that says what to do. Which lines mean what is in `EALMessages`, by release of DPDK; a log of
// which no line is known is quoted.

/// Explains why EAL did not start, or why it started without a port.
struct EALDiagnosis {
  /// What EAL and the drivers printed.
  private let log: EALLog
  /// EAL's arguments without the program's name.
  let arguments: [String]
  /// The machine's state.
  let machine: Machine

  /// The log as `release` of DPDK printed it.
  init(log: String, arguments: [String], machine: Machine, release: DPDKRelease = .current) {
    self.log = EALLog(log, release: release)
    self.arguments = arguments
    self.machine = machine
  }

  /// EAL failed with rte_errno `errorNumber`.
  func failure(errorNumber: Int32) -> Failure {
    lcoreFailure ?? argumentFailure ?? memoryFailure ?? permissionFailure ?? deviceFailure
      ?? .general(
        "EAL did not start: \(log.lastWords ?? errorText(errorNumber)); see all it says with --log-level=8")
  }

  /// EAL started, but no port is there.
  var noPort: Failure {
    deviceFailure ?? kernelBoundFailure
      ?? .general(
        "no port: name a NIC with -a ADDR (see dpdk-devbind.py --status) or a virtual device with "
          + "--vdev=net_pcap0,rx_pcap=FILE")
  }

  /// A requested NIC that did not become a port although others did.
  var missingDevice: String? { kernelBoundFailure.map(\.description) }

  // The rules, each nil when it does not apply.

  private var lcoreFailure: Failure? {
    if let found = log.first(.lcoreUnavailable) {
      return .usage(
        "lcore \(found.text) has no CPU here (CPUs: \(machine.cpus)): choose lcores from these, as in "
          + "\(EALArguments.lcores(workers: 1, cpus: Machine.numbers(machine.cpus)))")
    }
    guard log.has(.lcoreListUnreadable) else { return nil }
    return .usage("EAL cannot read the lcore list: give -l 0-3 or --lcores '0@0,1@0,2@1'")
  }

  private var argumentFailure: Failure? {
    guard
      let found = log.first(
        .optionUnknown, .letterUnknown, .valueMissing, .valueOfLetterMissing, .lcoresGivenTwice,
        .optionsRefused)
    else { return nil }
    switch found.trouble {
    case .optionUnknown:
      return .usage("EAL has no option \(found.text): Martlet's own options go behind the '--'")
    case .letterUnknown:
      return .usage("EAL has no option -\(found.text): Martlet's own options go behind the '--'")
    case .valueMissing: return .usage("EAL's option \(found.text) needs a value")
    case .valueOfLetterMissing: return .usage("EAL's option -\(found.text) needs a value")
    case .lcoresGivenTwice: return .usage("EAL takes only one of its lists of lcores: \(found.line)")
    default: return .usage("EAL refuses its options: \(found.line)")
    }
  }

  private var memoryFailure: Failure? {
    if log.has(.noHugepages) {
      if machine.hugepages == 0 {
        return .general(
          "no hugepages are reserved: run 'sudo ./hugepages-setup.sh --pages 512', or start with --no-huge -m 512"
        )
      }
      if let directory = EALArguments(arguments).hugeDirectory, !machine.hugetlbfsMounts.contains(directory) {
        return .general(
          "--huge-dir \(directory) is not a mounted hugetlbfs: "
            + (machine.hugetlbfsMounts.isEmpty
              ? "run 'sudo ./hugepages-setup.sh --pages \(machine.hugepages)', which mounts one"
              : "leave it out, or give \(machine.hugetlbfsMounts.joined(separator: " or "))"))
      }
      if log.has(.hugetlbfsNotMounted) {
        return .general(
          "\(machine.hugepages) hugepages are reserved, but no hugetlbfs is mounted: run "
            + "'sudo ./hugepages-setup.sh --pages \(machine.hugepages)', or start with --in-memory")
      }
      return .general(
        "all \(machine.hugepages) hugepages are in use: run "
          + "'sudo ./hugepages-setup.sh --pages \(machine.hugepages + 512)', or start with --no-huge -m 512")
    }
    if !log.has(.permissionDenied), log.has(.memoryShort) {
      return .general(
        "too little memory for EAL (\(machine.freeHugepages) hugepages free): lower -m, or run "
          + "'sudo ./hugepages-setup.sh --pages N' with a larger N")
    }
    return nil
  }

  private var permissionFailure: Failure? {
    if log.has(.prefixTaken) {
      return .general(
        "another DPDK program runs with the same file prefix: give this one its own, as --file-prefix=martlet2"
      )
    }
    guard let found = log.first(.permissionDenied, .notPermitted) else { return nil }
    if !machine.isRoot, log.lines.contains(where: { $0.contains("hugepage") }) {
      return .general(
        "no permission to use the hugepages: run as root, or as this user without hugepages with "
          + "--no-huge --no-shconf --no-telemetry --no-pci -m 512")
    }
    return .general(
      "no permission (\(found.line)): run as root" + (machine.isRoot ? " with CAP_SYS_ADMIN" : ""))
  }

  /// A device that its driver could not open: the driver's own line is the best there is.
  private var deviceFailure: Failure? {
    guard let found = log.first(.driverUnknown, .deviceFailed) else { return nil }
    let name = found.text
    if found.trouble == .driverUnknown {
      return .general(
        "no driver for the virtual device \(name): it is one of net_pcap, net_af_packet, net_tap, net_ring, "
          + "net_null, net_memif, … with a number, as --vdev=net_pcap0,rx_pcap=FILE")
    }
    let reason =
      found.index > 0 ? log.lines[found.index - 1].withoutFunction : "its driver gave no reason"
    // These two open sockets that an ordinary user may not; their drivers do not say so.
    let isPrivileged = name.hasPrefix("net_af_packet") || name.hasPrefix("net_tap")
    if !machine.isRoot, isPrivileged || reason.contains("not permitted") || reason.contains("denied") {
      return .general("no permission for the virtual device \(name) (\(reason)): run as root")
    }
    return .general("the virtual device \(name) did not start: \(reason)")
  }

  /// A NIC asked for with `-a` that is absent or the kernel's; without `-a` any NIC of the kernel.
  private var kernelBoundFailure: Failure? {
    let eal = EALArguments(arguments)
    for address in eal.allowedDevices {
      guard let device = machine.pciDevices[address] else {
        return .general("there is no PCI device \(address): see dpdk-devbind.py --status")
      }
      if device.isKernelNIC, let inUse = Self.inUse(address, device) { return .general(inUse) }
      if let driver = device.driver, !Machine.PCIDevice.usableDrivers.contains(driver) {
        return .general(
          "NIC \(address) is bound to the kernel driver \(driver): run "
            + "'sudo dpdk-devbind.py --bind=vfio-pci \(address)'")
      }
      if device.driver == nil {
        return .general(
          "NIC \(address) is bound to no driver: run 'sudo dpdk-devbind.py --bind=vfio-pci \(address)'")
      }
    }
    let isAsking = eal.allowedDevices.isEmpty && eal.virtualDevices.isEmpty
    guard isAsking, !arguments.contains("--no-pci") else { return nil }
    let nics = machine.pciDevices.filter(\.value.isKernelNIC).sorted { $0.key < $1.key }
    guard let (address, device) = nics.first(where: { $0.value.interfacesInUse.isEmpty }) ?? nics.first,
      let driver = device.driver
    else { return nil }
    if let inUse = Self.inUse(address, device) { return .general("no port: \(inUse)") }
    return .general(
      "no port: NIC \(address) is bound to the kernel driver \(driver) (run "
        + "'sudo dpdk-devbind.py --bind=vfio-pci \(address)'), or name a virtual device with --vdev")
  }

  /// What to say about a NIC that must stay the kernel's; nil for others.
  private static func inUse(_ address: String, _ device: Machine.PCIDevice) -> String? {
    guard let name = device.interfacesInUse.first else { return nil }
    return
      "NIC \(address) is in use by this machine as \(device.interfacesInUse.joined(separator: ", ")) (addresses or routes): "
      + "leave it to the kernel and name another one with -a, or watch it with --vdev=net_af_packet0,iface=\(name)"
  }
}

extension Substring {
  /// The line without a driver's "function(): " in front.
  fileprivate var withoutFunction: Substring { firstRange(of: "(): ").map { self[$0.upperBound...] } ?? self }
}
