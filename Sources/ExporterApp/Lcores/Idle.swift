// What an lcore does when a poll brought nothing: one that has its CPU for itself polls on, one that shares it
// gets out of the way.
import CDPDK
import Glibc

/// How long an lcore has had nothing to do, and how it waits.
struct Idle: BitwiseCopyable {
  /// Whether another lcore needs the CPU.
  private let shared: Bool
  private var emptyPolls: UInt32 = 0

  /// Empty polls before an lcore that shares its CPU yields, and before it sleeps.
  private static let yieldAfter: UInt32 = 8
  private static let sleepAfter: UInt32 = 32
  /// The sleep, in nanoseconds: short enough that an RX ring of 1024 holds 10 million packets per second over it.
  private static let sleep = 50_000

  init(shared: Bool) { self.shared = shared }

  /// A poll brought something.
  @inline(__always)
  mutating func reset() { emptyPolls = 0 }

  /// A poll brought nothing.
  mutating func wait() {
    guard shared else {
      martlet_pause()
      return
    }
    emptyPolls &+= 1
    if emptyPolls < Self.yieldAfter {
      martlet_pause()
    } else if emptyPolls < Self.sleepAfter {
      sched_yield()
    } else {
      emptyPolls = Self.sleepAfter
      var time = timespec(tv_sec: 0, tv_nsec: Self.sleep)
      nanosleep(&time, nil)
    }
  }
}
