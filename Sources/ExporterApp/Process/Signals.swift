// The signals of a run: waited for by the control lcore live, kept as requests offline; none of them interrupts an lcore.
import Glibc
import Synchronization

/// The signals that a live run heeds, blocked in every thread and taken with sigtimedwait.
struct Signals {
  private var set = sigset_t()

  /// Blocks the signals; before any other thread exists, because threads inherit the mask.
  init() {
    sigemptyset(&set)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    CrashReport.wake(by: SIGUSR1)
  }

  /// Sleeps for at most `nanoseconds`; the signal that came, or nil.
  func wait(nanoseconds: UInt64) -> Int32? {
    var time = timespec(
      tv_sec: Int(clamping: nanoseconds / 1_000_000_000), tv_nsec: Int(clamping: nanoseconds % 1_000_000_000))
    var signals = set
    let signal = sigtimedwait(&signals, nil, &time)
    // The process ends. Until it does nothing is done here, nor are signals taken that are meant to stop this thread.
    while CrashReport.hasBegun { pause() }
    return signal > 0 ? signal : nil
  }

  /// From here on a signal that ends runs ends the process at once.
  func release() {
    var ending = sigset_t()
    sigemptyset(&ending)
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_DFL)
      sigaddset(&ending, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &ending, nil)
  }

  /// Ignores what would end the process for an output's trouble: a reader that left, a file that is too large. First of
  /// all, since a pipe may be closed at any time.
  static func ignoreUseless() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Runs `body`, which starts a thread, so that the thread gets no signals.
  static func blockingAll<Result>(_ body: () -> Result) -> Result {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    // These tell of the thread's own mistakes.
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP] { sigdelset(&all, signal) }
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    return body()
  }
}
