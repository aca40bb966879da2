// `--filter`: an expression of pcap-filter(7), compiled by libpcap, so that it means what it means to tcpdump.
import CPcap

/// A compiled expression. Nothing changes after `init`, so that any thread may run it.
///
/// Safe between threads: libpcap's interpreter only reads the instructions.
public final class FilterProgram: @unchecked Sendable {
  /// As the user wrote it.
  public let expression: String
  private var program: bpf_program

  /// Octets of a packet that a filter may look at: libpcap's limit.
  private static let longestPacket: Int32 = 262_144

  /// Compiles for frames of the link type of an open capture.
  ///
  /// - Throws: what libpcap finds wrong with the expression (usage).
  public init(_ expression: String, for capture: OpaquePointer) throws(Failure) {
    self.expression = expression
    program = bpf_program()
    guard pcap_compile(capture, &program, expression, 1, Self.unknownMask) == 0 else {
      let line = "--filter '\(expression)': \(String(cString: pcap_geterr(capture))) (man pcap-filter)"
      throw .usage(line.replacing("\n", with: " "))
    }
  }

  /// Compiles for Ethernet.
  ///
  /// - Throws: as above.
  public convenience init(_ expression: String) throws(Failure) {
    guard let handle = pcap_open_dead(DLT_EN10MB, Self.longestPacket) else {
      throw .general("no memory to compile --filter")
    }
    defer { pcap_close(handle) }
    try self.init(expression, for: handle)
  }

  deinit { pcap_freecode(&program) }

  /// PCAP_NETMASK_UNKNOWN: without it `ip broadcast` would be compiled for a network that nobody named.
  private static let unknownMask = UInt32.max

  /// Classic BPF's instructions, there as long as this is.
  public var instructions: UnsafePointer<bpf_insn>? { UnsafePointer(program.bf_insns) }

  /// Calls `body` with libpcap's own form of the program.
  public func withProgram<Result>(_ body: (UnsafePointer<bpf_program>) -> Result) -> Result { body(&program) }

  /// Whether a packet passes, of which `captured` octets are at `bytes`.
  public func accepts(_ bytes: UnsafePointer<UInt8>, captured: Int, wire: UInt32) -> Bool {
    bpf_filter(program.bf_insns, bytes, wire, UInt32(clamping: captured)) != 0
  }

  /// In how many ways a packet can go through the program, at most `UInt64.max`: jumps lead forward only. DPDK's verifier walks
  /// all of them.
  public var paths: UInt64 {
    let count = Int(program.bf_len)
    guard let instructions, count > 0 else { return 0 }
    var ways = [UInt64](repeating: 0, count: count)
    func from(_ index: Int) -> UInt64 { index < count ? ways[index] : 0 }
    for index in stride(from: count - 1, through: 0, by: -1) {
      let instruction = instructions[index]
      let isConditional = instruction.code & 7 == 5 && instruction.code & 0xF0 != 0
      switch instruction.code & 7 {
      case 6: ways[index] = 1
      case 5 where isConditional:
        let (sum, overflow) = from(index + 1 + Int(instruction.jt)).addingReportingOverflow(
          from(index + 1 + Int(instruction.jf)))
        ways[index] = overflow ? .max : sum
      case 5: ways[index] = from(index + 1 + Int(clamping: instruction.k))
      default: ways[index] = from(index + 1)
      }
    }
    return ways[0]
  }

  /// Whether DPDK makes of all instructions what they mean. rte_bpf_convert of 22.11 takes every load at an index for one of 16
  /// bits, and the compiler for x86 gets a test of the low seven bits wrong; sums with memory come out wrong, too. So these are what
  /// comparisons of addresses, ports, protocols and lengths consist of, and what else there is runs in libpcap's interpreter.
  public var suitsDPDK: Bool {
    guard let instructions else { return false }
    return (0..<Int(program.bf_len)).allSatisfy { index in
      let instruction = instructions[index]
      switch instruction.code {
      // ld [k], ldh [k], ldb [k], ldh [x + k], ld #pktlen, ldxb 4*([k]&0xf)
      case 0x20, 0x28, 0x30, 0x48, 0x80, 0xB1: return true
      // and #k, ja, jeq #k, jgt #k, jge #k, ret #k
      case 0x54, 0x05, 0x15, 0x25, 0x35, 0x06: return true
      // jset #k
      case 0x45: return instruction.k > 0x7F && instruction.k <= 0x7FFF_FFFF
      default: return false
      }
    }
  }
}
