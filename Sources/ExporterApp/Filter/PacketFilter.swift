// A filter as worker lcores run it: eBPF that DPDK made from libpcap's program, as native code where DPDK has a compiler for
// the CPU. What DPDK cannot take runs in libpcap's interpreter, so that every expression works.
import CDPDK
import CPcap
import Captures
import FlowCore

/// A filter for bursts of mbufs, the same for all worker lcores.
struct PacketFilter: ~Copyable {
  /// How it runs.
  enum Method: String {
    case native = "native code"
    case interpreter = "DPDK's interpreter"
    case libpcap = "libpcap's interpreter"
  }

  /// As the user wrote it.
  var expression: String { program.expression }
  /// How it runs.
  let method: Method
  private let program: FilterProgram
  private let instructions: UnsafePointer<bpf_insn>?
  /// The program as eBPF; nil where libpcap runs it.
  private let loaded: OpaquePointer?
  private let native: martlet_bpf_function?

  /// DPDK's verifier walks every way through a program and takes a second for so many; long lists of IPv6 addresses have
  /// more than it would get through in years.
  private static let mostPaths: UInt64 = 20_000

  /// Makes the filter ready; EAL must have started.
  init(_ program: FilterProgram) {
    self.program = program
    instructions = program.instructions
    let suits = program.suitsDPDK && program.paths <= Self.mostPaths
    loaded = suits ? program.withProgram { martlet_bpf_load($0) } : nil
    native = martlet_bpf_native(loaded)
    method = loaded == nil ? .libpcap : native == nil ? .interpreter : .native
  }

  deinit { martlet_bpf_destroy(loaded) }

  /// Moves the frames that pass and their times to the front of a burst; the mbufs stay, because all are freed together.
  ///
  /// - Parameters:
  ///   - results: room for a burst.
  ///   - refused: gets the octets on the wire of those that do not pass.
  /// - Returns: how many pass.
  @inline(__always)
  func select(
    _ mbufs: UnsafeMutablePointer<OpaquePointer?>, _ frames: UnsafeMutablePointer<Frame>,
    _ times: UnsafeMutablePointer<UInt64>, count: Int, results: UnsafeMutablePointer<UInt64>,
    refused: inout UInt64
  ) -> Int {
    // Safe: there are `count` mbufs, frames and times, and as many results.
    var index = 0
    if let native {
      while index < count {
        results[index] = native(UnsafeMutableRawPointer(mbufs[index]))
        index &+= 1
      }
    } else if loaded != nil {
      martlet_bpf_run(loaded, mbufs, results, UInt32(truncatingIfNeeded: count))
    } else {
      while index < count {
        let frame = frames[index]
        // Safe: octets of a packet, as libpcap calls them.
        results[index] = UInt64(
          bpf_filter(
            instructions, frame.bytes.assumingMemoryBound(to: UInt8.self), frame.wire, frame.captured))
        index &+= 1
      }
    }
    var kept = 0
    index = 0
    while index < count {
      let frame = frames[index]
      let time = times[index]
      // Without a branch, which no CPU could foresee.
      frames[kept] = frame
      times[kept] = time
      let passes = results[index] != 0
      kept &+= passes ? 1 : 0
      refused &+= passes ? 0 : UInt64(frame.wire)
      index &+= 1
    }
    return kept
  }
}
