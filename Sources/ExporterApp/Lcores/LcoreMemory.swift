// Where an engine's tables live: hugepages of the lcore's NUMA socket when EAL has some, else plain memory.
import CDPDK
import FlowCore
import Glibc

/// Memory for one worker lcore, kept until the process ends.
final class LcoreMemory: FlowMemory {
  private let socket: Int32
  /// Bytes that hugepages had no room for.
  private(set) var ordinaryBytes = 0

  init(socket: Int32) { self.socket = socket }

  func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    if rte_eal_has_hugepages() != 0 {
      if let memory = rte_zmalloc_socket("martlet", byteCount, UInt32(alignment), socket) { return memory }
      ordinaryBytes += byteCount
    }
    return PlainMemory().allocate(byteCount: byteCount, alignment: alignment)
  }
}

/// Memory straight from the kernel, in huge pages where it gives them unasked.
struct PlainMemory: FlowMemory {
  func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    let page = 2 << 20
    // Large tables start on a huge page's boundary, small ones on a page's.
    let slack = byteCount >= page ? page : max(0, alignment - 4096)
    let size = byteCount + slack
    guard
      let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
    else { return nil }
    guard slack > 0 else { return memory }
    let boundary = UInt(max(alignment, byteCount >= page ? page : 4096))
    let start = UnsafeMutableRawPointer(
      bitPattern: (UInt(bitPattern: memory) + boundary - 1) & ~(boundary - 1))!
    madvise(start, byteCount, MADV_HUGEPAGE)
    return start
  }
}
