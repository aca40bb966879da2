// How long the end of a run may take, whatever a collector, a FIFO or a terminal does.
import Glibc
import Synchronization

/// The bound on the end of the run, read by every wait of the outputs.
enum Drain {
  private static let span = Atomic<UInt64>(10_000_000_000)
  private static let end = Atomic<UInt64>(UInt64.max)

  /// `--drain-timeout` in nanoseconds.
  static var timeout: UInt64 { span.load(ordering: .relaxed) }

  /// Sets `--drain-timeout` in nanoseconds, before the run starts.
  static func configure(nanoseconds: UInt64) { span.store(nanoseconds, ordering: .relaxed) }

  /// The run ends: all that waits may go on for `timeout` from now. The first call counts; safe in a signal handler.
  static func begin() {
    let deadline = Clock.monotonic() &+ timeout
    _ = end.compareExchange(expected: UInt64.max, desired: deadline, ordering: .relaxed)
  }

  /// Nanoseconds of the monotonic clock at which nothing may wait any longer; `UInt64.max` while the run goes on.
  static var deadline: UInt64 { end.load(ordering: .relaxed) }

  /// Whether nothing may wait any longer.
  static var isOver: Bool { deadline != UInt64.max && Clock.monotonic() >= deadline }
}

/// What a signal asks of the run, set by handlers and the control lcore, taken by whoever owns the outputs.
enum Requests {
  /// How often SIGHUP asked to reopen files: everybody who has some compares it with what he saw last.
  static let reopenings = Atomic<UInt64>(0)
  /// SIGUSR1: print the counters (offline only; live the control lcore prints them itself).
  static let report = Atomic<Bool>(false)
}
