// Which flows a plugin has to do with, as far as their protocol tells: so that most flows do not meet most plugins.
import Wire

/// A set of transport protocols.
public struct FlowProtocols: OptionSet, BitwiseCopyable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let tcp = FlowProtocols(rawValue: 1)
  public static let udp = FlowProtocols(rawValue: 2)
  /// ICMP and ICMPv6.
  public static let icmp = FlowProtocols(rawValue: 4)
  public static let others = FlowProtocols(rawValue: 8)
  public static let all: FlowProtocols = [.tcp, .udp, .icmp, .others]

  /// The member that the protocol with this number is.
  init(number: UInt8) {
    switch number {
    case IPProtocol.tcp: self = .tcp
    case IPProtocol.udp: self = .udp
    case IPProtocol.icmp, IPProtocol.icmp6: self = .icmp
    default: self = .others
    }
  }
}

/// The slots (bit = slot) that flows of each protocol concern: a table, so that a packet need not ask what its protocol is.
///
/// Safe between threads: nothing changes after `init`.
struct ProtocolSlots: BitwiseCopyable, @unchecked Sendable {
  private let slots: UnsafePointer<UInt64>

  /// `protocols` are those of each slot's plugin. Stays until `free`.
  init(_ protocols: [FlowProtocols]) {
    let table = UnsafeMutablePointer<UInt64>.allocate(capacity: 256)
    for number in 0..<256 {
      var mask: UInt64 = 0
      for (slot, set) in protocols.enumerated()
      where set.contains(FlowProtocols(number: UInt8(truncatingIfNeeded: number))) {
        mask |= 1 << slot
      }
      (table + number).initialize(to: mask)
    }
    slots = UnsafePointer(table)
  }

  /// Frees the table, which nobody reads any more.
  func free() { slots.deallocate() }

  /// The slots of flows of the protocol with this number.
  @inline(__always)
  subscript(number: UInt8) -> UInt64 {
    // Safe: the table has an entry for each number of eight bits.
    slots[Int(number)]
  }
}
