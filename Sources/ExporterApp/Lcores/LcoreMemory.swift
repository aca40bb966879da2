// Where an engine's tables live: hugepages of the lcore's NUMA socket when EAL has some, else plain memory.
import CDPDK
import FlowCore
import Synchronization

/// Memory for one worker lcore.
final class LcoreMemory: FlowMemory {
  private let socket: Int32
  /// Bytes that hugepages had no room for.
  private let ordinary = Atomic<Int>(0)

  init(socket: Int32) { self.socket = socket }

  /// Bytes that hugepages had no room for.
  var ordinaryBytes: Int { ordinary.load(ordering: .relaxed) }

  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    if rte_eal_has_hugepages() != 0 {
      if let memory = rte_zmalloc_socket("martlet", bytes, 64, socket) { return memory }
    }
    let memory = PlainMemory().allocate(bytes)
    if memory != nil, rte_eal_has_hugepages() != 0 { ordinary.add(bytes, ordering: .relaxed) }
    return memory
  }

  /// Says what finds no hugepage, if there is anything.
  func warn(lcore: UInt32) {
    guard ordinaryBytes > 0 else { return }
    logger.warning(
      """
      \(ordinaryBytes >> 20) MB of lcore \(lcore)'s flow table and plugin memory are not in hugepages: for speed run \
      'sudo ./hugepages-setup.sh --pages N' with \(ordinaryBytes >> 21) pages of 2 MB more
      """)
  }

  /// Tables live as long as the process: EAL takes its memory back when it is cleaned up, the kernel the rest.
  func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {}
}
