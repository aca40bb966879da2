// Where the cycles go: the time stamp counter read between the passes of a burst. It costs some cycles of its own for
// each packet, so that it is asked for (`--cycles`).
import CIntrinsics

/// The passes that a burst goes through, in this order.
public enum Pass: Int, CaseIterable, Sendable {
  /// Headers read, keys and hashes made, buckets asked for.
  case dissect
  /// Signatures matched, records prefetched.
  case find
  /// Plugins' states asked for.
  case states
  /// Keys compared, packets counted, plugins run; flows made and ended.
  case account
  /// Timeouts looked for.
  case sweep

  /// Its name in tables.
  public var name: String { "\(self)" }
}

/// Takes the cycles of one pass after the other.
struct PassTimer: BitwiseCopyable {
  private let isOn: Bool
  private var before: UInt64 = 0

  /// Starts now if `isOn`, else it does nothing.
  @inline(__always)
  init(isOn: Bool) {
    self.isOn = isOn
    if isOn { before = martlet_cycles() }
  }

  /// Adds the cycles since the last call to those of `pass`, which has ended.
  @inline(__always)
  mutating func end(_ pass: Pass, _ counters: UnsafeMutablePointer<WorkerCounters>) {
    guard isOn else { return }
    let now = martlet_cycles()
    counters.pointee.cycles[pass.rawValue] &+= now &- before
    before = now
  }
}
