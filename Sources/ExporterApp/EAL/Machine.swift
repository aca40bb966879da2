// What the machine has that EAL's errors do not mention: reserved hugepages, their mount, CPUs, NICs and who
// drives them.
import Glibc

/// The parts of the machine's state that explain why EAL or a port did not start.
struct Machine {
  /// Hugepages of all sizes that are reserved.
  var hugepages = 0
  /// Of these, the free ones.
  var freeHugepages = 0
  /// Where hugetlbfs is mounted.
  var hugetlbfsMounts: [String] = []
  /// Whether the program runs as root.
  var isRoot = true
  /// The kernel's list of CPUs that are on, as "0-3".
  var cpus = "0"
  /// Every PCI device: address to driver and class.
  var pciDevices: [String: PCIDevice] = [:]

  /// A PCI device as sysfs shows it.
  struct PCIDevice: Equatable {
    /// The bound driver's name, or nil.
    var driver: String?
    /// The class number; 0x02xxxx is a network controller.
    var classNumber: UInt32
    /// The interfaces that the kernel shows for it.
    var interfaces: [String] = []
    /// Those of them through which the machine itself talks: they have addresses or routes, or belong to a bridge, a bond
    /// or a VLAN. Whoever takes such a NIC from the kernel may cut off the session he types in.
    var interfacesInUse: [String] = []

    /// Drivers that DPDK works through: VFIO, the UIO ones, and the kernel drivers that mlx PMDs share.
    static let usableDrivers: Set<String> = [
      "vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core", "mana",
    ]

    /// Whether it is a NIC in the kernel's hands.
    var isKernelNIC: Bool {
      classNumber >> 16 == 2 && driver.map { !Self.usableDrivers.contains($0) } ?? false
    }
  }

  /// The CPUs that are on.
  static var onlineCPUs: [UInt32] { numbers(SystemFiles.text("/sys/devices/system/cpu/online")) }

  /// The numbers in one of the kernel's lists, as "0-3,8"; what is none is passed over.
  static func numbers(_ list: String) -> [UInt32] {
    list.split(separator: ",").flatMap { part -> [UInt32] in
      let ends = part.split(separator: "-").compactMap { UInt32($0.filter(\.isNumber)) }
      guard let first = ends.first, let last = ends.last, first <= last, last < 1 << 16 else { return [] }
      return Array(first...last)
    }
  }

  /// The machine this runs on.
  static var current: Machine {
    var machine = Machine()
    for size in SystemFiles.names(in: "/sys/kernel/mm/hugepages") {
      machine.hugepages += SystemFiles.number("/sys/kernel/mm/hugepages/\(size)/nr_hugepages")
      machine.freeHugepages += SystemFiles.number("/sys/kernel/mm/hugepages/\(size)/free_hugepages")
    }
    machine.hugetlbfsMounts = SystemFiles.text("/proc/mounts").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      return fields.count > 2 && fields[2] == "hugetlbfs" ? String(fields[1]) : nil
    }
    machine.isRoot = geteuid() == 0
    machine.cpus = SystemFiles.text("/sys/devices/system/cpu/online")
    let interfaces = NetworkInterfaces.current
    for address in SystemFiles.names(in: "/sys/bus/pci/devices") {
      let path = "/sys/bus/pci/devices/\(address)"
      let number = UInt32(SystemFiles.text(path + "/class").dropFirst(2), radix: 16) ?? 0
      let names = interfaces.ofDevice[address] ?? []
      machine.pciDevices[address] = PCIDevice(
        driver: SystemFiles.linkTarget(path + "/driver"), classNumber: number, interfaces: names,
        interfacesInUse: names.filter(interfaces.inUse.contains))
    }
    return machine
  }
}

/// The kernel's network interfaces: whose they are, and which are in use.
struct NetworkInterfaces {
  /// Interfaces by the PCI address of their device.
  private(set) var ofDevice: [String: [String]] = [:]
  /// Interfaces that carry the machine's own traffic.
  private(set) var inUse: Set<String> = []

  /// The interfaces now.
  static var current: NetworkInterfaces {
    var interfaces = NetworkInterfaces(
      routes: SystemFiles.text("/proc/net/route"), routes6: SystemFiles.text("/proc/net/ipv6_route"),
      addresses6: SystemFiles.text("/proc/net/if_inet6"))
    interfaces.addAddresses()
    for name in SystemFiles.names(in: "/sys/class/net") {
      let path = "/sys/class/net/\(name)"
      // A member of a bridge or a bond, or what VLANs stand on, has no address of its own.
      let others = SystemFiles.names(in: path)
      if others.contains("master") || others.contains(where: { $0.hasPrefix("upper_") }) {
        interfaces.inUse.insert(name)
      }
      // As /sys/devices/pci0000:00/0000:00:03.0/virtio0: the last address is the device's.
      let device = SystemFiles.canonical(path + "/device")
      let addresses = device.split(separator: "/").filter {
        $0.count == 12 && $0.contains(".") && $0.contains(":")
      }
      if let address = addresses.last { interfaces.ofDevice[String(address), default: []].append(name) }
    }
    return interfaces
  }

  /// What procfs says: `route` names the interface first, `ipv6_route` and `if_inet6` last. Addresses and routes of
  /// link-local scope do not count: every interface that is up has them.
  init(routes: String, routes6: String, addresses6: String) {
    for line in routes.split(separator: "\n").dropFirst() {
      if let name = line.split(whereSeparator: \.isWhitespace).first { inUse.insert(String(name)) }
    }
    for line in routes6.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count >= 10, let name = fields.last, name != "lo" else { continue }
      // fe80::/10 and ff00::/8 are everywhere; addresses of the machine itself lead to `lo` or stand in if_inet6.
      guard !fields[0].hasPrefix("fe8"), !fields[0].hasPrefix("ff") else { continue }
      inUse.insert(String(name))
    }
    for line in addresses6.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count >= 6, let name = fields.last, !fields[0].hasPrefix("fe8") else { continue }
      inUse.insert(String(name))
    }
  }

  /// IPv4 addresses, for which procfs has no file that names the interface.
  private mutating func addAddresses() {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return }
    defer { freeifaddrs(first) }
    var next = first
    while let entry = next?.pointee {
      if let address = entry.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET) {
        inUse.insert(String(cString: entry.ifa_name))
      }
      next = entry.ifa_next
    }
  }
}
