// What the machine has that EAL's errors do not mention: reserved hugepages, their mount, CPUs, NICs and who
// drives them.
import Glibc

/// The parts of the machine's state that explain why EAL or a port did not start.
struct Machine {
  /// Hugepages of all sizes that are reserved.
  var hugepages = 0
  /// Of these, the free ones.
  var freeHugepages = 0
  /// Whether a hugetlbfs is mounted.
  var hugetlbfsMounted = false
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
    var isKernelNIC: Bool { classNumber >> 16 == 2 && driver.map { !Self.usableDrivers.contains($0) } ?? false }
  }

  /// The machine this runs on.
  static var current: Machine {
    var machine = Machine()
    for size in directory("/sys/kernel/mm/hugepages") {
      machine.hugepages += number("/sys/kernel/mm/hugepages/\(size)/nr_hugepages")
      machine.freeHugepages += number("/sys/kernel/mm/hugepages/\(size)/free_hugepages")
    }
    machine.hugetlbfsMounted = text("/proc/mounts").split(separator: "\n").contains {
      $0.split(separator: " ").dropFirst(2).first == "hugetlbfs"
    }
    machine.isRoot = geteuid() == 0
    machine.cpus = text("/sys/devices/system/cpu/online")
    for address in directory("/sys/bus/pci/devices") {
      let path = "/sys/bus/pci/devices/\(address)"
      let number = UInt32(text(path + "/class").dropFirst(2), radix: 16) ?? 0
      machine.pciDevices[address] = PCIDevice(driver: linkTarget(path + "/driver"), classNumber: number)
    }
    return machine
  }

  private static func directory(_ path: String) -> [String] {
    guard let handle = opendir(path) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  private static func number(_ path: String) -> Int { Int(text(path)) ?? 0 }

  /// A small file's text without the newline at its end; "" where it cannot be read.
  private static func text(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    return text.hasSuffix("\n") ? String(text.dropLast()) : text
  }

  /// The last component of what a symbolic link names.
  private static func linkTarget(_ path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
    guard count > 0 else { return nil }
    return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "/").last.map(String.init)
  }
}
