// SIGINT and SIGTERM, waited for by the control lcore instead of interrupting whoever is at hand.
import Glibc

/// The signals that end the run, blocked in every thread and taken with sigtimedwait.
struct Signals {
  private var set = sigset_t()

  /// Blocks the signals; before any other thread exists, because threads inherit the mask.
  init() {
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &set, nil)
    // A collector that hangs up is the exporter's business, not the process's end.
    signal(SIGPIPE, SIG_IGN)
  }

  /// Sleeps for at most `nanoseconds`; the signal that came, or nil.
  func wait(nanoseconds: UInt64) -> Int32? {
    var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var signals = set
    let signal = sigtimedwait(&signals, nil, &time)
    return signal > 0 ? signal : nil
  }
}
