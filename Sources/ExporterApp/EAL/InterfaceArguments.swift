// EAL's options for interfaces of the kernel's, chosen for whoever does not want to: lcores, memory, a virtual device for each.
import Glibc

/// What EAL is started with for some interfaces.
struct InterfaceArguments {
  /// EAL's words.
  let words: [String]
  /// The value of `--config` where a worker polls several ports; nil where each has its own.
  let config: String?

  /// Chooses.
  ///
  /// - Parameters:
  ///   - interfaces: what to watch, at least one.
  ///   - exporters: how many lcores export.
  ///   - cpus: the machine's CPUs.
  ///   - hugepages: how many are free.
  init(_ interfaces: [KernelInterface], exporters: Int, cpus: [UInt32], hugepages: Int) {
    let queues = interfaces.enumerated().flatMap { port, interface in
      (0..<(interface.takesPackets ? interface.queues : 1)).map { "(\(port),\($0)," }
    }
    // A CPU for each worker, as long as there are some left for those that control and export.
    let workers = min(queues.count, max(1, cpus.count - 1 - exporters))
    let lcores = EALArguments.lcores(workers: workers, exporters: exporters, cpus: cpus)
    var words = lcores.filter { $0 != "'" }.split(separator: " ").map(String.init)
    words += ["--no-pci", "--file-prefix=martlet-\(getpid())"]
    if hugepages < Self.hugepages * (1 + workers) {
      words += ["--no-huge", "-m", String(Self.megabytes * (1 + workers))]
    }
    for (number, interface) in interfaces.enumerated() {
      words.append(
        interface.takesPackets
          ? "--vdev=net_af_xdp\(number),iface=\(interface.name),queue_count=\(interface.queues)"
          : "--vdev=net_af_packet\(number),iface=\(interface.name),\(Self.ring)")
    }
    self.words = words
    let polling = Self.workerLcores(lcores, exporters, workers, cpus)
    config =
      queues.count <= polling.count || polling.isEmpty
      ? nil : queues.enumerated().map { "\($1)\(polling[$0 % polling.count]))" }.joined(separator: ",")
  }

  /// Memory for what all share and for each worker: packet buffers and the flow table.
  private static let megabytes = 256
  /// As many hugepages of 2 MB.
  private static let hugepages = 128
  /// The ring between kernel and device: 8 MB, 4096 frames, more than the device's own 512, which a burst fills.
  private static let ring = "blocksz=65536,framesz=2048,framecnt=4096"

  /// The workers' lcores: EAL's option names CPUs, or lcores on CPUs, ascending.
  private static func workerLcores(_ option: String, _ exporters: Int, _ workers: Int, _ cpus: [UInt32])
    -> [UInt32]
  {
    let others = 1 + exporters
    if option.contains("@") { return (0..<workers).map { UInt32(others + $0) } }
    return Array(cpus.dropFirst(others).prefix(workers))
  }
}
