// Where tables and slabs get their memory: the exporter gives hugepages of the lcore's socket, tests plain memory.
import Glibc

/// A source of zeroed, cache-line aligned memory.
public protocol FlowMemory: Sendable {
  /// `bytes` zeroed bytes, aligned to 64, or nil when there is not enough.
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer?
  /// Gives back what `allocate` returned for the same size.
  func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int)
}

/// Memory from the kernel, in transparent hugepages where it grants them.
public struct PlainMemory: FlowMemory {
  public init() {}

  public func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    // MAP_NORESERVE is left out on purpose: a table that does not fit must fail here, not in the middle of the work.
    let memory = mmap(nil, max(bytes, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    madvise(memory, bytes, MADV_HUGEPAGE)
    return memory
  }

  public func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) { munmap(memory, max(bytes, 1)) }
}

/// Why a worker could not be set up.
public enum FlowSetupError: Error, CustomStringConvertible {
  /// The table does not fit into memory.
  case noMemory(bytes: Int, flows: Int)
  /// No table can be made for so many flows.
  case tooManyFlows(Int, most: Int)
  /// What plugins keep of variable length does not fit into memory.
  case noSlabMemory(bytes: Int)
  /// A plugin's name, option or value is not known.
  case plugin(String)
  /// Another worker has this number, or it is not below `most`.
  case workerNumber(Int, most: Int)

  /// Bytes in MiB, rounded up.
  private static func mebibytes(_ bytes: Int) -> Int {
    bytes / 1_048_576 + (bytes % 1_048_576 == 0 ? 0 : 1)
  }

  public var description: String {
    switch self {
    case .noMemory(let bytes, let flows):
      "a table of \(flows) flows needs \(Self.mebibytes(bytes)) MiB for each worker, which this machine cannot give; use a smaller --flows, or reserve more with hugepages-setup.sh"
    case .tooManyFlows(let flows, let most):
      "--flows \(flows) is out of range: give 1 to \(most) for each worker"
    case .noSlabMemory(let bytes):
      "the plugins need \(Self.mebibytes(bytes)) MiB for each worker, which this machine cannot give; use a smaller --flows, or reserve more with hugepages-setup.sh"
    case .plugin(let line): line
    case .workerNumber(let number, let most):
      "worker \(number) cannot be made: give each worker of a schema a number of its own from 0 to \(most - 1)"
    }
  }
}
