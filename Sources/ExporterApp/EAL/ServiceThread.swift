// Threads beside the lcores. Whoever is started by an lcore inherits its CPU, and would take it from a loop that polls.
import CDPDK
import Glibc
import Synchronization

/// A thread that gets no signals and runs where no lcore does; so do all threads that it starts in turn.
enum ServiceThread {
  /// Whether a thread has done its work.
  private final class Flag: Sendable {
    let value = Atomic<Bool>(false)
  }

  /// Has `body` run in a thread of its own and waits for it, but not longer than `seconds`; it goes on then, alone.
  ///
  /// - Parameter name: who it is, in a crash report.
  /// - Returns: whether it ran to its end. False also where no thread is to be had.
  @discardableResult
  static func run(_ name: String, seconds: Double, _ body: @escaping @Sendable () -> Void) -> Bool {
    let isDone = Flag()
    let code = DetachedThread.start {
      CrashReport.thread(name)
      martlet_leave_lcores()
      body()
      isDone.value.store(true, ordering: .releasing)
    }
    guard code == 0 else { return false }
    let end = Clock.monotonic() &+ Moment.nanoseconds(seconds)
    while !isDone.value.load(ordering: .acquiring) {
      guard Clock.monotonic() < end else { return false }
      usleep(200)
    }
    return true
  }
}
