// The lcores that EAL started, and which of them must share a CPU.
import CDPDK

/// Facts about EAL's lcores; only after EAL has started.
enum Lcore {
  /// The main lcore.
  static var main: UInt32 { rte_get_main_lcore() }

  /// The other enabled lcores, ascending.
  static var others: [UInt32] {
    var lcores: [UInt32] = []
    var lcore = martlet_next_worker_lcore(UInt32.max)
    while lcore < martlet_lcore_limit() {
      lcores.append(lcore)
      lcore = martlet_next_worker_lcore(lcore)
    }
    return lcores
  }

  /// The CPUs that the lcore's thread may run on.
  static func cpus(_ lcore: UInt32) -> [UInt32] { (0..<1024).filter { martlet_lcore_has_cpu(lcore, $0) } }

  /// Whether another of `lcores` may run on one of the lcore's CPUs.
  static func shares(_ lcore: UInt32, with lcores: [UInt32]) -> Bool {
    let own = Set(cpus(lcore))
    return lcores.contains { $0 != lcore && !own.isDisjoint(with: cpus($0)) }
  }

  /// The lcore's NUMA socket.
  static func socket(_ lcore: UInt32) -> Int32 { Int32(bitPattern: rte_lcore_to_socket_id(lcore)) }

  /// "lcore 2 on CPU 0", for the map printed at start.
  static func describe(_ lcore: UInt32) -> String {
    let cpus = cpus(lcore)
    return "lcore \(lcore) on CPU\(cpus.count == 1 ? "" : "s") "
      + cpus.map(String.init).joined(separator: ",")
  }
}
