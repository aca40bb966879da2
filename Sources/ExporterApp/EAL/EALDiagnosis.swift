// From EAL's log to one line that says what to do. Each rule was written against what DPDK 22.11 printed when
// the mistake was made on purpose; a log that no rule knows is quoted.

/// Explains why EAL did not start, or why it started without a port.
struct EALDiagnosis {
  /// What EAL and the drivers printed.
  let log: String
  /// EAL's arguments without the program's name.
  let arguments: [String]
  /// The machine's state.
  let machine: Machine

  /// EAL failed with rte_errno `errorNumber`.
  func failure(errorNumber: Int32) -> Failure {
    lcoreFailure ?? argumentFailure ?? memoryFailure ?? permissionFailure ?? deviceFailure
      ?? .general(
        "EAL did not start: \(lastWords ?? errorText(errorNumber)); see all it says with --log-level=8")
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
    for line in lines {
      guard line.hasSuffix("unavailable"), line.hasPrefix("lcore ") || line.hasPrefix("core ") else {
        continue
      }
      let number = line.split(separator: " ")[1]
      return .usage(
        "lcore \(number) has no CPU here (CPUs: \(machine.cpus)): choose lcores from these, as in "
          + "\(EALArguments.lcores(workers: 1, cpus: Machine.numbers(machine.cpus)))")
    }
    if has("invalid core list") || has("invalid coremask") || has("invalid parameter for --lcores") {
      return .usage("EAL cannot read the lcore list: give -l 0-3 or --lcores '0@0,1@0,2@1'")
    }
    return nil
  }

  private var argumentFailure: Failure? {
    for line in lines {
      if let option = line.quoted(after: "unrecognized option ") {
        return .usage("EAL has no option \(option): Martlet's own options go behind the '--'")
      }
      if let option = line.quoted(after: "invalid option -- ") {
        return .usage("EAL has no option -\(option): Martlet's own options go behind the '--'")
      }
      if let option = line.quoted(after: "requires an argument -- ") {
        return .usage("EAL's option -\(option) needs a value")
      }
      if line.contains(" requires an argument"), let option = line.quoted(after: "option ") {
        return .usage("EAL's option \(option) needs a value")
      }
      if line.hasPrefix("Option "), line.contains(" is ignored, because ") {
        return .usage("EAL takes only one of its lists of lcores: \(line)")
      }
      if line.contains("is not compatible with") || line.contains("cannot be specified together")
        || line.contains("cannot be used together") || line.hasPrefix("invalid parameter")
        || line.hasPrefix("invalid ")
      {
        return .usage("EAL refuses its options: \(line)")
      }
    }
    return nil
  }

  private var memoryFailure: Failure? {
    if has("Cannot get hugepage information") {
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
      if has("no mounted hugetlbfs") {
        return .general(
          "\(machine.hugepages) hugepages are reserved, but no hugetlbfs is mounted: run "
            + "'sudo ./hugepages-setup.sh --pages \(machine.hugepages)', or start with --in-memory")
      }
      return .general(
        "all \(machine.hugepages) hugepages are in use: run "
          + "'sudo ./hugepages-setup.sh --pages \(machine.hugepages + 512)', or start with --no-huge -m 512")
    }
    if !has("Permission denied"),
      has("Not enough memory available") || has("couldn't allocate memory due to")
        || has("Cannot allocate memory")
        || has("Requested:") || has("error allocating rte services array")
    {
      return .general(
        "too little memory for EAL (\(machine.freeHugepages) hugepages free): lower -m, or run "
          + "'sudo ./hugepages-setup.sh --pages N' with a larger N")
    }
    return nil
  }

  private var permissionFailure: Failure? {
    if has("Is another primary process running") || has("Cannot create lock") {
      return .general(
        "another DPDK program runs with the same file prefix: give this one its own, as --file-prefix=martlet2"
      )
    }
    guard has("Permission denied") || has("Operation not permitted") else { return nil }
    if !machine.isRoot, has("hugepage") {
      return .general(
        "no permission to use the hugepages: run as root, or as this user without hugepages with "
          + "--no-huge --no-shconf --no-telemetry --no-pci -m 512")
    }
    let why =
      lines.first { $0.contains("Permission denied") || $0.contains("not permitted") } ?? "no permission"
    return .general("no permission (\(why)): run as root" + (machine.isRoot ? " with CAP_SYS_ADMIN" : ""))
  }

  /// A device that its driver could not open: the driver's own line is the best there is.
  private var deviceFailure: Failure? {
    for (index, line) in lines.enumerated() {
      if let name = line.quoted(after: "Unable to parse device ")
        ?? line.quoted(after: "failed to parse device ")
      {
        return .general(
          "no driver for the virtual device \(name): it is one of net_pcap, net_af_packet, net_tap, net_ring, "
            + "net_null, net_memif, … with a number, as --vdev=net_pcap0,rx_pcap=FILE")
      }
      if line.contains("failed to initialize"), let name = line.words(after: "failed to initialize ") {
        let reason = index > 0 ? lines[index - 1].withoutFunction : "its driver gave no reason"
        // These two open sockets that an ordinary user may not; their drivers do not say so.
        let isPrivileged = name.hasPrefix("net_af_packet") || name.hasPrefix("net_tap")
        if !machine.isRoot, isPrivileged || reason.contains("not permitted") || reason.contains("denied") {
          return .general("no permission for the virtual device \(name) (\(reason)): run as root")
        }
        return .general("the virtual device \(name) did not start: \(reason)")
      }
    }
    return nil
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

  /// The log's lines without "EAL: " and the program's name.
  private var lines: [Substring] {
    log.split(whereSeparator: \.isNewline).map { line in
      for prefix in ["EAL: ", "martlet: "] where line.hasPrefix(prefix) {
        return line.dropFirst(prefix.count)
      }
      return line
    }
  }

  private func has(_ text: String) -> Bool { log.contains(text) }

  /// The last line that explains something.
  private var lastWords: String? {
    lines.last { !$0.isEmpty && !$0.hasPrefix("FATAL") && !$0.hasPrefix(" ") }.map(String.init)
  }
}

extension Substring {
  /// What stands in quotes right after `marker`, or nil.
  fileprivate func quoted(after marker: String) -> String? {
    guard let rest = tail(after: marker), let quote = rest.first, quote == "'" || quote == "\"" else {
      return nil
    }
    let inner = rest.dropFirst()
    return inner.firstIndex(of: quote).map { String(inner[..<$0]) }
  }

  /// The word right after `marker`, or nil.
  fileprivate func words(after marker: String) -> String? {
    tail(after: marker).map { String($0.prefix { $0 != " " }) }
  }

  /// The line without a driver's "function(): " in front.
  fileprivate var withoutFunction: Substring { tail(after: "(): ") ?? self }

  private func tail(after marker: String) -> Substring? {
    var rest = self
    while !rest.isEmpty {
      if rest.hasPrefix(marker) { return rest.dropFirst(marker.count) }
      rest = rest.dropFirst()
    }
    return nil
  }
}
