// Why a flow record ended: the values of IANA's flowEndReason, and the one word for each that text and counters use.

/// Why a flow record ended (IANA flowEndReason, information element 136).
public enum FlowEndReason: UInt8, BitwiseCopyable, Sendable, CaseIterable {
  case none = 0
  /// No packet for the inactive timeout, neither FIN nor RST seen.
  case idleTimeout = 1
  /// The flow lasted longer than the active timeout.
  case activeTimeout = 2
  /// FIN or RST was seen, and the flow went idle, a SYN used its key again, or the program ends.
  case endOfFlow = 3
  /// Asked for: by a plugin, or because the program ends and neither FIN nor RST was seen.
  case forced = 4
  /// Its place in the table was needed.
  case lackOfResources = 5

  /// What people read: the counter's name and the word in the text table.
  public var name: StaticString {
    switch self {
    case .none: "none"
    case .idleTimeout: "idle"
    case .activeTimeout: "active"
    case .endOfFlow: "ended"
    case .forced: "forced"
    case .lackOfResources: "lack of resources"
    }
  }
}
