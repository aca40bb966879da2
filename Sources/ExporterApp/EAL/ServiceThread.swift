// Threads beside the lcores. Whoever is started by an lcore inherits its CPU, and would take it from a loop that polls.
import CDPDK
import Glibc
import Synchronization

/// A thread that gets no signals and runs where no lcore does; so do all threads that it starts in turn.
enum ServiceThread {
  /// What a thread does, and a flag that it has done it.
  private final class Work: Sendable {
    let body: @Sendable () -> Void
    let name: String
    let isDone = Atomic<Bool>(false)

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Has `body` run in a thread of its own and waits for it, but not longer than `seconds`; it goes on then, alone.
  ///
  /// - Parameter name: who it is, in a crash report.
  /// - Returns: whether it ran to its end. False also where no thread is to be had.
  @discardableResult
  static func run(_ name: String, seconds: Double, _ body: @escaping @Sendable () -> Void) -> Bool {
    let work = Work(name, body)
    // Safe: retained once here; given back once, by the thread, or below where none has started.
    let context = Unmanaged.passRetained(work)
    var thread = pthread_t()
    let code = Signals.blockingAll {
      pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          // Safe: what `pthread_create` gets below, of this class; the thread takes it once.
          let work = Unmanaged<Work>.fromOpaque(context).takeRetainedValue()
          CrashReport.thread(work.name)
          martlet_leave_lcores()
          work.body()
          work.isDone.store(true, ordering: .releasing)
          return nil
        }, context.toOpaque())
    }
    guard code == 0 else {
      context.release()
      return false
    }
    pthread_detach(thread)
    let end = Clock.monotonic() &+ Moment.nanoseconds(seconds)
    while !work.isDone.load(ordering: .acquiring) {
      guard Clock.monotonic() < end else { return false }
      usleep(200)
    }
    return true
  }
}
