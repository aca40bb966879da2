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

    /// Drivers that DPDK works through: VFIO, the UIO ones, and the kernel drivers that mlx PMDs share.
    static let usableDrivers: Set<String> = [
      "vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core", "mana",
    ]

    /// Whether it is a NIC in the kernel's hands.
    var isKernelNIC: Bool {
      classNumber >> 16 == 2 && driver.map { !Self.usableDrivers.contains($0) } ?? false
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
    for address in SystemFiles.names(in: "/sys/bus/pci/devices") {
      let path = "/sys/bus/pci/devices/\(address)"
      let number = UInt32(SystemFiles.text(path + "/class").dropFirst(2), radix: 16) ?? 0
      machine.pciDevices[address] = PCIDevice(
        driver: SystemFiles.linkTarget(path + "/driver"), classNumber: number)
    }
    return machine
  }
}
