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
      ordinary.add(bytes, ordering: .relaxed)
    }
    return PlainMemory().allocate(bytes)
  }

  /// Tables live as long as the process: EAL takes its memory back when it is cleaned up, the kernel the rest.
  func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {}
}
